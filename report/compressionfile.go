package report

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"path/filepath"
	"strings"
	"unicode"
)

// WriteCompression writes report.html and then, if that succeeded, report.json into a folder
// that is there: where report.json is, both are. The page needs no other file, no network and no
// script. It reads the pictures of c.Pictures; one that cannot be read is a line on the page, and
// no error. It sets c.Version and, where it is empty, c.Verdict.
func WriteCompression(dir string, c *Compression) error {
	c.Version = CompressionVersion
	if c.Verdict == "" {
		c.Verdict = c.Outcome()
	}
	data, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	page, err := compressionPage(c)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, "report.html"), page); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "report.json"), append(data, '\n'))
}

//go:embed page/page.html
var pageHTML string

//go:embed page/page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

func compressionPage(c *Compression) ([]byte, error) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, newPage(c))
	// Names come from files. What is no text could spoil the page, or turn its lines round.
	return bytes.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, b.Bytes()), err
}

// A page is what the template shows: everything formatted, nothing left to decide.
type page struct {
	Title, Verdict string
	Compared       string   // which two models the numbers in large print are of
	Facts          []string // of machine, data, input
	CSS            template.CSS
	Figures        []bigFigure
	Notes          []string
	Sections       []section
}

// A bigFigure is one of the numbers in large print.
type bigFigure struct{ Value, Unit, From, To, Note string }

// A section is a part of the page: its charts, tables, pictures and commands, or why they
// are missing.
type section struct {
	ID, Title, Text string
	Missing         []string
	Charts          []chart
	Tables          []table
	Pictures        []shownPicture
	Commands        []string
}

// Bounds of the page, so that it can be opened whatever it is made of. report.json has all.
const (
	maxRows    = 400
	maxModels  = 8
	maxLines   = 200
	maxName    = 120
	maxText    = 2000
	maxShown   = 12 // pictures
	maxBoxes   = 60 // in a picture, of one model
	jpegBudget = 110_000
)

// clip shortens a text to n runes.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// clipAll shortens a list and its texts.
func clipAll(list []string) []string {
	var out []string
	for _, s := range list[:min(len(list), maxLines)] {
		out = append(out, clip(s, maxText))
	}
	return out
}

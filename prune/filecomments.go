package prune

import (
	"cmp"
	"slices"
	"strings"
)

// A remark is what a person wrote beside a line of a plan: lines of comment above it, and one
// behind it.
type remark struct {
	above  []string
	behind string
}

// remarks finds the comments of a plan that WriteTo does not write, by the lineKey of the line
// that each belongs to; those that no line follows are above the key "".
func remarks(text string) map[string]remark {
	var all map[string]remark // nil without any
	help := strings.Split(fileHelp+guardHelp+"\n"+machineHelp+"\n"+precisionHelp+"\n"+orderHelp, "\n")
	var above []string
	add := func(key, behind string) {
		if all == nil {
			all = map[string]remark{}
		}
		r := all[key]
		r.above = append(r.above, above...)
		if r.behind != "" && behind != "" { // the file has this key twice
			r.above = append(r.above, behind)
		}
		all[key] = remark{r.above, cmp.Or(r.behind, behind)}
		above = nil
	}
	for line := range strings.Lines(text) {
		content, comment := splitComment(strings.TrimRight(line, " \r\n"))
		if slices.Contains(help, comment) {
			comment = ""
		}
		if content == "" {
			if comment != "" {
				above = append(above, comment)
			}
			continue
		}
		if comment != "" || len(above) > 0 {
			add(lineKey(content), comment)
		}
	}
	if len(above) > 0 {
		add("", "")
	}
	return all
}

// withRemarks puts remarks where they belong in the text of a plan, and at its end those whose
// line is gone.
func withRemarks(text string, all map[string]remark) string {
	if len(all) == 0 {
		return text
	}
	var b strings.Builder
	placed := map[string]bool{}
	for line := range strings.Lines(text) {
		content, comment := splitComment(strings.TrimSuffix(line, "\n"))
		key := lineKey(content)
		if r, ok := all[key]; ok && content != "" && !placed[key] {
			placed[key] = true
			if comment != "" && r.behind != "" {
				r = remark{above: append(slices.Clone(r.above), r.behind)}
			}
			for _, c := range r.above {
				b.WriteString(c + "\n")
			}
			if r.behind != "" {
				line = content + " " + r.behind + "\n"
			}
		}
		b.WriteString(line)
	}
	var rest []string
	for key := range all {
		if !placed[key] {
			rest = append(rest, key)
		}
	}
	slices.Sort(rest)
	for _, key := range rest {
		for _, c := range append(slices.Clone(all[key].above), all[key].behind) {
			if c != "" {
				b.WriteString(c + "\n")
			}
		}
	}
	return b.String()
}

// splitComment parts a line of YAML from the comment behind it.
func splitComment(line string) (content, comment string) {
	quote := byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == '"' && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t'):
			return strings.TrimRight(line[:i], " \t"), line[i:]
		}
	}
	return strings.TrimRight(line, " \t"), ""
}

// lineKey says which line of a plan it is: its key, and of a group or block the name too.
func lineKey(content string) string {
	key, value, _ := strings.Cut(strings.TrimLeft(content, " -{"), ": ")
	if key == "group" || key == "block" {
		value, _, _ = strings.Cut(value, ",")
		return key + " " + strings.Trim(value, `"' }`)
	}
	return strings.Trim(key, `"': `)
}

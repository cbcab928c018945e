package prune

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A latency table as a file: lines "# key: value" about the whole, of which each may be
// missing, then a CSV table with these columns.
//
//	# machine: Jetson Nano
//	# runtime: TensorRT 8.2
//	# precision: fp16
//	# threads: 4
//	# input: 1280x800
//	# scale: 1.04
//	op,kernel,stride,groups,height,width,act,add,in,out,ms
//	conv,3x3,2x2,1,400,640,silu,no,16,32,0.412
//	concat,,,,100,160,none,no,64,64,0
var latencyColumns = []string{"op", "kernel", "stride", "groups", "height", "width", "act", "add", "in", "out", "ms"}

// Bounds of a table, far beyond any that is measured.
const (
	maxLatencyBytes = 32 << 20
	maxLatencyRows  = 1 << 18
	minLatencyMs    = 1e-9 // but for 0; less has no inverse squared
	maxLatencyMs    = 1e9
	maxChannels     = 1 << 24
	maxText         = 200 // bytes of a word or a value
	minScale        = 0.01
	maxScale        = 100
)

// ReadLatency reads a table. The error names the line.
func ReadLatency(r io.Reader) (*Latency, error) {
	all, err := io.ReadAll(io.LimitReader(r, maxLatencyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("latency table: %w", err)
	}
	if len(all) > maxLatencyBytes {
		return nil, fmt.Errorf("latency table: is longer than %d MB", maxLatencyBytes>>20)
	}
	all = bytes.TrimPrefix(all, []byte("\ufeff")) // which spreadsheets put there
	l := &Latency{}
	line := 0
	for s := range bytes.Lines(all) {
		line++
		if err := l.about(string(s)); err != nil {
			return nil, fmt.Errorf("latency table, line %d: %w", line, err)
		}
	}
	c := csv.NewReader(bytes.NewReader(all))
	c.Comment, c.FieldsPerRecord, c.TrimLeadingSpace, c.ReuseRecord = '#', -1, true, true
	seen := map[LatencyRow]int{}
	for first := true; ; first = false {
		f, err := c.Read()
		if err == io.EOF {
			if len(l.Rows) == 0 {
				return nil, errors.New("latency table: has no rows")
			}
			return l, nil
		}
		if err != nil {
			return nil, fmt.Errorf("latency table: %w", err)
		}
		line, _ := c.FieldPos(0)
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		if first {
			if strings.Join(f, ",") != strings.Join(latencyColumns, ",") {
				return nil, fmt.Errorf("latency table, line %d: want the columns %s", line, strings.Join(latencyColumns, ","))
			}
			continue
		}
		row, err := parseLatencyRow(f)
		if err != nil {
			return nil, fmt.Errorf("latency table, line %d: %w", line, err)
		}
		key := row
		key.Ms = 0
		if was := seen[key]; was > 0 {
			return nil, fmt.Errorf("latency table, line %d: is the same layer as line %d", line, was)
		}
		if len(l.Rows) == maxLatencyRows {
			return nil, fmt.Errorf("latency table, line %d: there are more than %d rows", line, maxLatencyRows)
		}
		seen[key] = line
		l.Rows = append(l.Rows, row)
	}
}

// about reads a line "# key: value"; other lines and unknown keys are left alone.
func (l *Latency) about(s string) error {
	s, ok := strings.CutPrefix(s, "#")
	key, value, two := strings.Cut(s, ":")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !ok || !two {
		return nil
	}
	var err error
	switch key {
	case "machine":
		l.Machine = value
	case "runtime":
		l.Runtime = value
	case "precision":
		l.Precision = value
	case "threads":
		l.Threads, err = between(key, value, 1, maxThreads)
	case "input":
		w, h, _ := strings.Cut(value, "x")
		if l.Width, err = between("input's width", w, 1, 1<<20); err == nil {
			l.Height, err = between("input's height", h, 1, 1<<20)
		}
	case "scale":
		if l.Scale, err = strconv.ParseFloat(value, 64); err != nil || !(l.Scale >= minScale && l.Scale <= maxScale) {
			err = fmt.Errorf("scale %.40q: want a number from %g to %d", value, minScale, maxScale)
		}
	default:
		return nil
	}
	if err == nil && len(value) > maxText {
		err = fmt.Errorf("%s: is longer than %d bytes", key, maxText)
	}
	return err
}

func between(what, text string, low, high int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s %.40q: want %d to %d", what, text, low, high)
	}
	return n, nil
}

var (
	opWord     = regexp.MustCompile(`^[a-z0-9]+$`)
	kernelWord = regexp.MustCompile(`^(\d+x\d+(d\d+x\d+)?|axis[1-3])?$`)
	strideWord = regexp.MustCompile(`^(\d+x\d+|\d+)?$`)
	groupsWord = regexp.MustCompile(`^(\d+|depthwise)?$`)
)

func parseLatencyRow(f []string) (r LatencyRow, err error) {
	if len(f) != len(latencyColumns) {
		return r, fmt.Errorf("has %d columns, want %d", len(f), len(latencyColumns))
	}
	for i, w := range []struct {
		form *regexp.Regexp
		to   *string
		want string
	}{
		{opWord, &r.Op, "an op such as conv, concat or maxpool"},
		{kernelWord, &r.Kernel, "height x width such as 3x3, or nothing"},
		{strideWord, &r.Stride, "vertical x horizontal such as 2x2, or nothing"},
		{groupsWord, &r.Groups, "1, depthwise or a number, or nothing where there is no convolution"},
	} {
		if len(f[i]) > maxText || !w.form.MatchString(f[i]) {
			return r, fmt.Errorf("%s %.40q: want %s", latencyColumns[i], f[i], w.want)
		}
		*w.to = strings.Clone(f[i])
	}
	for _, n := range []struct {
		column int
		to     *int
	}{{4, &r.Height}, {5, &r.Width}, {8, &r.In}, {9, &r.Out}} {
		if *n.to, err = between(latencyColumns[n.column], f[n.column], 1, maxChannels); err != nil {
			return r, err
		}
	}
	if len(f[6]) > maxText || !opWord.MatchString(f[6]) {
		return r, fmt.Errorf("act %.40q: want an activation such as silu, or %s", f[6], noAct)
	}
	r.Act, r.Add = strings.Clone(f[6]), f[7] == yesNo(true)
	if f[7] != yesNo(r.Add) {
		return r, fmt.Errorf("add %.40q: want yes or no", f[7])
	}
	if r.Ms, err = strconv.ParseFloat(f[10], 64); err != nil || !(r.Ms == 0 || r.Ms >= minLatencyMs && r.Ms <= maxLatencyMs) || math.Signbit(r.Ms) {
		return r, fmt.Errorf("ms %.40q: want milliseconds, 0 or more", f[10])
	}
	return r, nil
}

// Write writes the table as ReadLatency takes it.
func (l *Latency) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	about := func(key, value string) {
		if value != "" {
			fmt.Fprintf(b, "# %s: %s\n", key, lineBreak.ReplaceAllString(value, " "))
		}
	}
	about("machine", l.Machine)
	about("runtime", l.Runtime)
	about("precision", l.Precision)
	if l.Threads > 0 {
		about("threads", strconv.Itoa(l.Threads))
	}
	if l.Width > 0 && l.Height > 0 {
		about("input", fmt.Sprintf("%dx%d", l.Width, l.Height))
	}
	if l.Scale != 0 {
		about("scale", strconv.FormatFloat(l.Scale, 'g', 5, 64))
	}
	fmt.Fprintln(b, strings.Join(latencyColumns, ","))
	for _, r := range l.Rows {
		fmt.Fprintf(b, "%s,%d,%d,%s\n", r.Kind, r.In, r.Out, strconv.FormatFloat(r.Ms, 'g', -1, 64))
	}
	return b.Flush()
}

var lineBreak = regexp.MustCompile(`[\r\n]+`)

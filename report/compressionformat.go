package report

import (
	"fmt"
	"math"
	"strings"
)

const unknown = "—"

// positive is a number that cannot be 0, and Unknown where it is, or too small to have been
// measured.
func positive[T int | int64 | Number](v T) Number {
	if n := Number(v); n > 1e-9 && n.Known() {
		return n
	}
	return Unknown()
}

// digits formats a number with three digits that count.
func digits(v Number) string {
	if !v.Known() {
		return unknown
	}
	a := math.Abs(float64(v))
	switch {
	case a >= 99.95:
		return thousands(int64(math.Round(float64(v))))
	case a >= 9.995:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.9995 || a == 0:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// thousands formats a whole number as 7,022,326.
func thousands(v int64) string {
	s := fmt.Sprint(v)
	sign := ""
	if v < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// count formats a whole number that cannot be 0.
func count(v int) string {
	if v <= 0 {
		return unknown
	}
	return thousands(int64(v))
}

// inBytes formats a size.
func inBytes(bytes int64) string {
	switch v := Number(bytes); {
	case v <= 0:
		return unknown
	case v < 1e6:
		return digits(v/1e3) + " kB"
	default:
		return digits(v/1e6) + " MB"
	}
}

// rate formats what is between 0 and 1, as mAP is written.
func rate(v Number) string {
	if !v.Known() {
		return unknown
	}
	return fmt.Sprintf("%.3f", v)
}

// signed formats a difference.
func signed(v Number, format string) string {
	if !v.Known() {
		return unknown
	}
	s := fmt.Sprintf(format, math.Abs(float64(v)))
	switch {
	case strings.Trim(s, "0.") == "":
		return "±" + s
	case v < 0:
		return "−" + s
	}
	return "+" + s
}

// times formats before over after: "17.2×".
func times(before, after Number) string {
	if !(before > 0) || !(after > 0) || !before.Known() || !after.Known() {
		return unknown
	}
	return digits(before/after) + "×"
}

// duration formats seconds.
func duration(seconds Number) string {
	switch s := float64(positive(seconds)); {
	case math.IsNaN(s) || s > 1e9:
		return unknown
	case s < 60:
		return fmt.Sprintf("%.0f s", s)
	case s < 3600:
		return fmt.Sprintf("%.0f min", s/60)
	default:
		return fmt.Sprintf("%.1f h", s/3600)
	}
}

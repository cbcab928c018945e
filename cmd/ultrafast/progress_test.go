package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The time left is told once a step is done, and follows from it.
func TestProgress(t *testing.T) {
	for _, c := range []struct {
		name         string
		bar          bool
		before, then string
	}{
		{"terminal", true, "(0/4) [40s]", "(1/4) [40s:2m0s]"},
		{"log", false, "first: 0/4\n", "second: 1/4, 2m0s to go\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			p := newProgress(&out)
			if c.bar {
				p.bar = newBar(&out)
			}
			said := func(what string, done int) string {
				out.Reset()
				p.set(what, done, 4)
				return out.String()
			}
			said("first", 0)
			time.Sleep(40 * time.Second)
			if got := said("first", 0); !strings.Contains(got, c.before) {
				t.Errorf("%s: before the first step %q, want %q", c.name, got, c.before)
			}
			time.Sleep(100 * time.Millisecond) // a bar is not drawn sooner
			p.said = time.Time{}
			if got := said("second", 1); !strings.Contains(got, c.then) {
				t.Errorf("%s: after it %q, want %q", c.name, got, c.then)
			}
		})
	}
}

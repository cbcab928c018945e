package main

import (
	"slices"
	"testing"
)

func TestParseFreeze(t *testing.T) {
	for s, want := range map[string][]int{"0": {}, "3": {0, 1, 2}, "3,5": {3, 5}, "0,0": {0, 0}} {
		if got, err := parseFreeze(s); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "a", "-1", "1,", "1 2", "99999999"} {
		if got, err := parseFreeze(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

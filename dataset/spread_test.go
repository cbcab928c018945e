package dataset

import (
	"slices"
	"testing"
)

func TestSpread(t *testing.T) {
	items := make([]Item, 10)
	for i := range items {
		items[i].W = i
	}
	for n, want := range map[int][]int{0: {}, 1: {0}, 4: {0, 2, 5, 7}, 10: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 11: {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		got := []int{}
		for _, item := range Spread(items, n) {
			got = append(got, item.W)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d of 10 are %v, want %v", n, got, want)
		}
	}
}

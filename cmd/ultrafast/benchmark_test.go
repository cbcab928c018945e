package main

import (
	"math"
	"testing"
	"time"

	"ultrafast/tensor"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		times []time.Duration
		want  spread
	}{
		{[]time.Duration{7}, spread{7, 7, 7, 7, 1}},
		{[]time.Duration{50, 10, 30, 20, 40}, spread{10, 20, 30, 40, 5}},
		{[]time.Duration{40, 10}, spread{10, 17, 25, 32, 2}},
	} {
		if got := newSpread(c.times); got != c.want {
			t.Errorf("%v: %v, want %v", c.times, got, c.want)
		}
	}
}

func TestDiffer(t *testing.T) {
	one := func(v ...float32) []*tensor.Tensor {
		return []*tensor.Tensor{{Shape: []int{len(v)}, Data: v}}
	}
	nan := float32(math.NaN())
	for _, c := range []struct {
		got, want []*tensor.Tensor
		abs, rel  float64
		fails     bool
	}{
		{one(1, 2), one(1, 2), 0, 0, false},
		{one(1, -4.5), one(1, -4), 0.5, 0.125, false},
		{one(0), one(0), 0, 0, false},
		{one(1, nan), one(1, 2), 0, 0, true},
		{one(nan), one(nan), 0, 0, true},
		{one(1), one(1, 2), 0, 0, true},
		{nil, one(1), 0, 0, true},
	} {
		d, err := differ(c.got, c.want)
		if (err != nil) != c.fails || d != (difference{c.abs, c.rel}) {
			t.Errorf("%v and %v: %v, %v", c.got, c.want, d, err)
		}
	}
}

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"ultrafast/dataset"
	"ultrafast/yolo"
)

// Labels get the numbers that the model has for their names; what cannot be is said.
func TestMatchClasses(t *testing.T) {
	cfg, err := yolo.ParseConfig(strings.NewReader(tinyConfig))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		model, data []string
		labels      []int // classes of the data's
		names       []string
		want        []int // classes of the model's
		says        string
	}{
		{[]string{"face", "mask"}, []string{"face", "mask"}, []int{0, 1, 1}, []string{"face", "mask"}, []int{0, 1, 1}, ""},
		{[]string{"mask", "face"}, []string{"face", "mask"}, []int{0, 1, 1}, []string{"mask", "face"}, []int{1, 0, 0}, ""},
		{[]string{"face", "mask"}, []string{"dog", "face", "mask"}, []int{1, 2}, []string{"face", "mask"}, []int{0, 1}, ""},
		{[]string{"0", "1"}, []string{"face", "mask"}, []int{1}, []string{"face", "mask"}, []int{1}, ""},
		{[]string{"bare", "masked"}, []string{"face", "mask"}, []int{1}, []string{"face", "mask"}, []int{1}, "are taken for the same, in this order"},
		{[]string{"face", "mask"}, []string{"dog", "face", "mask"}, []int{0, 0, 2}, nil, nil, `has 2 labels of "dog", which m.pt does not know, only [face, mask]`},
		{[]string{"face", "mask"}, []string{"mask", "dog"}, []int{0, 1}, nil, nil, `has 1 labels of "dog"`},
		{[]string{"face", "mask"}, []string{"face"}, []int{0}, nil, nil, "m.pt has 2 classes, and d.yaml names 1 of them: take the others away with ultrafast trim"},
		{[]string{"face", "mask"}, []string{"a", "b", "c"}, []int{0}, nil, nil, "m.pt has 2 classes [face, mask], d.yaml has 3, [a, b, c]: train"},
	} {
		g, err := yolo.New(cfg, c.model, 1)
		if err != nil {
			t.Fatal(err)
		}
		var labels []dataset.Label
		for _, class := range c.labels {
			labels = append(labels, dataset.Label{Class: class})
		}
		data := &dataset.Data{Names: c.data, Val: []dataset.Item{{Labels: labels}}}
		var out bytes.Buffer
		got, err := matchClasses(&out, g, "m.pt", data, "d.yaml")
		if c.names == nil {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v with %v: %v, want %s", c.model, c.data, err, c.says)
			}
			continue
		}
		if err != nil || !slices.Equal(got.Names, c.names) || !strings.Contains(out.String(), c.says) || (c.says == "") != (out.Len() == 0) {
			t.Errorf("%v with %v: %v, %q, %v", c.model, c.data, got, out.String(), err)
			continue
		}
		for i, class := range c.want {
			if got.Val[0].Labels[i].Class != class || data.Val[0].Labels[i].Class != c.labels[i] {
				t.Errorf("%v with %v: label %d is %d, want %d", c.model, c.data, i, got.Val[0].Labels[i].Class, class)
			}
		}
	}
}

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/yolo"
)

// matchClasses returns data, which path names, with the classes of the model of weights, and their
// numbers in the labels. Classes are known by their names. A class of the data's without a
// label may be missing in the model, as one that trim took away.
func matchClasses(out io.Writer, g *graph.Graph, weights string, data *dataset.Data, path string) (*dataset.Data, error) {
	n := g.Detect()
	if n == nil {
		return data, nil
	}
	classes := n.Op.(*graph.Detect).Classes
	rows := yolo.ClassRows(g.Names, classes, data.Names)
	labels := data.Count(slices.Concat(data.Train, data.Val, data.Test)).Boxes
	known, lacking, inPlace := 0, []int{}, len(data.Names) == classes
	for i, row := range rows {
		switch {
		case row >= 0:
			known++
			inPlace = inPlace && row == i
		case labels[i] > 0:
			lacking = append(lacking, i)
		}
	}
	switch {
	case len(lacking) > 0 && inPlace:
		fmt.Fprintf(out, "%s calls its classes %s, %s calls them %s: they are taken for the same, in this order\n", weights, someNames(g.Names), path, someNames(data.Names))
		return data, nil
	case known == 0:
		return nil, fmt.Errorf("%s has %d classes%s, %s has %d, %s: train the model on these data first", weights, classes, namesAfter(g.Names), path, len(data.Names), someNames(data.Names))
	case len(lacking) > 0:
		name := data.Names[lacking[0]]
		return nil, fmt.Errorf("%s: has %d labels of %q, which %s does not know, only %s: train the model on these data first, or take the labels out", path, labels[lacking[0]], name, weights, someNames(g.Names))
	case known < classes:
		return nil, fmt.Errorf("%s has %d classes, and %s names %d of them: take the others away with ultrafast trim, or name them in the data too", weights, classes, path, known)
	}
	names := make([]string, classes)
	for i, row := range rows {
		if row >= 0 {
			names[row] = data.Names[i]
		}
	}
	if slices.Equal(names, data.Names) {
		return data, nil
	}
	return data.Renumber(names, rows), nil
}

// someNames lists names, at most ten.
func someNames(names []string) string {
	const most = 10
	more := ""
	if len(names) > most {
		names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
	}
	return "[" + strings.Join(names, ", ") + "]" + more
}

// namesAfter are names behind a count, if there are any.
func namesAfter(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " " + someNames(names)
}

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"ultrafast"
	"ultrafast/graph"
	"ultrafast/yolo"
)

// model loads or makes what is to be trained, for the classes called names, and says what
// it took from where.
func (f *trainFlags) model(out io.Writer, names []string) (*graph.Graph, error) {
	switch {
	case f.weights == "" && f.cfg == "":
		return nil, errors.New("neither --weights nor --cfg is given: name a model to train on, or a description such as yolov5n")
	case f.weights == "":
		return f.newModel(names)
	}
	from, err := ultrafast.Load(f.weights)
	if err != nil {
		return nil, err
	}
	if f.cfg == "" {
		return f.forClasses(out, from, names)
	}
	if q := from.Quantized(); q != nil {
		return nil, fmt.Errorf("--weights %s: %s is quantised, and a new model begins in float: take the weights from before that", f.weights, q.Name)
	}
	g, err := f.newModel(names)
	if err != nil {
		return nil, err
	}
	if d := from.Detect(); d != nil && d.Op.(*graph.Detect).Classes == len(names) {
		if from, err = f.forClasses(out, from, names); err != nil { // in the data's order
			return nil, err
		}
	}
	t := yolo.Take(g, from)
	fmt.Fprintf(out, "%s: %s\n", f.weights, t)
	if t.Taken == 0 {
		return nil, fmt.Errorf("--weights %s: no tensor has the name and shape of one of --cfg %s", f.weights, f.cfg)
	}
	return g, nil
}

// unsized reports whether the model of --cfg has no sizes of anchors, only a number.
func (f *trainFlags) unsized() (bool, error) {
	if !isYAML(f.cfg) {
		return false, nil
	}
	cfg, err := description(f.cfg)
	switch {
	case err != nil:
		return false, err
	case cfg.Unsized && f.noAutoAnchor:
		return false, fmt.Errorf("--noautoanchor: %s gives no sizes of anchors, so they have to be fitted to the labels", f.cfg)
	}
	return cfg.Unsized, nil
}

// newModel makes the model that --cfg describes, with random weights.
func (f *trainFlags) newModel(names []string) (*graph.Graph, error) {
	if !isModel(f.cfg) {
		cfg, err := description(f.cfg)
		if err != nil {
			return nil, err
		}
		return yolo.New(cfg, names, f.seed)
	}
	g, err := ultrafast.Load(f.cfg)
	if err == nil && g.Quantized() != nil {
		err = fmt.Errorf("%s is quantised, and a new model begins in float: take the shape from before that", g.Quantized().Name)
	}
	if err == nil {
		g, _, err = yolo.SetClasses(g, names, f.seed)
	}
	if err == nil {
		err = yolo.Initialize(g, f.seed)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.cfg, err)
	}
	return g, nil
}

// forClasses gives the model of --weights the data's classes, and says what became of them
// where that changed it.
func (f *trainFlags) forClasses(out io.Writer, g *graph.Graph, names []string) (*graph.Graph, error) {
	made, kept, err := yolo.SetClasses(g, names, f.seed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.weights, err)
	}
	before := g.Detect().Op.(*graph.Detect).Classes
	moved, fresh := before != len(names), []string{}
	for i, k := range kept {
		moved = moved || k != i
		if k < 0 {
			fresh = append(fresh, names[i])
		}
	}
	if !moved {
		return made, nil
	}
	const most = 6
	fmt.Fprintf(out, "%s: its %d classes became the data's %d, %d kept by name", f.weights, before, len(names), len(names)-len(fresh))
	if len(fresh) > 0 {
		fmt.Fprintf(out, "; new: %s", strings.Join(fresh[:min(most, len(fresh))], ", "))
	}
	if more := len(fresh) - most; more > 0 {
		fmt.Fprintf(out, " and %d more", more)
	}
	fmt.Fprintln(out)
	return made, nil
}

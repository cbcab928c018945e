//go:build static

package main

import "errors"

var errNoORT = errors.New("this binary was built without ONNX Runtime (tag static), so that it runs anywhere: use the ordinary one")

func openORT(string) (runner, error) { return nil, errNoORT }

//go:build static

package main

import (
	"context"
	"errors"
	"io"

	"ultrafast/train"
	"ultrafast/train/peers"
)

var errStatic = errors.New("this binary was built without training (tag static), so that it runs anywhere: use the ordinary one")

func openTorch(string, int, *peers.Peers) (train.Backend, error) { return nil, errStatic }

func buildTorch(context.Context, string, io.Writer) (string, error) { return "", errStatic }

func torchBuilt() bool { return false }

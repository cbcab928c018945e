//go:build !static

package main

import (
	"context"
	"io"

	"ultrafast/train"
	"ultrafast/train/peers"
	"ultrafast/train/torch"
)

// The three functions here are all that needs libtorch's bridge. Opening a C library at
// run time needs the C library's loader, so the tag "static" leaves them out: that binary
// runs on any Linux, but without training.

func openTorch(device string, workers int, p *peers.Peers) (train.Backend, error) {
	return torch.Open(torch.OpenOptions{Device: device, Workers: workers, Peers: p})
}

func buildTorch(ctx context.Context, dir string, log io.Writer) (string, error) {
	return torch.Build(ctx, torch.BuildOptions{Torch: dir, Log: log})
}

func torchBuilt() bool {
	path, err := torch.Find()
	return err == nil && path != ""
}

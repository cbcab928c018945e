package main

import (
	"fmt"
	"strings"

	"ultrafast/train"
	"ultrafast/train/peers"
)

// openBackend opens what --device names, for several processes unless p is nil.
func openBackend(device string, workers int, p *peers.Peers) (train.Backend, error) {
	if device != "cpu" && device != "cuda" && !strings.HasPrefix(device, "cuda:") {
		return nil, fmt.Errorf("--device %q: want cpu, cuda or cuda:N", device)
	}
	return openTorch(device, workers, p)
}

package main

import (
	"fmt"
	"strings"

	"ultrafast/train"
)

// openBackend opens what --device names.
func openBackend(device string, workers int) (train.Backend, error) {
	if device != "cpu" && device != "cuda" && !strings.HasPrefix(device, "cuda:") {
		return nil, fmt.Errorf("--device %q: want cpu, cuda or cuda:N", device)
	}
	return openTorch(device, workers)
}

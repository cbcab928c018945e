package backendtest

import (
	"testing"

	"ultrafast/train"
)

func TestDrift(t *testing.T) { Suite(t, train.Drift, "") }

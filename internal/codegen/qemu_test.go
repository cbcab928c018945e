package codegen

import (
	"testing"

	"ultrafast/internal/emulator"
)

// TestARM64 runs the other tests for AArch64.
func TestARM64(t *testing.T) { emulator.ARM64(t) }

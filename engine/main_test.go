package engine

import (
	"os"
	"testing"

	"ultrafast/internal/codegen"
	"ultrafast/internal/emulator"
)

// noAMX is why AMX is neither there nor emulated.
var noAMX error

func TestMain(m *testing.M) {
	noAMX = emulator.AMX(codegen.EmulateAMX)
	os.Exit(m.Run())
}

//go:build !(linux && amd64)

package emulator

import "errors"

// AMX returns an error: it is emulated on Linux on an x86-64 alone.
func AMX(func()) error { return errors.New("emulator: no AMX on this system") }

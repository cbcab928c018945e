package emulator

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/cpu"
)

//go:embed amx/tiles.c
var tiles string

// AMX has this process run the instructions of AMX, which its processor lacks, from now on,
// and then calls emulated. A processor that has them is left alone. The error says why
// there is no emulation: the rest of AVX-512 must be there, and gcc.
func AMX(emulated func()) error {
	if cpu.X86.HasAMXTile {
		return nil
	}
	if !cpu.X86.HasAVX512BF16 {
		return errors.New("emulator: the processor does not multiply bfloat16 by AVX-512, beside which AMX stands")
	}
	dir, err := os.MkdirTemp("", "amx")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	library := filepath.Join(dir, "tiles.so")
	gcc := exec.Command("gcc", "-O2", "-mavx512f", "-fPIC", "-shared", "-x", "c", "-o", library, "-")
	gcc.Stdin = strings.NewReader(tiles)
	if out, err := gcc.CombinedOutput(); err != nil {
		return fmt.Errorf("emulator: %v: %w\n%s", gcc, err, out)
	}
	runtime.LockOSThread() // which the loader keeps its message for
	defer runtime.UnlockOSThread()
	if _, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_LOCAL); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	emulated()
	return nil
}

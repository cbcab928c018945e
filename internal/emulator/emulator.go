// Package emulator runs a package's tests for a processor that the machine does not have.
package emulator

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// ARM64 compiles the tests of the package in the working directory for AArch64 and runs
// them, the short ones, by QEMU, and those of 8-bit numbers also on a processor without dot products. It skips where they run as they are, with -short, and
// where the go command or QEMU is missing.
func ARM64(t *testing.T) {
	const qemu = "qemu-aarch64-static"
	if runtime.GOARCH == "arm64" {
		t.Skip("this is an AArch64")
	}
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	for _, tool := range []string{"go", qemu} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	binary := filepath.Join(t.TempDir(), "arm64.test")
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, ".")
	compile.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", compile, err, out)
	}
	for _, args := range [][]string{{binary, "-test.short"}, {"-cpu", "cortex-a53", binary, "-test.short", "-test.run", "Quant|Quads|Bytes"}} {
		run := exec.CommandContext(t.Context(), qemu, args...)
		out, err := run.CombinedOutput()
		if err != nil || len(args) == 2 && bytes.Contains(out, []byte("no tests to run")) {
			t.Errorf("%v: %v\n%s", run, err, out)
		}
	}
}

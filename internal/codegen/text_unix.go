//go:build unix

package codegen

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mapCode returns the code in memory that may be executed and, from now on, not written.
func mapCode(code []byte) ([]byte, error) {
	if len(code) == 0 {
		return nil, nil
	}
	m, err := unix.Mmap(-1, 0, len(code), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("codegen: mapping %d bytes: %w", len(code), err)
	}
	copy(m, code)
	if err := unix.Mprotect(m, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		unix.Munmap(m)
		return nil, fmt.Errorf("codegen: making memory executable: %w", err)
	}
	flushInstructions(m)
	return m, nil
}

func unmapCode(m []byte) {
	if m != nil {
		unix.Munmap(m)
	}
}

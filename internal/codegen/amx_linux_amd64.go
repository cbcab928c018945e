package codegen

import (
	"errors"
	"fmt"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// askAMX asks the system for the registers of AMX, which it gives to a process on request
// alone, since they make the state of its threads 8 KiB larger.
func askAMX() error {
	if !cpu.X86.HasAMXTile || !cpu.X86.HasAMXBF16 || !cpu.X86.HasAMXInt8 || !hasAVX512BF16() {
		return errors.New("the processor has no AMX for bfloat16 and bytes")
	}
	const (
		requestPermission = 0x1023 // ARCH_REQ_XCOMP_PERM
		tileData          = 18
	)
	if _, _, errno := unix.RawSyscall(unix.SYS_ARCH_PRCTL, requestPermission, tileData, 0); errno != 0 {
		return fmt.Errorf("the processor has AMX, but the system refuses it: arch_prctl: %w", errno)
	}
	return nil
}

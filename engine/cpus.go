package engine

import (
	"fmt"
	"slices"
	"strings"

	"ultrafast/internal/codegen"
)

// CPUs lists what Options.CPU may name on this machine. The first is what a program is
// compiled for where nothing is named, the last is Generic.
func CPUs() []string {
	var names []string
	if codegen.Allowed() {
		for _, t := range codegen.Targets() {
			names = append(names, t.String())
		}
	}
	return append(names, Generic)
}

// CheckCPU returns an error where Options.CPU may not be name on this machine. It says what
// it may be, and why there is no AMX if that is asked for.
func CheckCPU(name string) error {
	if name == "" || slices.Contains(CPUs(), name) {
		return nil
	}
	err := fmt.Errorf("this machine runs %s", strings.Join(CPUs(), ", "))
	if why := codegen.AMXMissing(); name == codegen.AMX && why != nil {
		return fmt.Errorf("%w; %w", err, why)
	}
	return err
}

// BF16Missing says why nothing is computed in bfloat16 on this machine; nil where it can be.
func BF16Missing() error {
	_, err := newNative("", BF16, false)
	return err
}

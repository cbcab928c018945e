package engine

import "ultrafast/internal/codegen"

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

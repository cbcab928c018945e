//go:build !windows

package ort

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// symbol loads a library and returns the address of one of its functions.
func symbol(library, name string) (uintptr, error) {
	// The loader keeps its message for the thread that failed, and purego asks in a second call.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	handle, err := purego.Dlopen(library, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, err
	}
	return purego.Dlsym(handle, name)
}

// fileName returns a path as the library takes it.
func fileName(path string) *byte { return &append([]byte(path), 0)[0] }

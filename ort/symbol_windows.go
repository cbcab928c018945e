package ort

import "syscall"

// symbol loads a library and returns the address of one of its functions.
func symbol(library, name string) (uintptr, error) {
	handle, err := syscall.LoadLibrary(library)
	if err != nil {
		return 0, err
	}
	return syscall.GetProcAddress(handle, name)
}

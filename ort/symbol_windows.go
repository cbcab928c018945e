package ort

import (
	"syscall"
	"unicode/utf16"
	"unsafe"
)

// symbol loads a library and returns the address of one of its functions.
func symbol(library, name string) (uintptr, error) {
	handle, err := syscall.LoadLibrary(library)
	if err != nil {
		return 0, err
	}
	return syscall.GetProcAddress(handle, name)
}

// fileName returns a path as the library takes it: in UTF-16.
func fileName(path string) *byte {
	return (*byte)(unsafe.Pointer(&append(utf16.Encode([]rune(path)), 0)[0]))
}

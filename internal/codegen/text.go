package codegen

import (
	"runtime"
	"sync"
	"unsafe"
)

// A Text is executable code and its constants. It is never changed and may be called from
// any number of goroutines.
type Text struct {
	code   []byte // mapped readable and executable
	consts []byte
}

// Args are a kernel's arguments: addresses and counts, as the kernel's kind defines.
type Args [9]uintptr

const (
	argConst = 7 // the address of the constants, which Call fills in
	argRows  = 8 // of ConvAMX
)

// Finish maps the code. The error says why the system refuses executable memory.
func (b *Builder) Finish() (*Text, error) {
	code, err := mapCode(b.code)
	if err != nil {
		return nil, err
	}
	t := &Text{code, aligned(len(b.consts.data))}
	copy(t.consts, b.consts.data)
	runtime.AddCleanup(t, unmapCode, code)
	return t, nil
}

// Call runs kernel f. The memory that a points to must be alive, mapped and as large as
// the kernel's spec says.
func (t *Text) Call(f Func, a *Args) {
	a[argConst] = uintptr(unsafe.Pointer(&t.consts[0]))
	call(uintptr(unsafe.Pointer(&t.code[f])), a)
	runtime.KeepAlive(t)
}

// aligned returns n bytes that begin at a multiple of 64.
func aligned(n int) []byte {
	b := make([]byte, n+constSize)
	skip := -int(uintptr(unsafe.Pointer(&b[0]))) & (constSize - 1)
	return b[skip:][:n:n]
}

// Allowed reports whether the system lets this process execute code that it has written.
var Allowed = sync.OnceValue(func() bool {
	m, err := mapCode([]byte{0})
	unmapCode(m)
	return err == nil
})

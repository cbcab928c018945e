package ort

import (
	"fmt"
	"unsafe"

	"github.com/ebitengine/purego"
)

// A Runtime is the loaded library. It may be used by several goroutines.
type Runtime struct {
	api       api
	version   string
	library   string
	env       unsafe.Pointer
	memory    unsafe.Pointer // describes plain CPU memory
	allocator unsafe.Pointer // the library's own, never released
}

// base is the C struct OrtApiBase.
type base struct {
	getAPI, getVersionString uintptr
}

// Open loads the library (see Find) and starts ONNX Runtime. The library stays in memory
// until the program ends; Close gives back the rest.
func Open(library string) (*Runtime, error) {
	entry, err := symbol(library, "OrtGetApiBase")
	if err != nil {
		return nil, fmt.Errorf("load ONNX Runtime: %w", err)
	}
	var getBase func() *base
	purego.RegisterFunc(&getBase, entry)
	b := getBase()
	var getAPI func(version uint32) *[apiTableEntries]uintptr
	var getVersion func() string
	purego.RegisterFunc(&getAPI, b.getAPI)
	purego.RegisterFunc(&getVersion, b.getVersionString)
	r := &Runtime{version: getVersion(), library: library}
	table := getAPI(apiVersion)
	if table == nil {
		return nil, fmt.Errorf("ONNX Runtime %s in %s is too old: 1.%d or later is needed", r.version, library, apiVersion)
	}
	if err := r.api.bind(table); err != nil {
		return nil, fmt.Errorf("ONNX Runtime %s in %s: %w", r.version, library, err)
	}
	if err := r.start(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Runtime) start() error {
	a := &r.api
	if err := a.check("start", a.createEnv(logError, "ultrafast", &r.env)); err != nil {
		return err
	}
	if err := a.check("describe memory", a.createCPUMemoryInfo(arenaAllocator, memTypeDefault, &r.memory)); err != nil {
		return err
	}
	return a.check("find the allocator", a.defaultAllocator(&r.allocator))
}

// String names library and version: "ONNX Runtime 1.30.0".
func (r *Runtime) String() string { return "ONNX Runtime " + r.version }

// Version returns the library's version: "1.30.0".
func (r *Runtime) Version() string { return r.version }

// Close ends ONNX Runtime. Its sessions must be closed before.
func (r *Runtime) Close() error {
	if r.memory != nil {
		r.api.releaseMemoryInfo(r.memory)
		r.memory = nil
	}
	if r.env != nil {
		r.api.releaseEnv(r.env)
		r.env = nil
	}
	return nil
}

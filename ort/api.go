package ort

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// apiVersion is that of ONNX Runtime 1.12, the first that knows opset 17. Newer libraries
// serve older versions of their interface.
const apiVersion = 12

// Values of the C interface's enumerations (onnxruntime_c_api.h).
const (
	logError        = 3  // OrtLoggingLevel
	sequential      = 0  // ExecutionMode
	optimiseAll     = 99 // GraphOptimizationLevel
	arenaAllocator  = 1  // OrtAllocatorType
	memTypeDefault  = 0  // OrtMemType
	elementFloat    = 1  // ONNXTensorElementDataType
	typeInfoTensor  = 1  // ONNXType
	maxTensorRank   = 16 // more than any detector has
	maxValues       = 64 // inputs or outputs of a model
	maxThreads      = 1 << 10
	maxNameInModel  = 1 << 12
	apiTableEntries = 209 // those up to ReleaseCUDAProviderOptions
)

// api holds the functions of OrtApi that are used here. Each of those that can fail
// returns a status, nil for success, which check turns into an error and releases.
type api struct {
	getErrorMessage func(status unsafe.Pointer) string
	releaseStatus   func(status unsafe.Pointer)

	createEnv  func(level int32, id string, env *unsafe.Pointer) unsafe.Pointer
	releaseEnv func(env unsafe.Pointer)

	createSessionOptions  func(options *unsafe.Pointer) unsafe.Pointer
	setExecutionMode      func(options unsafe.Pointer, mode int32) unsafe.Pointer
	setOptimization       func(options unsafe.Pointer, level int32) unsafe.Pointer
	setIntraOpThreads     func(options unsafe.Pointer, n int32) unsafe.Pointer
	setConfig             func(options unsafe.Pointer, key, value string) unsafe.Pointer
	enableProfiling       func(options unsafe.Pointer, prefix *byte) unsafe.Pointer
	releaseSessionOptions func(options unsafe.Pointer)

	createCUDAOptions      func(cuda *unsafe.Pointer) unsafe.Pointer
	appendCUDA             func(options, cuda unsafe.Pointer) unsafe.Pointer
	releaseCUDAOptions     func(cuda unsafe.Pointer)
	createTensorRTOptions  func(trt *unsafe.Pointer) unsafe.Pointer
	appendTensorRT         func(options, trt unsafe.Pointer) unsafe.Pointer
	releaseTensorRTOptions func(trt unsafe.Pointer)

	createSessionFromArray func(env unsafe.Pointer, model *byte, size uintptr, options unsafe.Pointer, session *unsafe.Pointer) unsafe.Pointer
	releaseSession         func(session unsafe.Pointer)
	inputCount             func(session unsafe.Pointer, n *uintptr) unsafe.Pointer
	outputCount            func(session unsafe.Pointer, n *uintptr) unsafe.Pointer
	inputTypeInfo          func(session unsafe.Pointer, i uintptr, info *unsafe.Pointer) unsafe.Pointer
	outputTypeInfo         func(session unsafe.Pointer, i uintptr, info *unsafe.Pointer) unsafe.Pointer
	inputName              func(session unsafe.Pointer, i uintptr, allocator unsafe.Pointer, name **byte) unsafe.Pointer
	outputName             func(session unsafe.Pointer, i uintptr, allocator unsafe.Pointer, name **byte) unsafe.Pointer
	endProfiling           func(session, allocator unsafe.Pointer, file **byte) unsafe.Pointer

	// run's arguments are session, options, names of inputs, inputs, their count, names
	// of outputs, their count, outputs. It is called by its address, since a registered
	// function allocates at every call.
	run uintptr

	createTensorWithData func(memory unsafe.Pointer, data unsafe.Pointer, size uintptr, shape *int64, rank uintptr, element int32, value *unsafe.Pointer) unsafe.Pointer
	tensorData           func(value unsafe.Pointer, data *unsafe.Pointer) unsafe.Pointer
	tensorTypeAndShape   func(value unsafe.Pointer, info *unsafe.Pointer) unsafe.Pointer
	releaseValue         func(value unsafe.Pointer)

	typeOf              func(info unsafe.Pointer, kind *int32) unsafe.Pointer
	castToTensorInfo    func(info unsafe.Pointer, tensor *unsafe.Pointer) unsafe.Pointer
	elementType         func(tensor unsafe.Pointer, element *int32) unsafe.Pointer
	rank                func(tensor unsafe.Pointer, n *uintptr) unsafe.Pointer
	dimensions          func(tensor unsafe.Pointer, d *int64, n uintptr) unsafe.Pointer
	releaseTypeInfo     func(info unsafe.Pointer)
	releaseTypeAndShape func(tensor unsafe.Pointer)

	createCPUMemoryInfo func(allocator, memory int32, info *unsafe.Pointer) unsafe.Pointer
	releaseMemoryInfo   func(info unsafe.Pointer)
	defaultAllocator    func(allocator *unsafe.Pointer) unsafe.Pointer
	allocatorFree       func(allocator unsafe.Pointer, p *byte) unsafe.Pointer
}

// bind fills a from the table of functions. The order of OrtApi's members never changes;
// the numbers are their positions in onnxruntime_c_api.h, all within version 12's table.
func (a *api) bind(table *[apiTableEntries]uintptr) error {
	for _, f := range []struct {
		at int
		fn any
	}{
		{2, &a.getErrorMessage},
		{3, &a.createEnv},
		{8, &a.createSessionFromArray},
		{10, &a.createSessionOptions},
		{13, &a.setExecutionMode},
		{14, &a.enableProfiling},
		{23, &a.setOptimization},
		{24, &a.setIntraOpThreads},
		{30, &a.inputCount},
		{31, &a.outputCount},
		{33, &a.inputTypeInfo},
		{34, &a.outputTypeInfo},
		{36, &a.inputName},
		{37, &a.outputName},
		{49, &a.createTensorWithData},
		{51, &a.tensorData},
		{55, &a.castToTensorInfo},
		{56, &a.typeOf},
		{60, &a.elementType},
		{61, &a.rank},
		{62, &a.dimensions},
		{65, &a.tensorTypeAndShape},
		{69, &a.createCPUMemoryInfo},
		{76, &a.allocatorFree},
		{78, &a.defaultAllocator},
		{92, &a.releaseEnv},
		{93, &a.releaseStatus},
		{94, &a.releaseMemoryInfo},
		{95, &a.releaseSession},
		{96, &a.releaseValue},
		{98, &a.releaseTypeInfo},
		{99, &a.releaseTypeAndShape},
		{100, &a.releaseSessionOptions},
		{110, &a.endProfiling},
		{130, &a.setConfig},
		{170, &a.appendTensorRT},
		{171, &a.createTensorRTOptions},
		{174, &a.releaseTensorRTOptions},
		{204, &a.appendCUDA},
		{205, &a.createCUDAOptions},
		{208, &a.releaseCUDAOptions},
	} {
		if table[f.at] == 0 {
			return fmt.Errorf("function %d of its table is missing", f.at)
		}
		purego.RegisterFunc(f.fn, table[f.at])
	}
	if a.run = table[9]; a.run == 0 {
		return errors.New("its table has no function to run a model")
	}
	return nil
}

// check turns a status into an error that says what was being done, on one line.
func (a *api) check(doing string, status unsafe.Pointer) error {
	if status == nil {
		return nil
	}
	defer a.releaseStatus(status)
	return fmt.Errorf("ONNX Runtime: %s: %s", doing, strings.Join(strings.Fields(a.getErrorMessage(status)), " "))
}

// take copies a string that the library allocated, and frees it.
func (a *api) take(allocator unsafe.Pointer, s *byte) (string, error) {
	n := 0
	for n < maxNameInModel && *(*byte)(unsafe.Add(unsafe.Pointer(s), n)) != 0 {
		n++
	}
	text := string(unsafe.Slice(s, n))
	return text, a.check("freeing a name", a.allocatorFree(allocator, s))
}

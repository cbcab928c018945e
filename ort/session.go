package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"ultrafast/tensor"
)

// Options says how a model runs. The zero value is good.
type Options struct {
	Threads int // for one operator; 0 lets ONNX Runtime take every core
}

// A Value is an input or an output of a model. A dimension of -1 is open.
type Value struct {
	Name  string
	Shape []int
}

// A Session is a loaded model. One goroutine at a time may use it.
type Session struct {
	Inputs, Outputs []Value

	runtime         *Runtime
	handle          unsafe.Pointer
	inName, outName []*byte // zero-terminated, as Run wants them
	out             []*tensor.Tensor
}

// Load reads an ONNX model, which is not kept. Every input and output must be a tensor of
// float32, and there must be exactly one input.
func (r *Runtime) Load(model []byte, o Options) (*Session, error) {
	if len(model) == 0 {
		return nil, errors.New("ONNX Runtime: the model is empty")
	}
	if r.env == nil {
		return nil, errors.New("ONNX Runtime: is closed")
	}
	a := &r.api
	var options unsafe.Pointer
	if err := a.check("make options", a.createSessionOptions(&options)); err != nil {
		return nil, err
	}
	defer a.releaseSessionOptions(options)
	if err := errors.Join(
		a.check("set mode", a.setExecutionMode(options, sequential)),
		a.check("set optimisation", a.setOptimization(options, optimiseAll)),
		a.check("set threads", a.setIntraOpThreads(options, int32(o.Threads))),
	); err != nil {
		return nil, err
	}
	s := &Session{runtime: r}
	if err := a.check("load model", a.createSessionFromArray(r.env, &model[0], uintptr(len(model)), options, &s.handle)); err != nil {
		return nil, err
	}
	if err := s.describe(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) describe() error {
	a := &s.runtime.api
	var err error
	if s.Inputs, s.inName, err = s.values(a.inputCount, a.inputName, a.inputTypeInfo); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if len(s.Inputs) != 1 {
		return fmt.Errorf("ONNX Runtime: the model has %d inputs, want one", len(s.Inputs))
	}
	if s.Outputs, s.outName, err = s.values(a.outputCount, a.outputName, a.outputTypeInfo); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	s.out = make([]*tensor.Tensor, len(s.Outputs))
	return nil
}

func (s *Session) values(
	count func(unsafe.Pointer, *uintptr) unsafe.Pointer,
	name func(unsafe.Pointer, uintptr, unsafe.Pointer, **byte) unsafe.Pointer,
	info func(unsafe.Pointer, uintptr, *unsafe.Pointer) unsafe.Pointer,
) (all []Value, names []*byte, err error) {
	a := &s.runtime.api
	var n uintptr
	if err := a.check("count", count(s.handle, &n)); err != nil {
		return nil, nil, err
	}
	if n == 0 || n > maxValues {
		return nil, nil, fmt.Errorf("ONNX Runtime: the model has %d, want 1 to %d", n, maxValues)
	}
	for i := range n {
		var text *byte
		if err := a.check("name", name(s.handle, i, s.runtime.allocator, &text)); err != nil {
			return nil, nil, err
		}
		v := Value{}
		if v.Name, err = a.take(s.runtime.allocator, text); err != nil {
			return nil, nil, err
		}
		if v.Shape, err = s.typeShape(i, info); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", v.Name, err)
		}
		all = append(all, v)
		names = append(names, &append([]byte(v.Name), 0)[0])
	}
	return all, names, nil
}

// typeShape returns the declared shape of an input or output.
func (s *Session) typeShape(i uintptr, get func(unsafe.Pointer, uintptr, *unsafe.Pointer) unsafe.Pointer) ([]int, error) {
	a := &s.runtime.api
	var info, shape unsafe.Pointer
	if err := a.check("type", get(s.handle, i, &info)); err != nil {
		return nil, err
	}
	defer a.releaseTypeInfo(info)
	var kind int32
	if err := a.check("type", a.typeOf(info, &kind)); err != nil {
		return nil, err
	}
	if kind != typeInfoTensor {
		return nil, fmt.Errorf("is of ONNX type %d, want a tensor", kind)
	}
	if err := a.check("type", a.castToTensorInfo(info, &shape)); err != nil {
		return nil, err
	}
	return a.shape(shape)
}

// shape reads a shape and checks that the elements are float32.
func (a *api) shape(info unsafe.Pointer) ([]int, error) {
	var element int32
	var rank uintptr
	if err := a.check("element type", a.elementType(info, &element)); err != nil {
		return nil, err
	}
	if element != elementFloat {
		return nil, fmt.Errorf("has elements of ONNX type %d, want float32 (%d)", element, elementFloat)
	}
	if err := a.check("rank", a.rank(info, &rank)); err != nil {
		return nil, err
	}
	if rank > maxTensorRank {
		return nil, fmt.Errorf("has %d dimensions, want at most %d", rank, maxTensorRank)
	}
	var dims [maxTensorRank]int64
	if err := a.check("dimensions", a.dimensions(info, &dims[0], rank)); err != nil {
		return nil, err
	}
	shape := make([]int, rank)
	for i := range shape {
		shape[i] = int(dims[i])
	}
	return shape, nil
}

// Run computes the outputs for x. They are valid until the next Run.
func (s *Session) Run(x *tensor.Tensor) ([]*tensor.Tensor, error) {
	if s.handle == nil {
		return nil, errors.New("ONNX Runtime: session is closed")
	}
	if len(x.Data) == 0 || len(x.Data) != x.Len() {
		return nil, fmt.Errorf("ONNX Runtime: input of shape %v holds %d numbers", x.Shape, len(x.Data))
	}
	a := &s.runtime.api
	// The library keeps the address of the data beyond the call that is given it.
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&x.Data[0])
	shape := make([]int64, len(x.Shape))
	for i, d := range x.Shape {
		shape[i] = int64(d)
	}
	var in unsafe.Pointer
	if err := a.check("wrap input", a.createTensorWithData(s.runtime.memory, unsafe.Pointer(&x.Data[0]), uintptr(4*len(x.Data)),
		unsafe.SliceData(shape), uintptr(len(shape)), elementFloat, &in)); err != nil {
		return nil, err
	}
	defer a.releaseValue(in)
	out := make([]unsafe.Pointer, len(s.Outputs))
	defer func() {
		for _, v := range out {
			if v != nil {
				a.releaseValue(v)
			}
		}
	}()
	if err := a.check("run", a.run(s.handle, nil, &s.inName[0], &in, 1, &s.outName[0], uintptr(len(out)), &out[0])); err != nil {
		return nil, err
	}
	for i, v := range out {
		if err := s.fetch(i, v); err != nil {
			return nil, fmt.Errorf("output %s: %w", s.Outputs[i].Name, err)
		}
	}
	return s.out, nil
}

// fetch copies a result into the session's own tensor.
func (s *Session) fetch(i int, value unsafe.Pointer) error {
	a := &s.runtime.api
	var info, data unsafe.Pointer
	if err := a.check("shape", a.tensorTypeAndShape(value, &info)); err != nil {
		return err
	}
	defer a.releaseTypeAndShape(info)
	shape, err := a.shape(info)
	if err != nil {
		return err
	}
	if s.out[i] == nil || !slices.Equal(s.out[i].Shape, shape) {
		if _, err := tensor.Count(shape); err != nil {
			return err
		}
		s.out[i] = tensor.New(shape...)
	}
	if len(s.out[i].Data) == 0 {
		return nil
	}
	if err := a.check("data", a.tensorData(value, &data)); err != nil {
		return err
	}
	copy(s.out[i].Data, unsafe.Slice((*float32)(data), len(s.out[i].Data)))
	return nil
}

// Close gives the model's memory back.
func (s *Session) Close() error {
	if s.handle != nil {
		s.runtime.api.releaseSession(s.handle)
		s.handle = nil
	}
	return nil
}

package ort

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// Options says how a model runs. The zero value is good.
type Options struct {
	Threads  int      // for one operator, the caller's included; 0 lets ONNX Runtime take every core
	NoSpin   bool     // idle threads sleep at once, instead of looking for work for a while
	Provider Provider // "" means CPU
	Profile  bool     // note the time of every operator, for EndProfile
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
	profile         string  // the folder of the profile, or ""
	bound
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
	if err := r.configure(options, o); err != nil {
		return nil, err
	}
	s := &Session{runtime: r}
	if err := s.load(model, options, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (r *Runtime) configure(options unsafe.Pointer, o Options) error {
	a := &r.api
	if o.Threads < 0 || o.Threads > maxThreads {
		return fmt.Errorf("ONNX Runtime: %d threads, want 0 to %d", o.Threads, maxThreads)
	}
	spin := "1"
	if o.NoSpin {
		spin = "0"
	}
	for _, err := range []error{
		a.check("set mode", a.setExecutionMode(options, sequential)),
		a.check("set optimisation", a.setOptimization(options, optimiseAll)),
		a.check("set threads", a.setIntraOpThreads(options, int32(o.Threads))),
		a.check("set spinning", a.setConfig(options, "session.intra_op.allow_spinning", spin)),
	} {
		if err != nil {
			return err
		}
	}
	return r.use(o.Provider, options)
}

func (s *Session) load(model []byte, options unsafe.Pointer, o Options) error {
	a := &s.runtime.api
	if o.Profile {
		if err := s.startProfile(options); err != nil {
			return err
		}
	}
	if err := a.check("load model", a.createSessionFromArray(s.runtime.env, &model[0], uintptr(len(model)), options, &s.handle)); err != nil {
		return err
	}
	return s.describe()
}

func (s *Session) describe() error {
	a := &s.runtime.api
	var err error
	if s.Inputs, s.inName, err = s.list(a.inputCount, a.inputName, a.inputTypeInfo); err != nil {
		return fmt.Errorf("input: %w", err)
	}
	if len(s.Inputs) != 1 {
		return fmt.Errorf("ONNX Runtime: the model has %d inputs, want one", len(s.Inputs))
	}
	if s.Outputs, s.outName, err = s.list(a.outputCount, a.outputName, a.outputTypeInfo); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

func (s *Session) list(
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

// Close gives the model's memory back.
func (s *Session) Close() error {
	s.unbind()
	if s.handle != nil {
		s.runtime.api.releaseSession(s.handle)
		s.handle = nil
	}
	if s.profile != "" {
		err := os.RemoveAll(s.profile)
		s.profile = ""
		return err
	}
	return nil
}

package ort

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"github.com/ebitengine/purego"

	"ultrafast/tensor"
)

// bound is what a session's last run read and wrote: values of the library over Go's
// memory, which is pinned while it runs. A run with an input of the same shape, at the same
// place, copies nothing, and allocates nothing but the arguments of the call.
type bound struct {
	x       *float32 // where the input is
	in      unsafe.Pointer
	shape   []int // of the input that out is made for; nil before the first run
	out     []unsafe.Pointer
	results []*tensor.Tensor // what out lies over
	pin     runtime.Pinner
}

// Run computes the outputs for x, whose shape must settle theirs. They are valid until the
// next Run. x is only read, but kept until Run has another or the session is closed.
func (s *Session) Run(x *tensor.Tensor) ([]*tensor.Tensor, error) {
	if s.handle == nil {
		return nil, errors.New("ONNX Runtime: session is closed")
	}
	if len(x.Data) == 0 || len(x.Data) != x.Len() {
		return nil, fmt.Errorf("ONNX Runtime: input of shape %v holds %d numbers", x.Shape, len(x.Data))
	}
	if !slices.Equal(x.Shape, s.shape) {
		if err := s.first(x); err != nil {
			s.unbind()
			return nil, err
		}
		return s.results, nil
	}
	if &x.Data[0] != s.x {
		if err := s.bindInput(x); err != nil {
			return nil, err
		}
	}
	if err := s.run(s.out); err != nil {
		return nil, err
	}
	return s.results, nil
}

// run fills out, and makes the values that are nil there.
func (s *Session) run(out []unsafe.Pointer) error {
	a := &s.runtime.api
	defer s.pin.Unpin()
	s.pin.Pin(s.x)
	for _, t := range s.results {
		if len(t.Data) > 0 {
			s.pin.Pin(&t.Data[0])
		}
	}
	status, _, _ := purego.SyscallN(a.run, uintptr(s.handle), 0,
		uintptr(unsafe.Pointer(&s.inName[0])), uintptr(unsafe.Pointer(&s.in)), 1,
		uintptr(unsafe.Pointer(&s.outName[0])), uintptr(len(out)), uintptr(unsafe.Pointer(&out[0])))
	return a.check("run", *(*unsafe.Pointer)(unsafe.Pointer(&status)))
}

// first runs the model on an input of a new shape, with results of the library's own, and
// makes what the next runs write to like them.
func (s *Session) first(x *tensor.Tensor) error {
	s.unbind()
	if err := s.bindInput(x); err != nil {
		return err
	}
	made := make([]unsafe.Pointer, len(s.Outputs))
	err := s.run(made)
	for i, v := range made {
		if v == nil {
			continue
		}
		if err == nil {
			if err = s.bindOutput(v); err != nil {
				err = fmt.Errorf("output %s: %w", s.Outputs[i].Name, err)
			}
		}
		s.runtime.api.releaseValue(v)
	}
	if err == nil {
		s.shape = slices.Clone(x.Shape)
	}
	return err
}

// bindOutput copies a result and has the next runs write to the copy.
func (s *Session) bindOutput(result unsafe.Pointer) error {
	a := &s.runtime.api
	shape, err := a.valueShape(result)
	if err != nil {
		return err
	}
	if _, err := tensor.Count(shape); err != nil {
		return err
	}
	t := tensor.New(shape...)
	var data unsafe.Pointer
	if err := a.check("data", a.tensorData(result, &data)); err != nil {
		return err
	}
	if len(t.Data) > 0 {
		copy(t.Data, unsafe.Slice((*float32)(data), len(t.Data)))
	}
	v, err := s.wrap(t)
	if err != nil {
		return err
	}
	s.results, s.out = append(s.results, t), append(s.out, v)
	return nil
}

func (a *api) valueShape(value unsafe.Pointer) ([]int, error) {
	var info unsafe.Pointer
	if err := a.check("shape", a.tensorTypeAndShape(value, &info)); err != nil {
		return nil, err
	}
	defer a.releaseTypeAndShape(info)
	return a.shape(info)
}

// bindInput has the next runs read x.
func (s *Session) bindInput(x *tensor.Tensor) error {
	s.unbindInput()
	var err error
	if s.in, err = s.wrap(x); err != nil {
		s.unbindInput()
		return fmt.Errorf("input: %w", err)
	}
	s.x = &x.Data[0]
	return nil
}

// wrap returns a value that lies over t's numbers.
func (s *Session) wrap(t *tensor.Tensor) (unsafe.Pointer, error) {
	shape := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		shape[i] = int64(d)
	}
	a := &s.runtime.api
	var v unsafe.Pointer
	err := a.check("wrap", a.createTensorWithData(s.runtime.memory, unsafe.Pointer(unsafe.SliceData(t.Data)), uintptr(4*len(t.Data)),
		unsafe.SliceData(shape), uintptr(len(shape)), elementFloat, &v))
	return v, err
}

func (s *Session) unbindInput() {
	if s.in != nil {
		s.runtime.api.releaseValue(s.in)
	}
	s.in, s.x = nil, nil
}

func (s *Session) unbind() {
	s.unbindInput()
	for _, v := range s.out {
		s.runtime.api.releaseValue(v)
	}
	s.out, s.results, s.shape = nil, nil, nil
}

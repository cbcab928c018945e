package torch

import (
	"fmt"
	"unsafe"

	"ultrafast/tensor"
)

// A scope owns the tensors of one piece of work. All of them go when it closes, so that
// memory does not wait for Go's garbage collector, which cannot see how large they are.
type scope struct {
	lib  *library
	held map[handle]struct{}
}

func (l *library) scope() *scope { return &scope{l, map[handle]struct{}{}} }

// keep takes what a call returned into the scope.
func (s *scope) keep(h handle, m message) (handle, error) {
	if err := s.lib.err(m); err != nil {
		return 0, err
	}
	s.held[h] = struct{}{}
	return h, nil
}

// drop frees a tensor of the scope early; libtorch keeps what the way back needs.
func (s *scope) drop(h handle) {
	if _, ok := s.held[h]; ok {
		delete(s.held, h)
		s.lib.free(&h, 1)
	}
}

// close frees everything. A closed scope can be closed again.
func (s *scope) close() {
	all := make([]handle, 0, len(s.held))
	for h := range s.held {
		all = append(all, h)
	}
	clear(s.held)
	s.lib.free(unsafe.SliceData(all), int64(len(all)))
}

// place says where tensors live and in which order of memory.
type place struct {
	device       int64 // -1 the CPU, else CUDA's index
	channelsLast bool
}

// new copies numbers to a tensor of the scope.
func (s *scope) new(p place, data []float32, shape []int) (handle, error) {
	count, err := tensor.Count(shape)
	if err != nil {
		return 0, err
	}
	if count == 0 || count != len(data) {
		return 0, fmt.Errorf("%d numbers for a tensor of shape %v", len(data), shape)
	}
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	var h handle
	m := s.lib.newFrom(&h, &data[0], &dims[0], int64(len(dims)), p.device, flag(p.channelsLast))
	return s.keep(h, m)
}

func (l *library) readTo(data []float32, h handle) error {
	return l.err(l.read(h, unsafe.SliceData(data), int64(len(data))))
}

func (l *library) writeFrom(h handle, data []float32) error {
	return l.err(l.write(h, unsafe.SliceData(data), int64(len(data))))
}

// mixInto sets dst[i] to the sum over j of weights[j]*src[j][i].
func (l *library) mixInto(dst []handle, weights []float64, src ...[]handle) error {
	if len(dst) == 0 {
		return nil
	}
	var all []handle
	for _, s := range src {
		all = append(all, s...)
	}
	return l.err(l.mix(&dst[0], &all[0], &weights[0], int64(len(dst)), int64(len(src))))
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

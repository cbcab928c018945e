package train

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"

	"ultrafast/tensor"
)

// A scaler gives every batch another size. It keeps memory between batches.
type scaler struct {
	seed         uint64
	size, stride int
	data         []float32
}

// side draws the longer side of a batch: half to one and a half times the size, in whole
// strides (YOLOv5 v7.0, --multi-scale). It follows from seed, epoch and step alone.
func (s *scaler) side(epoch, step int) int {
	var key [32]byte
	for i, v := range []uint64{s.seed, uint64(epoch), uint64(step)} {
		binary.LittleEndian.PutUint64(key[8*i:], v)
	}
	low := s.size / 2
	n := low + rand.New(rand.NewChaCha8(key)).IntN(s.size*3/2+s.stride-low)
	return max(n/s.stride, 1) * s.stride
}

// scale returns x, a batch [N,C,h,w], with the longer side drawn for a step and the other
// one in proportion, rounded up to whole strides. The result is valid until the next call.
func (s *scaler) scale(x *tensor.Tensor, epoch, step int) *tensor.Tensor {
	h, w := x.Shape[2], x.Shape[3]
	gain := float64(s.side(epoch, step)) / float64(max(h, w))
	if gain == 1 {
		return x
	}
	strides := func(side int) int {
		return int(math.Ceil(float64(side)*gain/float64(s.stride))) * s.stride
	}
	y := &tensor.Tensor{Shape: []int{x.Shape[0], x.Shape[1], strides(h), strides(w)}}
	if cap(s.data) < y.Len() {
		s.data = make([]float32, y.Len())
	}
	y.Data = s.data[:y.Len()]
	resize(y, x)
	return y
}

// resize fills dst with src, both [N,C,h,w], bilinearly, as torch's interpolate does
// without align_corners: pixel i lies at (i+1/2)*from/to - 1/2, at least 0.
func resize(dst, src *tensor.Tensor) {
	cols, rows := axis(dst.Shape[3], src.Shape[3]), axis(dst.Shape[2], src.Shape[2])
	in, out := src.Shape[2]*src.Shape[3], len(rows)*len(cols)
	planes := dst.Shape[0] * dst.Shape[1]
	workers := min(runtime.GOMAXPROCS(0), planes)
	var wg sync.WaitGroup
	for k := range workers {
		wg.Go(func() {
			for p := planes * k / workers; p < planes*(k+1)/workers; p++ {
				resizePlane(dst.Data[p*out:(p+1)*out], src.Data[p*in:(p+1)*in], src.Shape[3], rows, cols)
			}
		})
	}
	wg.Wait()
}

// A tap is where a pixel comes from: two neighbours and the weight of the second.
type tap struct {
	a, b int
	w    float32
}

func axis(to, from int) []tap {
	taps := make([]tap, to)
	for i := range taps {
		at := max((float64(i)+0.5)*float64(from)/float64(to)-0.5, 0)
		a := min(int(at), from-1)
		taps[i] = tap{a, min(a+1, from-1), float32(at - float64(a))}
	}
	return taps
}

func resizePlane(dst, src []float32, width int, rows, cols []tap) {
	for _, r := range rows {
		upper, lower := src[r.a*width:][:width], src[r.b*width:][:width]
		for x, c := range cols {
			u := upper[c.a] + (upper[c.b]-upper[c.a])*c.w
			l := lower[c.a] + (lower[c.b]-lower[c.a])*c.w
			dst[x] = u + (l-u)*r.w
		}
		dst = dst[len(cols):]
	}
}

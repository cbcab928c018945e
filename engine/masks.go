package engine

import (
	"math"

	"ultrafast/internal/codegen"
)

// maskTable makes the masks that kernels and to their results with: vectors of 16 lanes,
// all bits set where a lane belongs to the map.
type maskTable struct {
	lasts map[int][]float32 // by lanes that count
	alls  map[*layout][]float32
}

func newMaskTable() maskTable {
	return maskTable{map[int][]float32{}, map[*layout][]float32{}}
}

var set = math.Float32frombits(math.MaxUint32)

// last returns the mask of the last vector of a row that is w wide.
func (m *maskTable) last(w, lanes int) []float32 {
	rest := (w-1)%lanes + 1
	if m.lasts[rest] == nil {
		m.lasts[rest] = m.make(1, func(_, lane int) bool { return lane < rest })
	}
	return m.lasts[rest]
}

// all returns the masks of the vectors of a flat map.
func (m *maskTable) all(l *layout, vectors int) []float32 {
	if m.alls[l] == nil {
		m.alls[l] = m.make(vectors, func(v, lane int) bool {
			i := v*l.lanes + lane
			return lane < l.lanes && i%l.line < l.w && i/l.line < l.h
		})
	}
	return m.alls[l]
}

// squares returns the masks for the columns that squares read, as SquaresInput takes them.
func (m *maskTable) squares(k *nativeConv, s codegen.Strip) []float32 {
	lanes := k.y.lanes
	in := s.Masks(k.x.w+2, lanes)
	return m.make(len(in)/lanes, func(v, lane int) bool { return lane < lanes && in[v*lanes+lane] })
}

func (m *maskTable) make(vectors int, in func(v, lane int) bool) []float32 {
	t := make([]float32, lead*vectors)
	for i := range t {
		if in(i/lead, i%lead) {
			t[i] = set
		}
	}
	return t
}

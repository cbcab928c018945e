package engine

import "ultrafast/graph"

// A detect decodes raw maps [N, A*F, h, w] into boxes [N, boxes, F], F = 5+classes, by the
// formulas at graph.Detect. A job is one row of cells of one picture, level and anchor.
type detect struct {
	levels         []level
	out            int // the value to write
	pictures       int
	boxes, fields  int
	jobsPerPicture int
}

type level struct {
	in      int // the value to read
	anchors [][2]float32
	stride  float32
	h, w    int
	box     int // index of its first box in a picture
	job     int // index of its first job in a picture
}

func newDetect(o *graph.Detect, in []int, x []graph.Shape, out int, s graph.Shape) *detect {
	d := &detect{out: out, pictures: s[0], boxes: s[1], fields: s[2]}
	box := 0
	for i, shape := range x {
		l := level{in[i], o.Anchors[i], float32(o.Strides[i]), shape[2], shape[3], box, d.jobsPerPicture}
		d.levels = append(d.levels, l)
		box += len(l.anchors) * l.h * l.w
		d.jobsPerPicture += len(l.anchors) * l.h
	}
	return d
}

func (d *detect) jobs() int { return d.pictures * d.jobsPerPicture }

func (d *detect) run(v [][]float32, job int, _ []float32) {
	n, j := job/d.jobsPerPicture, job%d.jobsPerPicture
	l := &d.levels[0]
	for i := range d.levels {
		if j >= d.levels[i].job {
			l = &d.levels[i]
		}
	}
	a, y := (j-l.job)/l.h, (j-l.job)%l.h
	size := l.h * l.w
	src := v[l.in][(n*len(l.anchors)+a)*d.fields*size:][:d.fields*size]
	first := n*d.boxes + l.box + a*size + y*l.w
	dst := v[d.out][first*d.fields:][:l.w*d.fields]
	for f := range d.fields {
		row := src[f*size+y*l.w:][:l.w]
		for x, raw := range row {
			s := sigmoid(raw)
			switch f {
			case 0:
				s = (2*s - 0.5 + float32(x)) * l.stride
			case 1:
				s = (2*s - 0.5 + float32(y)) * l.stride
			case 2, 3:
				s = 4 * s * s * l.anchors[a][f-2]
			}
			dst[x*d.fields+f] = s
		}
	}
}

package train

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// A distiller runs the teacher beside a training, and adds what it says to the loss. It
// uses every core; its results do not depend on how many there are, nor on how many
// processes share the batch, but for rounding.
type distiller struct {
	*pairing
	terms Terms
	hyp   LossHyp // of the student's head
	peers Peers
	net   Network // the teacher

	maps      []*tensor.Tensor // the teacher's, of the batch at work
	gradients []*tensor.Tensor // by the student's maps, kept between batches; nil where the teacher says nothing
	moments   [][]moments      // by feature and channel
}

// newDistiller loads the teacher of a training of g. All processes of a group call it, with
// the same graphs; the numbers are process 0's.
func newDistiller(be Backend, g *graph.Graph, c Config) (*distiller, error) {
	p, err := pair(g, c.Distill.Teacher, c.Distill.Terms, c.Seed)
	if err != nil {
		return nil, err
	}
	head := g.Detect().Op.(*graph.Detect)
	d := &distiller{pairing: p, terms: c.Distill.Terms, hyp: c.Hyp.Loss(head, c.Size), peers: c.Peers}
	d.gradients = make([]*tensor.Tensor, len(MapsOf(p.student)))
	for _, f := range p.features {
		d.moments = append(d.moments, make([]moments, f.channels))
	}
	if d.net, err = be.Load(p.teacher, LoadOptions{Precision: c.Precision}); err != nil {
		return nil, fmt.Errorf("train: teacher: %w", err)
	}
	c.Log.Info("teacher", "from", c.Distill.Source, "parameters", c.Distill.Teacher.ParamCount(), "learned", c.Distill.Terms,
		"necks", len(p.features), "adapter parameters", p.student.ParamCount()-g.ParamCount(), "heads", len(p.outputs), "classes", len(p.known))
	return d, nil
}

// see shows the teacher a batch, as the student is going to see it.
func (d *distiller) see(x *tensor.Tensor) (err error) {
	d.maps, err = d.net.Predict(x, Live)
	if err != nil {
		return fmt.Errorf("teacher: %w", err)
	}
	return nil
}

// eval adds the terms times strength to a loss. maps are the student's, gradients those of
// the loss so far with respect to the first of them, and parts that loss. It returns the
// gradients with respect to all maps, valid until the next call.
func (d *distiller) eval(maps, gradients []*tensor.Tensor, strength float64, parts *Parts) ([]*tensor.Tensor, error) {
	if err := d.prepare(maps, gradients); err != nil {
		return nil, err
	}
	sums, err := d.survey(maps)
	if err != nil {
		return nil, err
	}
	batch := float64(parts.Pictures)
	value := []float64{d.addFeatures(maps, strength, batch), d.addOutputs(maps, strength, batch, sums)}
	if err := d.peers.Sum(value); err != nil {
		return nil, err
	}
	parts.Distill = value[0] + value[1]
	if math.IsNaN(parts.Distill) && !math.IsNaN(parts.Total) {
		return nil, errors.New("the teacher's maps hold what are no numbers: check its weights")
	}
	parts.Total += parts.Distill * batch
	return d.gradients, nil
}

// prepare checks that the maps fit, and makes the gradients what they are without a
// teacher.
func (d *distiller) prepare(maps, gradients []*tensor.Tensor) error {
	fits := func(s, t int, channels bool) error {
		a, b := maps[s].Shape, d.maps[t].Shape
		if a[0] != b[0] || channels && a[1] != b[1] || a[2] != b[2] || a[3] != b[3] {
			return fmt.Errorf("the student's map %v does not fit the teacher's %v", maps[s], d.maps[t])
		}
		return nil
	}
	for i, m := range maps {
		if g := d.gradients[i]; g == nil || !slices.Equal(g.Shape, m.Shape) {
			d.gradients[i] = tensor.New(m.Shape...)
		}
	}
	for i, g := range gradients {
		copy(d.gradients[i].Data, g.Data)
	}
	for _, f := range d.features {
		if err := fits(f.student, f.teacher, true); err != nil {
			return err
		}
	}
	for _, o := range d.outputs {
		if err := fits(o.student, o.teacher, false); err != nil {
			return err
		}
	}
	return nil
}

// survey takes the sums over the batch that the terms divide by: it fills the moments, and
// returns the objects that the teacher sees in each level.
func (d *distiller) survey(maps []*tensor.Tensor) ([]float64, error) {
	var sums []float64
	if d.terms.PKD > 0 {
		for i, f := range d.features {
			m := d.moments[i]
			spread(len(m), func(c int) { m[c] = momentsOf(maps[f.student], d.maps[f.teacher], c) })
			for _, v := range m {
				sums = append(sums, v[:]...)
			}
		}
	}
	for _, o := range d.outputs {
		t := d.maps[o.teacher]
		pictures := make([]float64, t.Shape[0])
		spread(len(pictures), func(n int) { pictures[n] = d.objects(o, t, n) })
		sums = append(sums, sum(pictures))
	}
	if err := d.peers.Sum(sums); err != nil {
		return nil, err
	}
	if d.terms.PKD > 0 {
		for _, m := range d.moments {
			for c := range m {
				copy(m[c][:], sums)
				sums = sums[len(m[c]):]
			}
		}
	}
	return sums, nil
}

func sum(all []float64) (s float64) {
	for _, v := range all {
		s += v
	}
	return s
}

// addFeatures adds PKD and CWD, means over levels and channels, and returns their sum in this
// process.
func (d *distiller) addFeatures(maps []*tensor.Tensor, strength, batch float64) (total float64) {
	for i, f := range d.features {
		s, t, g := maps[f.student], d.maps[f.teacher], d.gradients[f.student]
		channels, area := s.Shape[1], s.Shape[2]*s.Shape[3]
		share := strength / float64(len(d.features)*channels)
		values := make([]float64, channels)
		spread(channels, func(c int) {
			if gain := share * d.terms.PKD; gain > 0 {
				loss, byS, byT, constant := d.moments[i][c].pkd(batch * float64(area))
				values[c] = gain * loss * float64(s.Shape[0]) / batch // this process's share
				combine(s, t, g, c, gain*batch*byS, gain*batch*byT, gain*batch*constant)
			}
			gain := share * d.terms.CWD / batch
			if gain == 0 {
				return
			}
			if d.terms.PKD == 0 {
				combine(s, t, g, c, 0, 0, 0)
			}
			p, q := make([]float32, area), make([]float32, area)
			for at := c * area; at < len(s.Data); at += channels * area {
				values[c] += gain * cwd(s.Data[at:at+area], t.Data[at:at+area], g.Data[at:at+area], p, q, temperature, gain*batch)
			}
		})
		total += sum(values)
	}
	return total
}

// combine fills a channel of g with byS*s + byT*t + constant.
func combine(s, t, g *tensor.Tensor, channel int, byS, byT, constant float64) {
	area := s.Shape[2] * s.Shape[3]
	for at := channel * area; at < len(s.Data); at += s.Shape[1] * area {
		other, to := t.Data[at:at+area], g.Data[at:at+area]
		for i, v := range s.Data[at : at+area] {
			to[i] = float32(byS*float64(v) + byT*float64(other[i]) + constant)
		}
	}
}

// addOutputs adds the term on outputs and returns it, in this process.
func (d *distiller) addOutputs(maps []*tensor.Tensor, strength, batch float64, objects []float64) (total float64) {
	h := d.hyp
	for _, gain := range []*float64{&h.Box, &h.Obj, &h.Cls} {
		*gain *= strength * d.terms.Outputs
	}
	for i, o := range d.outputs {
		s, t, g := maps[o.student], d.maps[o.teacher], d.gradients[o.student]
		values := make([]float64, s.Shape[0])
		spread(len(values), func(n int) { values[n] = d.output(o, s, t, g, n, h, objects[i], batch) })
		total += sum(values)
	}
	return total
}

func (d *distiller) close() error { return d.net.Close() }

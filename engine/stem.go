package engine

import "ultrafast/graph"

// The first convolution of a YOLOv5 has a kernel of 6x6 at stride 2 over three channels.
// Its input is split into four maps of half the size, one for each phase (remainder of row
// and column by 2), which makes it a 3x3 convolution of stride 1 over twelve channels.

// isStem reports whether the convolution is computed that way.
func (c *compiler) isStem(n *graph.Node, op *graph.Conv) bool {
	s, w := c.shapes[n.In[0]], op.Weight.Shape
	for i := range 2 {
		if op.Stride[i] != 2 || op.Pad[i]%2 != 0 || w[2+i]%2 != 0 || s[2+i]%2 != 0 || w[2+i] != 2*op.Pad[i]+2 {
			return false
		}
	}
	return n.In[0] == c.graph.Input() && op.Groups == 1
}

// stem returns the place of the input's phases: channel c of phase (r, q) is channel
// (2r+q)*C + c.
func (c *compiler) stem(in *graph.Node) (place, error) {
	s := c.shapes[in]
	p, size, err := c.layouts[[2]int{s[2] / 2, s[3] / 2}].newPlace(len(c.lives), s[0], 4*s[1])
	if err != nil {
		return place{}, err
	}
	c.newLife(size, p.layout)
	v, channels, w := c.plain(in), s[1], s[3]
	c.parallel(in.Name+" to phases", nil, []int{v, p.value}, p.n*p.h, func(st *state, job, _ int) {
		mem, x := st.v[p.value], st.v[v]
		i, y := job/p.h, job%p.h
		p.pads(mem, i, y, y+1)
		for phase := range 4 {
			for ch := range channels {
				src := x[((i*channels+ch)*2*p.h+2*y+phase/2)*w:][:w]
				dst := mem[p.at(i, phase*channels+ch, y, 0):][:p.w]
				for j := range dst {
					dst[j] = src[2*j+phase%2]
				}
			}
		}
	})
	return p, nil
}

// foldPhases turns the weights of a stem into those over the phases of its input.
func (k *nativeConv) foldPhases() {
	kernel := [2]int{k.kernel[0] / 2, k.kernel[1] / 2}
	w := make([]float32, 0, len(k.weight))
	for o := range k.out {
		for phase := range 4 {
			for ch := range k.in {
				for y := range kernel[0] {
					for x := range kernel[1] {
						w = append(w, k.weight[((o*k.in+ch)*k.kernel[0]+2*y+phase/2)*k.kernel[1]+2*x+phase%2])
					}
				}
			}
		}
	}
	k.weight, k.kernel, k.in = w, kernel, 4*k.in
	k.stride, k.pad = [2]int{1, 1}, [2]int{k.pad[0] / 2, k.pad[1] / 2}
}

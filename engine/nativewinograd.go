package engine

import (
	"ultrafast/graph"
	"ultrafast/internal/codegen"
)

// groups returns how many groups of rows the output has, and how many rows the last one.
func (k *nativeConv) rowGroups() (groups, last int) {
	groups = (k.y.h + codegen.WinogradRows - 1) / codegen.WinogradRows
	return groups, k.y.h - (groups-1)*codegen.WinogradRows
}

// margin is how many columns a transformed row has beyond those of the output.
func (k *nativeConv) margin() int { return 3 - k.stride[0] }

// columns returns how far the even columns of T are from the odd ones, and how much room
// a channel takes, if a row of one kind takes width.
func (k *nativeConv) columns(width int) (even, channel int) {
	if k.stride[0] == 1 {
		return 0, width
	}
	return width, 2 * width
}

// winogradRows appends a 3x3 convolution whose jobs each transform some groups of rows
// into the thread's own memory and multiply them there.
func (c *compiler) winogradRows(k *nativeConv, ch choice) error {
	lanes := c.target.Lanes()
	line := c.row(&k.y)
	tile := ch.Tile
	wide := (k.y.w + k.margin() + lanes - 1) / lanes
	even, pitch := k.columns(wide * lanes)
	plane := k.in*pitch + lanes
	_, last := k.rowGroups()
	input := codegen.WinogradInput{Channels: k.in, Stride: k.stride[0], InRow: 4 * k.x.row, InChannel: 4 * k.x.channel,
		Vectors: wide, Groups: 1, Channel: 4 * pitch, Plane: 4 * plane, Even: 4 * even}
	output := codegen.Winograd{In: k.in, Out: k.out, Stride: k.stride[0], Channel: 4 * pitch, Plane: 4 * plane, Even: 4 * even,
		OutRow: 4 * k.y.row, OutChannel: 4 * k.y.channel, Act: k.act, Line: line, Tile: tile}
	if k.add != nil {
		output.Add, output.AddRow, output.AddChannel = true, 4*k.add.row, 4*k.add.channel
	}
	var in, out [2]codegen.Func // for a whole group and for the last one
	for i, rows := range []int{codegen.WinogradRows, last} {
		var err error
		input.LastRows, output.Rows = codegen.WinogradReads(k.stride[0], rows), rows
		if in[i], err = c.code.WinogradInput(input); err != nil {
			return err
		}
		if out[i], err = c.code.Winograd(output); err != nil {
			return err
		}
	}
	weight := c.target.PackWinograd(k.weight, k.out, k.in, k.stride[0], tile)
	mask := c.masks.last(k.y.w, lanes)
	sums := roundUp(codegen.WinogradPlanes(k.stride[0])*plane+lead, lead)
	buffer := sums + roundUp(c.target.WinogradScratch(k.stride[0], tile)/4, lead)
	c.need(buffer)
	if k.rows != nil {
		c.need(buffer + k.rows.room())
	}
	st := c.banded(k.name, k.done, k.values(), bands{k.y.n, k.y.h, codegen.WinogradRows, k.near(), func(s *state, i, from, to, worker int) {
		scratch := s.scratch[worker]
		read := codegen.Args{1: pointer(scratch, 0)}
		write := codegen.Args{0: read[1], 1: pointer(weight, 0), 2: pointer(k.bias, 0), 5: pointer(mask, 0), 6: pointer(scratch, sums)}
		for y := from; y < to; y += codegen.WinogradRows {
			variant := 0
			if y+codegen.WinogradRows >= k.y.h {
				variant = 1
			}
			if k.rows != nil {
				read[0] = k.rows.group(s, scratch[buffer:], i, y, y == from, worker)
			} else {
				read[0] = pointer(s.v[k.x.value], k.x.at(i, 0, y*k.stride[0]-1, -1))
			}
			s.text.Call(in[variant], &read)
			write[3] = pointer(s.v[k.y.value], k.y.at(i, 0, y, 0))
			if k.add != nil {
				write[4] = pointer(s.v[k.add.value], k.add.at(i, 0, y, 0))
			}
			s.text.Call(out[variant], &write)
		}
		k.y.pads(s.v[k.y.value], i, from, to)
	}})
	k.describe(st, ch)
	return nil
}

// flatVectors is how many vectors the groups side by side fill.
func (k *nativeConv) flatVectors(lanes int) int {
	groups, _ := k.rowGroups()
	return (groups*(k.y.w+1) + lanes - 1) / lanes
}

// winogradFlat appends a 3x3 convolution over a narrow map: first all groups of a picture
// are transformed side by side, one column of padding between them; then each job
// multiplies some of the output channels and copies their rows to where they belong.
func (c *compiler) winogradFlat(k *nativeConv, ch choice) error {
	lanes := c.target.Lanes()
	groups, last := k.rowGroups()
	pitch := k.y.w + 1
	line := codegen.Line{Vectors: k.flatVectors(lanes)}
	wide := line.Vectors * lanes
	even, channel := k.columns(wide + 2*lanes)
	plane := k.in * channel
	t := c.newValue(graph.Shape{k.y.n, codegen.WinogradPlanes(k.stride[0])*plane + 2*lanes})
	input, err := c.code.WinogradInput(codegen.WinogradInput{Channels: 1, Stride: k.stride[0], InRow: 4 * k.x.row, InChannel: 4 * k.x.channel,
		Vectors: (k.y.w + k.margin() + lanes - 1) / lanes, Groups: groups, LastRows: codegen.WinogradReads(k.stride[0], last),
		Pitch: 4 * pitch, Channel: 4 * channel, Plane: 4 * plane, Even: 4 * even})
	if err != nil {
		return err
	}
	transform := c.parallel(k.name+" transformed", nil, []int{k.x.value, t}, k.x.n*k.in, func(s *state, job, _ int) {
		i, ch := job/k.in, job%k.in
		size := len(s.v[t]) / k.y.n
		s.text.Call(input, &codegen.Args{
			0: pointer(s.v[k.x.value], k.x.at(i, ch, -1, -1)),
			1: pointer(s.v[t], i*size+ch*channel),
		})
	})
	transform.Kernel, transform.key = machineCode, k.key()

	tile := ch.Tile
	bounds := parts(k.out, tile.Out, (jobsPerThread*c.threads+k.y.n-1)/k.y.n)
	var ps []part
	most := 0
	for i, first := range bounds[:len(bounds)-1] {
		out := bounds[i+1] - first
		most = max(most, out)
		multiply, err := c.code.Winograd(codegen.Winograd{In: k.in, Out: out, Stride: k.stride[0], Channel: 4 * channel, Plane: 4 * plane, Even: 4 * even, Rows: codegen.WinogradRows,
			OutRow: 4 * out * wide, OutChannel: 4 * wide, Act: k.act, Line: line, Tile: tile})
		if err != nil {
			return err
		}
		p := part{first: first, code: []codegen.Func{multiply}, bias: k.bias[first:][:out],
			weight: c.target.PackWinograd(k.weight[first*k.in*9:][:out*k.in*9], out, k.in, k.stride[0], tile)}
		copies, err := c.winogradCopies(k, out, groups, last, pitch, wide)
		if err != nil {
			return err
		}
		p.code = append(p.code, copies...)
		ps = append(ps, p)
	}
	mask := c.masks.last(k.y.w, lanes)
	sums := roundUp(codegen.WinogradRows*most*wide, lead)
	c.need(sums + c.target.WinogradScratch(k.stride[0], tile)/4)
	st := c.parallel(k.name, k.done, append(k.values(), t), k.y.n*len(ps), func(s *state, job, worker int) {
		i, p := job/len(ps), &ps[job%len(ps)]
		scratch := s.scratch[worker]
		s.text.Call(p.code[0], &codegen.Args{
			0: pointer(s.v[t], i*len(s.v[t])/k.y.n),
			1: pointer(p.weight, 0), 2: pointer(p.bias, 0), 3: pointer(scratch, 0), 6: pointer(scratch, sums),
		})
		for r, f := range p.code[1:] {
			a := codegen.Args{
				0: pointer(scratch, r*len(p.bias)*wide),
				3: pointer(s.v[k.y.value], k.y.at(i, p.first, r, 0)),
				5: pointer(mask, 0),
			}
			if k.add != nil {
				a[4] = pointer(s.v[k.add.value], k.add.at(i, p.first, r, 0))
			}
			s.text.Call(f, &a)
		}
		if p.first == 0 {
			k.y.pads(s.v[k.y.value], i, 0, k.y.h)
		}
	})
	k.describe(st, ch)
	return nil
}

// winogradCopies makes the code that copies row r of all groups of some output channels
// to the map, for each r that there is.
func (c *compiler) winogradCopies(k *nativeConv, out, groups, last, pitch, wide int) ([]codegen.Func, error) {
	var fs []codegen.Func
	for r := range codegen.WinogradRows {
		rows := groups
		if r >= last {
			rows--
		}
		if rows == 0 {
			break
		}
		spec := codegen.Map{Channels: out, Rows: rows, InRow: 4 * pitch, InChannel: 4 * wide,
			OutRow: 4 * codegen.WinogradRows * k.y.row, OutChannel: 4 * k.y.channel, Line: c.row(&k.y)}
		if k.add != nil {
			spec.Add, spec.AddRow, spec.AddChannel = true, 4*codegen.WinogradRows*k.add.row, 4*k.add.channel
		}
		f, err := c.code.Map(spec)
		if err != nil {
			return nil, err
		}
		fs = append(fs, f)
	}
	return fs, nil
}

package engine

import (
	"slices"
	"time"

	"ultrafast/graph"
)

// Where the rows of a step's result follow from the same rows of what an earlier step has
// written, as in a 1x1 convolution, the two are taken together, a band of rows at a time: what
// the first has written is still in a cache near the processor when the second reads it, and
// threads wait for each other once instead of twice. A group is steps that are taken so.

// bands says how a step works on some rows of its result at a time.
type bands struct {
	pictures, rows int
	multiple       int   // of it bands begin at multiples
	near           []int // values of which a band reads its own rows only
	run            func(s *state, picture, from, to, worker int)
}

// units is how many bands there are at most.
func (b *bands) units() int { return (b.rows + b.multiple - 1) / b.multiple }

// blocks is into how many bands a picture is cut.
func (b *bands) blocks(threads int) int {
	return min(b.units(), max(1, jobsPerThread*threads/b.pictures))
}

// band returns the picture and the rows of a job.
func (b *bands) band(job, blocks int) (picture, from, to int) {
	picture, block, units := job/blocks, job%blocks, b.units()
	return picture, units * block / blocks * b.multiple, min(b.rows, units*(block+1)/blocks*b.multiple)
}

// banded appends a step whose jobs are bands.
func (c *compiler) banded(name string, done *graph.Node, values []int, b bands) *step {
	blocks := b.blocks(c.threads)
	s := c.parallel(name, done, values, b.pictures*blocks, func(s *state, job, worker int) {
		picture, from, to := b.band(job, blocks)
		b.run(s, picture, from, to, worker)
	})
	s.bands = &b
	return s
}

// A group is the steps from first to the one before end, which run together.
type group struct {
	first, end int
	jobs       int
	run        job
}

// leastBands is how many bands a group must have for each thread: fewer leave threads idle.
const leastBands = 4

// A gathering is a group in the making.
type gathering struct {
	steps []*step
	bands bands // of all: of run and near nothing
}

// takes reports whether the step with bands b may be one more of g.
func (g *gathering) takes(b *bands, threads int) bool {
	if b == nil || g.bands.rows != b.rows || g.bands.pictures != b.pictures {
		return false
	}
	both := bands{pictures: b.pictures, rows: b.rows, multiple: lcm(g.bands.multiple, b.multiple)}
	return both.units()*both.pictures >= leastBands*threads
}

func lcm(a, b int) int {
	m := a
	for m%b != 0 {
		m += a
	}
	return m
}

// gather puts the steps in the order in which they run, in groups: each into the first group
// where all that it reads has been computed, or at the end where none has bands like its own.
// Lives are counted in groups from then on.
func (c *compiler) gather() {
	var all []*gathering
	written := make([]int, len(c.lives)) // by value: the group after the last one that writes a part of it
	writer := make([]*step, len(c.lives))
	for i := range c.steps {
		s := &c.steps[i]
		at := c.groupFor(s, all, written)
		if at == len(all) {
			all = append(all, &gathering{})
		}
		all[at].add(s)
		writes := s.values
		if s.bands != nil {
			writes = writes[len(writes)-1:]
		}
		for _, v := range writes {
			if written[v] <= at+1 {
				written[v], writer[v] = at+1, s
			}
		}
		for _, d := range s.also { // it is done with the last of those that write its parts
			writer[d.value].Nodes = append(writer[d.value].Nodes, d.node)
		}
	}
	c.arrange(all)
}

// groupFor returns the number of the group that s goes into.
func (c *compiler) groupFor(s *step, all []*gathering, written []int) int {
	if s.bands == nil {
		return len(all)
	}
	at := 0
	for _, v := range s.values[:len(s.values)-1] {
		after := written[v]
		if after > 0 && slices.Contains(s.bands.near, v) {
			after--
		}
		at = max(at, after)
	}
	for at < len(all) && !all[at].takes(s.bands, c.threads) {
		at++
	}
	return at
}

// arrange makes the groups those of the program.
func (c *compiler) arrange(all []*gathering) {
	var steps []step
	for i := range c.lives {
		c.lives[i].from, c.lives[i].to = len(all), 0
	}
	for at, g := range all {
		for _, s := range g.steps {
			for _, v := range s.values {
				c.lives[v].from, c.lives[v].to = min(c.lives[v].from, at), max(c.lives[v].to, at)
			}
		}
		c.groups = append(c.groups, g.group(len(steps), c.threads))
		for _, s := range g.steps {
			steps = append(steps, *s)
		}
	}
	c.steps = steps
}

func (g *gathering) add(s *step) {
	g.steps = append(g.steps, s)
	switch {
	case s.bands == nil:
	case len(g.steps) == 1:
		g.bands = bands{pictures: s.bands.pictures, rows: s.bands.rows, multiple: s.bands.multiple}
	default:
		g.bands.multiple = lcm(g.bands.multiple, s.bands.multiple)
	}
}

// group returns what runs the steps, of which the first has that number.
func (g *gathering) group(first, threads int) group {
	if len(g.steps) == 1 {
		return group{first, first + 1, g.steps[0].jobs, g.steps[0].run}
	}
	b, blocks := g.bands, g.bands.blocks(threads)
	var runs []func(s *state, picture, from, to, worker int)
	for _, s := range g.steps {
		runs = append(runs, s.bands.run)
	}
	return group{first, first + len(runs), b.pictures * blocks, func(s *state, job, worker int) {
		picture, from, to := b.band(job, blocks)
		for i, run := range runs {
			if s.spent == nil {
				run(s, picture, from, to, worker)
				continue
			}
			start := time.Now()
			run(s, picture, from, to, worker)
			s.spent[worker][first+i] += time.Since(start)
		}
	}}
}

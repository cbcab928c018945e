package jpeg

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A band is some rows of MCUs on their way from a sequential scan to the pixels.
type band struct {
	y, n  int            // the first row, and how many
	coef  [4][][64]int16 // of each part of the scan the blocks, row by row
	lasts [4][]uint8     // for each block the place of its last coefficient, in the file's order
}

// set prepares for bands of n rows, and empties this one.
func (b *band) set(s *scan, n int) *band {
	b.n = 0
	for i, p := range s.parts {
		b.coef[i] = resized(b.coef[i], n*p.perY*p.blocks)
		b.lasts[i] = resized(b.lasts[i], n*p.perY*p.blocks)
	}
	return b
}

// decoding counts the pictures that are being decoded.
var decoding atomic.Int32

// A pipeline makes pixels of a scan's bands, in another goroutine where there is a core for
// it: reading the codes takes about as long as the rest.
type pipeline struct {
	s           *scan
	rows        int        // of MCUs in a band
	last        *band      // being filled
	full, empty chan *band // nil if there is no other goroutine
	wait        sync.WaitGroup
	painter     *painter // nil if the scan is not of all components
	painted     int      // rows
}

func newPipeline(d *decoder, s *scan) *pipeline {
	pl := &pipeline{s: s, rows: 1}
	if d.painted {
		pl.painter = newPainter(d)
	}
	if 2*int(decoding.Load()) > runtime.GOMAXPROCS(0) || d.w*d.h < 1<<16 {
		pl.last = d.memory.bands[0].set(s, 1)
		return pl
	}
	// With more bands the two would wait for each other more often, and with fewer longer.
	pl.rows = ceil(s.mcusY, 16)
	bands := d.memory.bands[:]
	pl.full, pl.empty = make(chan *band, len(bands)), make(chan *band, len(bands))
	for i := range bands {
		pl.empty <- bands[i].set(s, pl.rows)
	}
	pl.wait.Go(func() {
		for b := range pl.full {
			pl.draw(b)
			pl.empty <- b
		}
	})
	return pl
}

// band returns the band for row y. Rows come in order.
func (pl *pipeline) band(y int) *band {
	if y%pl.rows == 0 {
		pl.flush()
		if pl.full != nil {
			pl.last = <-pl.empty
		}
		pl.last.y, pl.last.n = y, min(pl.rows, pl.s.mcusY-y)
	}
	return pl.last
}

func (pl *pipeline) flush() {
	switch {
	case pl.last == nil || pl.last.n == 0:
	case pl.full == nil:
		pl.draw(pl.last)
	default:
		pl.full <- pl.last
	}
}

// close waits until all is drawn. It must be called.
func (pl *pipeline) close() {
	pl.flush()
	if pl.full != nil {
		close(pl.full)
		pl.wait.Wait()
	}
}

// draw makes samples of a band, and pixels where all components are known.
func (pl *pipeline) draw(b *band) {
	for i := range pl.s.parts {
		p := &pl.s.parts[i] // no copy: the other goroutine writes to it
		for y := range b.n * p.perY {
			idctRow(p.plane[8*(b.y*p.perY+y)*p.stride:], p.stride,
				b.coef[i][y*p.blocks:][:p.blocks], b.lasts[i][y*p.blocks:][:p.blocks], p.quant)
		}
	}
	if pl.painter == nil {
		return
	}
	d := pl.painter.d
	hi := d.h
	if b.y+b.n < pl.s.mcusY {
		hi = (b.y+b.n)*pl.s.rowsPerMCU - 1 // the last may need the first of the next band
	}
	pl.painter.rows(pl.painted, hi)
	pl.painted = hi
}

package jpeg

import (
	"bytes"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"
)

// The vector code against the plain loops. Where a processor has none, both are the same.

// Two blocks at once, at any numbers that a file can bring about.
func TestIDCTSameAsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const stride = 37
	for i := range 20000 {
		coef := make([][64]int16, 1+r.IntN(5))
		lasts := make([]uint8, len(coef))
		var quant [64]int16
		for j := range quant {
			quant[j] = int16(1 + r.IntN(20))
			if i%4 == 0 {
				quant[j] = int16(r.Uint32())
			}
		}
		size := []int{3, 100, 2000, math.MaxUint16}[i/4%4]
		for x := range coef {
			lasts[x] = uint8(r.IntN(64))
			for k := range int(lasts[x]) + 1 {
				coef[x][zigzag[k]] = int16(r.IntN(size+1) - size/2)
			}
		}
		got, want := make([]uint8, 7*stride+8*len(coef)), make([]uint8, 7*stride+8*len(coef))
		idctRow(got, stride, coef, lasts, &quant)
		for x, b := range coef {
			for i, q := range quant {
				b[i] *= q
			}
			idct(&b, want[8*x:], stride)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d blocks, last coefficients %d, up to %d: %v, want %v", len(coef), lasts, size, got, want)
		}
	}
}

// Every colour there is.
func TestYCCSameAsPlain(t *testing.T) {
	const w = 256 + 5
	luma := make([]uint8, w)
	for i := range luma {
		luma[i] = uint8(i)
	}
	got, want := make([]uint8, 3*w), make([]uint8, 3*w)
	for cr := range 256 {
		cbs, crs := make([]uint8, w), bytes.Repeat([]byte{uint8(cr)}, w)
		for from := range 256 {
			for i := range cbs { // in the course of from, each with each luma
				cbs[i] = uint8(from + i)
			}
			fromYCbCr(got, &[4][]uint8{luma, cbs, crs})
			ycc(want, luma, cbs, crs)
			if !bytes.Equal(got, want) {
				t.Fatalf("cb from %d, cr %d: %v, want %v", from, cr, got, want)
			}
		}
	}
	for w := range 70 { // all lengths
		got, want := make([]uint8, 3*w+1), make([]uint8, 3*w+1)
		fromYCbCr(got, &[4][]uint8{luma[:w], luma[100:][:w], luma[30:][:w]})
		ycc(want, luma[:w], luma[100:][:w], luma[30:][:w])
		if !bytes.Equal(got, want) {
			t.Fatalf("%d pixels: %v, want %v", w, got, want)
		}
	}
}

func TestTriangleSameAsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for w := 3; w < 200; w++ {
		stride := 8 * ceil(w, 8)
		near, far := make([]uint8, stride), make([]uint8, stride)
		for i := range near {
			near[i], far[i] = uint8(r.Uint32()), uint8(r.Uint32())
		}
		for _, add := range [][2]int{{4, 8}, {8, 7}} {
			u := &upsampler{component: &component{w: w, stride: stride}, out: make([]uint8, 2*stride)}
			got := u.triangle(near, far, add[0], add[1])
			want := make([]uint8, 2*stride)
			triangle(want, near, far, w, uint64(add[0]), uint64(add[1]))
			if !bytes.Equal(got[1:2*w-1], want[1:2*w-1]) {
				t.Fatalf("%d samples, %v: %v, want %v", w, add, got, want)
			}
		}
	}
}

// One core or more, the pixels are the same.
func TestOneCore(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	files := map[string][]byte{ // the first two are large enough for a second goroutine
		"grey, large": encode(t, noise(700, 500, 1), 90), "colours, large": encode(t, grainy(650, 333), 90),
	}
	for _, name := range []string{"420", "restart", "scans", "progressive"} {
		files[name] = kept(t, name)
	}
	for name, file := range files {
		var first []uint8
		for _, cores := range []int{1, 2, 5} {
			runtime.GOMAXPROCS(cores)
			pix, _, _, err := Decode(nil, file, testPixels)
			if err != nil {
				t.Fatalf("%s on %d: %v", name, cores, err)
			}
			if first == nil {
				first = pix
			}
			if !bytes.Equal(pix, first) {
				t.Errorf("%s on %d: other pixels", name, cores)
			}
			if _, _, _, err := Decode(nil, file[:len(file)/2], testPixels); err == nil {
				t.Errorf("%s on %d: half of it is a picture", name, cores)
			}
		}
	}
}

// What one picture leaves in memory does not show in the next, and dst is used.
func TestMemory(t *testing.T) {
	large := encode(t, noise(300, 300, 1), 100)
	var dst []uint8
	for _, name := range []string{"420", "440", "progressive", "scans", "grey"} {
		var err error
		if dst, _, _, err = Decode(dst, large, testPixels); err != nil {
			t.Fatal(err)
		}
		want, _, _, err := Decode(nil, kept(t, name), testPixels)
		if err != nil {
			t.Fatal(err)
		}
		got, _, _, err := Decode(dst, kept(t, name), testPixels)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other pixels, %v", name, err)
		}
		if &got[0] != &dst[0] {
			t.Errorf("%s: the memory that was given is not used", name)
		}
	}
}

// blocks reads blocks of data in both ways until one fails, and compares all there is.
func blocks(t *testing.T, data []byte, dc, ac *huffman) (n int) {
	fast, plain := &bits{data: data}, &bits{data: data}
	fastPart, plainPart := &part{dc: dc, ac: ac}, &part{dc: dc, ac: ac}
	for ; ; n++ {
		var got, want [64]int16
		got[5] = 99 // is cleared
		last, ok := blockFast(fast, fastPart, &got)
		if !ok {
			return n
		}
		wantLast := plain.block(plainPart, &want)
		if last != wantLast {
			t.Fatalf("block %d ends with coefficient %d, want %d", n, last, wantLast)
		}
		if last < 0 {
			return n
		}
		// How many bits lie ready may differ, but not which come next.
		at, wantAt := 8*fast.pos-int(fast.n), 8*plain.pos-int(plain.n)
		if got != want || fastPart.pred != plainPart.pred || at != wantAt {
			t.Fatalf("block %d, to bit %d: %v, want %v, to bit %d", n, at, got, want, wantAt)
		}
		if ready := min(fast.n, plain.n); fast.acc>>(64-ready) != plain.acc>>(64-ready) {
			t.Fatalf("block %d: the next %d bits differ", n, ready)
		}
	}
}

// table makes a Huffman table from arbitrary bytes: the counts of codes, then the symbols.
func table(data []byte, dc bool) *huffman {
	var counts [16]uint8
	var symbols []uint8
	free := 1 << 16 // codes of 16 bits left
	for i := range counts {
		if len(data) == 0 {
			break
		}
		n := min(int(data[0])%20, free>>(15-i), 256-len(symbols), len(data)-1)
		for _, s := range data[1 : 1+n] {
			if dc {
				s &= 15
			}
			symbols = append(symbols, s)
		}
		counts[i], data = uint8(n), data[1+n:]
		free -= n << (15 - i)
	}
	t, err := newHuffman(counts, symbols, dc)
	if err != nil {
		panic(err)
	}
	return t
}

func TestBlockSameAsPlain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = uint8(r.Uint32())
		}
		return b
	}
	total := 0
	for range 2000 {
		total += blocks(t, random(4000), table(random(300), true), table(random(300), false))
	}
	// The tables of encoders, whose data rarely break.
	d := &decoder{data: encode(t, noise(300, 200, 1), 95), memory: new(memory)}
	if _, err := d.header(); err != nil {
		t.Fatal(err)
	}
	n := blocks(t, d.nextSegment(), d.dc[0], d.ac[0])
	if haveBlockFast := n > 0; haveBlockFast && (total < 1000 || n < 500) {
		t.Errorf("only %d random blocks and %d others", total, n)
	}
}

func FuzzBlock(f *testing.F) {
	names := []string{"420", "rough", "restart"}
	for _, n := range names {
		f.Add(kept(f, n), kept(f, n)[:100], kept(f, n)[100:])
	}
	f.Fuzz(func(t *testing.T, data, dc, ac []byte) {
		blocks(t, data, table(dc, true), table(ac, false))
	})
}

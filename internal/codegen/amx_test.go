package codegen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/cpu"

	"ultrafast/internal/codegen/amd64"
	"ultrafast/internal/emulator"
)

// noAMX is why AMX is neither there nor emulated.
var noAMX error

func TestMain(m *testing.M) {
	noAMX = emulator.AMX(EmulateAMX)
	os.Exit(m.Run())
}

// amxTarget returns the target, and skips where it cannot run.
func amxTarget(t *testing.T) Target {
	t.Helper()
	target, err := ByName(AMX)
	if err != nil {
		t.Skip(errors.Join(err, noAMX))
	}
	return target
}

// TestAMXMissing wants the reason.
func TestAMXMissing(t *testing.T) {
	old := amxMissing
	defer func() { amxMissing = old }()
	amxMissing = func() error { return errors.New("the system is in a bad mood") }
	_, err := ByName(AMX)
	if err == nil || !strings.Contains(err.Error(), "no amx here") || !strings.HasSuffix(err.Error(), "the system is in a bad mood") {
		t.Error(err)
	}
	for _, target := range Targets() {
		if target.AMX() {
			t.Error("amx is among the targets")
		}
	}
	if cpu.X86.HasAMXTile {
		return
	}
	if err := askAMX(); err == nil {
		t.Error("the system gives what the processor does not have")
	}
}

// tileShapes are rows and bytes of the tiles in a test of single instructions.
type tileShapes [tileCount]struct{ rows, bytes int }

// runTiles runs instructions on tiles over memory.
func runTiles(t *testing.T, target Target, shapes tileShapes, memory []byte, write func(a *avx)) {
	t.Helper()
	config := make([]byte, 64)
	config[0] = 1
	for i, s := range shapes {
		config[16+2*i], config[48+i] = byte(s.bytes), byte(s.rows)
	}
	var call caller
	pass(&call, 0, memory, 0)
	pass(&call, 1, config, 0)
	call.run(t, target, func(b *Builder) (Func, error) {
		return b.kernel("tiles", true, func(m isa) {
			m.arg(rX, 0)
			m.arg(rW, 1)
			m.(*avx).MovRI(gprs[rRowA], tileWidth)
			m.(*avx).Ldtilecfg(at(rW, 0))
			write(m.(*avx))
			m.(*avx).Tilerelease()
		})
	})
}

// tileAt is the i'th tile of the memory of runTiles.
func tileAt(i int) amd64.Mem { return at(rX, i*tileSize).Plus(gprs[rRowA], 1) }

// TestTileProducts compares with the definitions in Intel's manual.
func TestTileProducts(t *testing.T) {
	target := amxTarget(t)
	r := rand.New(rand.NewPCG(1, 2))
	type product struct {
		write func(a *avx, c, x, y amd64.Tile)
		dot   func(c, x, y uint32) uint32
	}
	bytes := func(xSigned, ySigned bool) func(c, x, y uint32) uint32 {
		value := func(v uint32, i int, signed bool) int32 {
			if signed {
				return int32(int8(v >> (8 * i)))
			}
			return int32(uint8(v >> (8 * i)))
		}
		return func(c, x, y uint32) uint32 {
			for i := range 4 {
				c += uint32(value(x, i, xSigned) * value(y, i, ySigned))
			}
			return c
		}
	}
	for name, p := range map[string]product{
		"ssd": {func(a *avx, c, x, y amd64.Tile) { a.Tdpbssd(c, x, y) }, bytes(true, true)},
		"sud": {func(a *avx, c, x, y amd64.Tile) { a.Tdpbsud(c, x, y) }, bytes(true, false)},
		"usd": {func(a *avx, c, x, y amd64.Tile) { a.Tdpbusd(c, x, y) }, bytes(false, true)},
		"uud": {func(a *avx, c, x, y amd64.Tile) { a.Tdpbuud(c, x, y) }, bytes(false, false)},
		"bf16": {func(a *avx, c, x, y amd64.Tile) { a.Tdpbf16ps(c, x, y) }, func(c, x, y uint32) uint32 {
			a, b := math.Float32frombits(x), math.Float32frombits(y)
			alo, ahi := Unpair(a)
			blo, bhi := Unpair(b)
			return math.Float32bits(math.Float32frombits(c) + alo*blo + ahi*bhi)
		}},
	} {
		for range 50 {
			m, n, k := 1+r.IntN(16), 1+r.IntN(16), 1+r.IntN(16)
			memory := make([]byte, 5*tileSize)
			for i := range 3 * tileSize / 4 {
				v := r.Uint32()
				if name == "bf16" { // small whole numbers, whose sums are exact
					v = math.Float32bits(Pair(float32(r.IntN(9)-4), float32(r.IntN(9)-4)))
					if i < tileSize/4 {
						v = math.Float32bits(float32(r.IntN(99)))
					}
				}
				binary.LittleEndian.PutUint32(memory[4*i:], v)
			}
			var shapes tileShapes
			shapes[3].rows, shapes[3].bytes = m, 4*n
			shapes[1].rows, shapes[1].bytes = m, 4*k
			shapes[6].rows, shapes[6].bytes = k, 4*n
			runTiles(t, target, shapes, memory, func(a *avx) {
				a.Tileload(3, tileAt(0))
				a.Tileload(1, tileAt(1))
				a.Tileload(6, tileAt(2))
				p.write(a, 3, 1, 6)
				a.Tilestore(tileAt(3), 3)
				a.Tilezero(3)
				p.write(a, 3, 1, 6)
				a.Tilestore(tileAt(4), 3)
			})
			word := func(tile, row, column int) uint32 {
				return binary.LittleEndian.Uint32(memory[tile*tileSize+row*tileWidth+4*column:])
			}
			for row := range 16 {
				for column := range 16 {
					var want [2]uint32
					if row < m && column < n {
						want[0] = word(0, row, column)
						for i := range k {
							for j := range want {
								want[j] = p.dot(want[j], word(1, row, i), word(2, i, column))
							}
						}
					}
					for j := range want {
						if got := word(3+j, row, column); got != want[j] {
							t.Fatalf("%s, %dx%dx%d: [%d][%d] = %#x, want %#x", name, m, n, k, row, column, got, want[j])
						}
					}
				}
			}
		}
	}
}

// TestTileConfig reads back the configuration, which is gone after the release.
func TestTileConfig(t *testing.T) {
	target := amxTarget(t)
	memory := make([]byte, 3*64)
	shapes := tileShapes{2: {rows: 7, bytes: 12}}
	runTiles(t, target, shapes, memory, func(a *avx) {
		a.Sttilecfg(at(rX, 0))
		a.Tilerelease()
		a.Sttilecfg(at(rX, 64))
		a.Ldtilecfg(at(rW, 0))
		a.Sttilecfg(at(rX, 128))
	})
	want := make([]byte, 3*64)
	for _, i := range []int{0, 128} {
		want[i], want[i+16+4], want[i+48+2] = 1, 12, 7
	}
	if string(memory) != string(want) {
		t.Errorf("configurations %v, want %v", memory, want)
	}
}

// TestTileFaults wants the processor, or who emulates it, to refuse what is wrong. Each
// fault ends a process of its own.
func TestTileFaults(t *testing.T) {
	target := amxTarget(t)
	good := tileShapes{{4, 64}, {4, 32}, {8, 64}}
	faults := []struct {
		name   string
		shapes tileShapes
		write  func(a *avx)
	}{
		{"not configured", tileShapes{}, func(a *avx) { a.Tilezero(0) }},
		{"released", good, func(a *avx) { a.Tilerelease(); a.Tileload(0, tileAt(0)) }},
		{"released before the store", good, func(a *avx) { a.Tilerelease(); a.Tilestore(tileAt(0), 0) }},
		{"not in use", good, func(a *avx) { a.Tileload(3, tileAt(0)) }},
		{"rows", tileShapes{{4, 64}, {5, 32}, {8, 64}}, func(a *avx) { a.Tdpbf16ps(0, 1, 2) }},
		{"inner rows", tileShapes{{4, 64}, {4, 32}, {9, 64}}, func(a *avx) { a.Tdpbf16ps(0, 1, 2) }},
		{"columns", tileShapes{{4, 60}, {4, 32}, {8, 64}}, func(a *avx) { a.Tdpbssd(0, 1, 2) }},
		{"17 rows", tileShapes{{17, 64}}, func(a *avx) {}},
		{"68 bytes", tileShapes{{1, 68}}, func(a *avx) {}},
		{"no bytes", tileShapes{{1, 0}}, func(a *avx) {}},
	}
	const variable = "ULTRAFAST_TILE_FAULT"
	for i, f := range faults {
		if os.Getenv(variable) == fmt.Sprint(i) {
			runTiles(t, target, f.shapes, make([]byte, tileSize), f.write)
			os.Exit(0)
		}
	}
	if os.Getenv(variable) != "" {
		return
	}
	for i, f := range faults {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTileFaults$")
		cmd.Env = append(os.Environ(), fmt.Sprint(variable, "=", i))
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "SIGILL") && !strings.Contains(string(out), "SIGSEGV") {
			t.Errorf("%s: %v\n%s", f.name, err, out)
		}
	}
}

// randomAMX returns a convolution whose input lies in one of the ways there are.
func randomAMX(r *rand.Rand, in, out int) Conv {
	c := Conv{In: in, Out: out, Kernel: [2]int{1 + r.IntN(3), 1 + r.IntN(3)}, Stride: 1, PairsIn: true,
		Add: r.IntN(2) == 0, Act: randomActivation(r), PixelsOuter: r.IntN(2) == 0,
		Line: randomLine(r, tileRows, MaskNone, MaskLast, MaskAll, MaskPart)}
	if r.IntN(3) == 0 {
		c.Kernel = [2]int{1, 1}
	}
	if r.IntN(3) > 0 {
		c.Out += c.Out % 2
		c.PairsOut = true
	}
	tiles := TilesAMX(c.Out, c.Line.Vectors, c.Kernel[0]*c.Kernel[1])
	c.Tile = tiles[r.IntN(len(tiles))]
	width := c.Line.Vectors * tileRows
	line := 4 * (width + c.Kernel[1] + 1)
	switch r.IntN(4) {
	case 0: // rows of all channels, one after the other
		c.InChannel = line + 4*rarely(r, 20)
		c.InRow = c.In * c.InChannel
	case 1: // of some channels of more
		c.InChannel = line + 4*rarely(r, 20)
		c.InRow = c.In*c.InChannel + 4*(1+rarely(r, 20))
	case 2: // channels of all rows
		c.InRow = line + 4*rarely(r, 20)
		c.InChannel = c.Kernel[0]*c.InRow + 4*r.IntN(20)
	default: // even and odd columns apart, and rows also or not
		half := line + 4*rarely(r, 20)
		c.InChannel = 2 * half
		row := c.In * c.InChannel
		if c.Apart = [2]int{row, half}; r.IntN(2) == 0 {
			c.Apart[0] = (c.Kernel[0] + 1) / 2 * row
			row /= 2
		}
		c.InRow = 2 * row
	}
	c.OutChannel = 4 * (width + rarely(r, 20))
	c.AddChannel = 4 * (width + rarely(r, 20))
	return c
}

func TestConvAMX(t *testing.T) {
	target := amxTarget(t)
	r := rand.New(rand.NewPCG(3, 4))
	for range rounds() {
		testConvPairs(t, target, r, randomAMX(r, 1+r.IntN(20), 1+r.IntN(40)), true)
	}
}

// TestTilesAMXOrder has the shapes of a stem and of a layer in the middle.
func TestTilesAMXOrder(t *testing.T) {
	for _, c := range []struct {
		out, vectors, taps int
		want               Tile
	}{{12, 40, 9, Tile{16, 2}}, {24, 10, 1, Tile{32, 2}}} {
		if got := TilesAMX(c.out, c.vectors, c.taps)[0]; got != c.want {
			t.Errorf("%d channels of %d vectors, %d taps: %v, want %v", c.out, c.vectors, c.taps, got, c.want)
		}
	}
}

// TestConvAMXRemainders has channels around the sizes of tiles, and blocks of tiles of all sizes.
func TestConvAMXRemainders(t *testing.T) {
	target := amxTarget(t)
	r := rand.New(rand.NewPCG(5, 6))
	for _, in := range []int{1, 2, 15, 16, 17, 31, 32, 33, 50} {
		for _, out := range []int{1, 2, 15, 16, 17, 18, 31, 33, 64, 98, 130} {
			c := randomAMX(r, in, out)
			tiles := TilesAMX(c.Out, 9, 1)
			for _, c.Tile = range tiles {
				if r.IntN(1200) < rounds() {
					testConvPairs(t, target, r, c, true)
				}
			}
		}
	}
}

func FuzzConvAMX(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		testConvPairs(t, amxTarget(t), r, randomAMX(r, 1+r.IntN(70), 1+r.IntN(150)), true)
	})
}

// TestConvAMXReleases reads the configuration after a call, on the same thread.
func TestConvAMXReleases(t *testing.T) {
	target := amxTarget(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := rand.New(rand.NewPCG(9, 10))
	testConvPairs(t, target, r, randomAMX(r, 5, 5), true)
	config := []byte(strings.Repeat("x", 64))
	var call caller
	pass(&call, 0, config, 0)
	call.run(t, target, func(b *Builder) (Func, error) {
		return b.kernel("config", true, func(m isa) {
			m.arg(rX, 0)
			m.(*avx).Sttilecfg(at(rX, 0))
		})
	})
	if string(config) != string(make([]byte, 64)) {
		t.Errorf("tiles are still configured: %v", config)
	}
}

// TestConvAMXBounds has inputs, weights and outputs that end where memory does.
func TestConvAMXBounds(t *testing.T) {
	target := amxTarget(t)
	r := rand.New(rand.NewPCG(7, 8))
	for range rounds() / 4 {
		c := randomAMX(r, 1+r.IntN(40), 1+r.IntN(40))
		if c.Line.Mask == MaskPart {
			c.Line.Mask, c.Line.Last = MaskNone, 0
		}
		width, taps := c.Line.Vectors*tileRows, c.Kernel[0]*c.Kernel[1]
		last := 0
		for tap := range taps {
			last = max(last, c.tapAt(tap/c.Kernel[1], tap%c.Kernel[1]))
		}
		perOut := 1
		if c.PairsOut {
			perOut = 2
		}
		weights := c.PackAMX(random(r, c.Out*2*c.In*taps))
		var call caller
		for i, size := range []int{((c.In-1)*c.InChannel+last)/4 + width, len(weights), c.Out,
			(c.Out/perOut-1)*c.OutChannel/4 + width, (c.Out/perOut-1)*c.AddChannel/4 + width} {
			pass(&call, i, atEnd(t, size), 0)
		}
		pass(&call, 5, atEnd(t, tileRows*c.Line.Vectors), 0)
		pass(&call, 6, atEnd(t, AMXScratch/4), 0)
		call.args[argRows] = 1
		call.run(t, target, func(b *Builder) (Func, error) { return b.ConvAMX(c) })
	}
}

// atEnd returns n zeros behind which there is no memory.
func atEnd(t *testing.T, n int) []float32 {
	t.Helper()
	page := os.Getpagesize()
	size := roundUp(4*n, page)
	m, err := syscall.Mmap(-1, 0, size+page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Munmap(m) })
	if err := syscall.Mprotect(m[size:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return floatsOf(m[size-4*n : size])
}

func TestImpossibleAMX(t *testing.T) {
	good := Conv{In: 1, Out: 2, Kernel: [2]int{1, 1}, Stride: 1, Line: Line{Vectors: 1}, Tile: Tile{16, 1}, PairsIn: true}
	for _, target := range targets {
		for i, change := range []func(c *Conv){
			func(c *Conv) {},
			func(c *Conv) { c.PairsIn = false },
			func(c *Conv) { c.Stride = 2 },
			func(c *Conv) { c.Tile = Tile{8, 1} },
			func(c *Conv) { c.Tile = Tile{48, 2} },
			func(c *Conv) { c.In = 0 },
			func(c *Conv) { c.Act.Kind = "swoosh" },
			func(c *Conv) { c.Out, c.PairsOut = 3, true },
		} {
			c := good
			change(&c)
			if _, err := NewBuilder(target).ConvAMX(c); (err == nil) != (i == 0 && target.AMX()) {
				t.Errorf("%s, %d: %v", target, i, err)
			}
		}
	}
}

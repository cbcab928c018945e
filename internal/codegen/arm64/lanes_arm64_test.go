//go:build linux

package arm64

import (
	"encoding/binary"
	"math"
)

// A quad is what a vector register holds.
type quad [4]uint32

func (q quad) bytes() (b [16]byte) {
	for i, w := range q {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	return b
}

func quadOf(b [16]byte) (q quad) {
	for i := range q {
		q[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return q
}

func (q quad) half(i int) uint16 { return uint16(q[i/2] >> (i % 2 * 16)) }

func (q *quad) setHalf(i int, v uint16) {
	q[i/2] = q[i/2]&^(0xFFFF<<(i%2*16)) | uint32(v)<<(i%2*16)
}

// each makes a function of quads from one of lanes.
func each(f func(d, n, m uint32) uint32) func(d, n, m quad) quad {
	return func(d, n, m quad) quad {
		for i := range d {
			d[i] = f(d[i], n[i], m[i])
		}
		return d
	}
}

func eachFloat(f func(d, n, m float32) float32) func(d, n, m quad) quad {
	return each(func(d, n, m uint32) uint32 {
		return math.Float32bits(f(math.Float32frombits(d), math.Float32frombits(n), math.Float32frombits(m)))
	})
}

func eachTo(f func(n float64) float64) func(d, n, m quad) quad {
	return each(func(_, n, _ uint32) uint32 {
		v := f(float64(math.Float32frombits(n)))
		if v != v {
			return 0
		}
		return uint32(int32(min(max(v, math.MinInt32), math.MaxInt32)))
	})
}

func eachBool(f func(n, m float32) bool) func(d, n, m quad) quad {
	return each(func(_, n, m uint32) uint32 {
		if f(math.Float32frombits(n), math.Float32frombits(m)) {
			return math.MaxUint32
		}
		return 0
	})
}

// fma returns d+n*m, rounded once. The product is exact in float64. The sum is rounded to
// odd there, so that rounding it again makes no difference (Boldo and Melquiond, 2008).
func fma(d, n, m float32) float32 {
	p, x := float64(n)*float64(m), float64(d)
	sum := p + x
	back := sum - p
	lost := float64(p-float64(sum-back)) + float64(x-back) // Knuth's exact error of a sum
	if lost != 0 && !math.IsNaN(lost) && math.Float64bits(sum)&1 == 0 {
		sum = math.Nextafter(sum, math.Inf(int(math.Copysign(1, lost))))
	}
	return float32(sum)
}

// number returns the one of n and m that is none if the other is NaN.
func number(f func(n, m float32) float32) func(d, n, m float32) float32 {
	return func(_, n, m float32) float32 {
		switch {
		case n != n:
			return m
		case m != m:
			return n
		}
		return f(n, m)
	}
}

func pick(lanes ...int) func(d, n, m quad) quad { // of n and then m
	return func(_, n, m quad) (d quad) {
		for i, l := range lanes {
			d[i] = append(n[:], m[:]...)[l]
		}
		return d
	}
}

// spread returns f on lane i of m in all lanes.
func spread(i int, f func(d, n, m quad) quad) func(d, n, m quad) quad {
	return func(d, n, m quad) quad { return f(d, n, quad{m[i], m[i], m[i], m[i]}) }
}

func tbx(d, n, m quad) quad {
	to, table, index := d.bytes(), n.bytes(), m.bytes()
	for i, x := range index {
		if int(x) < len(table) {
			to[i] = table[x]
		}
	}
	return quadOf(to)
}

// smlal is of the halves from first on.
func smlal(first int) func(d, n, m quad) quad {
	return func(d, n, m quad) quad {
		for i := range d {
			d[i] += uint32(int32(int16(n.half(first+i))) * int32(int16(m.half(first+i))))
		}
		return d
	}
}

func eachHalf(f func(n, m int16) int16) func(d, n, m quad) quad {
	return func(d, n, m quad) quad {
		for i := range 8 {
			d.setHalf(i, uint16(f(int16(n.half(i)), int16(m.half(i)))))
		}
		return d
	}
}

func eachByte(f func(n, m byte) byte) func(d, n, m quad) quad {
	return func(_, n, m quad) quad {
		x, y := n.bytes(), m.bytes()
		for i := range x {
			x[i] = f(x[i], y[i])
		}
		return quadOf(x)
	}
}

// halves takes every other lane of 16 bits.
func halves(first int) func(d, n, m quad) quad {
	return func(d, n, m quad) quad {
		for i := range 4 {
			d.setHalf(i, n.half(2*i+first))
			d.setHalf(4+i, m.half(2*i+first))
		}
		return d
	}
}

func dot[T int8 | uint8](d, n, m quad) quad {
	x, y := n.bytes(), m.bytes()
	for i := range x {
		d[i/4] += uint32(int32(T(x[i])) * int32(T(y[i])))
	}
	return d
}

// narrow returns the function that narrows lanes of some bits to half of them, within
// limits, to the upper or lower half of d.
func narrow(size, low, high int, upper bool) func(d, n, m quad) quad {
	return func(d, n, _ quad) quad {
		var from, to = n.bytes(), d.bytes()
		at := 0
		if upper {
			at = 8
		} else {
			clear(to[8:])
		}
		for i := 0; i < len(from); i += size {
			v := int(int16(binary.LittleEndian.Uint16(from[i:])))
			if size == 4 {
				v = int(int32(binary.LittleEndian.Uint32(from[i:])))
			}
			v = min(max(v, low), high)
			for b := range size / 2 {
				to[at] = byte(v >> (8 * b))
				at++
			}
		}
		return quadOf(to)
	}
}

func bfloat(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// toBfloat rounds to the nearest, halves to even.
func toBfloat(v uint32) uint16 {
	if f := math.Float32frombits(v); f != f {
		return uint16(v>>16) | 0x40
	}
	return uint16((v + 0x7FFF + v>>16&1) >> 16)
}

func bfcvtn(d, n quad, at int) quad {
	for i, v := range n {
		d.setHalf(at+i, toBfloat(v))
	}
	return d
}

func bfdot(d, n, m quad) quad {
	for i := range d {
		sum := math.Float32frombits(d[i])
		sum += float32(bfloat(n.half(2*i))*bfloat(m.half(2*i))) + float32(bfloat(n.half(2*i+1))*bfloat(m.half(2*i+1)))
		d[i] = math.Float32bits(sum)
	}
	return d
}

func bfmmla(d, n, m quad) quad {
	for i := range d {
		sum := math.Float32frombits(d[i])
		for k := range 4 {
			sum += float32(bfloat(n.half(i/2*4+k)) * bfloat(m.half(i%2*4+k)))
		}
		d[i] = math.Float32bits(sum)
	}
	return d
}

// definitions say what the methods of threeVectors and twoVectors do to their operands.
var definitions = map[string]func(d, n, m quad) quad{
	"Fadd": eachFloat(func(_, n, m float32) float32 { return n + m }),
	"Fsub": eachFloat(func(_, n, m float32) float32 { return n - m }),
	"Fmul": eachFloat(func(_, n, m float32) float32 { return n * m }),
	"Fdiv": eachFloat(func(_, n, m float32) float32 { return n / m }),
	"Fmla": eachFloat(fma),
	"Fmls": eachFloat(func(d, n, m float32) float32 { return fma(d, -n, m) }),
	"Fmax": eachFloat(func(_, n, m float32) float32 { return max(n, m) }),
	"Fmin": eachFloat(func(_, n, m float32) float32 { return min(n, m) }),

	"FmaxNM": eachFloat(number(func(n, m float32) float32 { return max(n, m) })),
	"FminNM": eachFloat(number(func(n, m float32) float32 { return min(n, m) })),
	"Frecps": eachFloat(func(_, n, m float32) float32 {
		if p := n * m; p != p && n == n && m == m {
			return 2 // infinity times 0
		}
		return fma(2, -n, m)
	}),

	"Fcmeq": eachBool(func(n, m float32) bool { return n == m }),
	"Fcmge": eachBool(func(n, m float32) bool { return n >= m }),
	"Fcmgt": eachBool(func(n, m float32) bool { return n > m }),

	"Fneg":   each(func(_, n, _ uint32) uint32 { return n ^ 1<<31 }),
	"Frintn": eachFloat(func(_, n, _ float32) float32 { return float32(math.RoundToEven(float64(n))) }),
	"Frintm": eachFloat(func(_, n, _ float32) float32 { return float32(math.Floor(float64(n))) }),
	"Fcvtns": eachTo(math.RoundToEven),
	"Fcvtms": eachTo(math.Floor),
	"Fcvtzs": eachTo(math.Trunc),
	"Scvtf":  each(func(_, n, _ uint32) uint32 { return math.Float32bits(float32(int32(n))) }),

	"Add4S":  each(func(_, n, m uint32) uint32 { return n + m }),
	"Sub4S":  each(func(_, n, m uint32) uint32 { return n - m }),
	"And":    each(func(_, n, m uint32) uint32 { return n & m }),
	"Bic":    each(func(_, n, m uint32) uint32 { return n &^ m }),
	"Orr":    each(func(_, n, m uint32) uint32 { return n | m }),
	"Eor":    each(func(_, n, m uint32) uint32 { return n ^ m }),
	"Bsl":    each(func(d, n, m uint32) uint32 { return n&d | m&^d }),
	"Mov16B": each(func(_, n, _ uint32) uint32 { return n }),

	"Uzp1": pick(0, 2, 4, 6),
	"Uzp2": pick(1, 3, 5, 7),
	"Zip1": pick(0, 4, 1, 5),
	"Zip2": pick(2, 6, 3, 7),
	"Trn1": pick(0, 4, 2, 6),
	"Trn2": pick(1, 5, 3, 7),
	"Tbl":  func(_, n, m quad) quad { return tbx(quad{}, n, m) },
	"Tbx":  tbx,

	"Smlal":   smlal(0),
	"Smlal2":  smlal(4),
	"Sqadd8H": eachHalf(func(n, m int16) int16 { return int16(min(max(int(n)+int(m), math.MinInt16), math.MaxInt16)) }),
	"Sub16B":  eachByte(func(n, m byte) byte { return n - m }),
	"Umax16B": eachByte(func(n, m byte) byte { return max(n, m) }),
	"Uzp1H":   halves(0),
	"Uzp2H":   halves(1),

	"Sdot":      dot[int8],
	"Udot":      dot[uint8],
	"Bfmmla":    bfmmla,
	"Bfcvtn":    func(_, n, _ quad) quad { return bfcvtn(quad{}, n, 0) },
	"Bfcvtn2":   func(d, n, _ quad) quad { return bfcvtn(d, n, 4) },
	"Sqxtn":     narrow(4, math.MinInt16, math.MaxInt16, false),
	"Sqxtn2":    narrow(4, math.MinInt16, math.MaxInt16, true),
	"Sqxtun":    narrow(4, 0, math.MaxUint16, false),
	"Sqxtun2":   narrow(4, 0, math.MaxUint16, true),
	"Sqxtn8B":   narrow(2, math.MinInt8, math.MaxInt8, false),
	"Sqxtn16B":  narrow(2, math.MinInt8, math.MaxInt8, true),
	"Sqxtun8B":  narrow(2, 0, math.MaxUint8, false),
	"Sqxtun16B": narrow(2, 0, math.MaxUint8, true),
}

// indexedDefinitions do so for those of indexed.
var indexedDefinitions = map[string]func(i int) func(d, n, m quad) quad{
	"FmlaElem":  func(i int) func(d, n, m quad) quad { return spread(i, definitions["Fmla"]) },
	"FmulElem":  func(i int) func(d, n, m quad) quad { return spread(i, definitions["Fmul"]) },
	"SdotElem":  func(i int) func(d, n, m quad) quad { return spread(i, dot[int8]) },
	"UdotElem":  func(i int) func(d, n, m quad) quad { return spread(i, dot[uint8]) },
	"BfdotElem": func(i int) func(d, n, m quad) quad { return spread(i, bfdot) },
	"Dup":       func(i int) func(d, n, m quad) quad { return pick(i, i, i, i) },
	"Dup8H": func(i int) func(d, n, m quad) quad {
		return func(d, n, _ quad) quad {
			for k := range 8 {
				d.setHalf(k, n.half(i))
			}
			return d
		}
	},
	"Shl": func(i int) func(d, n, m quad) quad { return each(func(_, n, _ uint32) uint32 { return n << i }) },
	"Ext": func(i int) func(d, n, m quad) quad {
		return func(_, n, m quad) quad {
			x, y := n.bytes(), m.bytes()
			return quadOf([16]byte(append(x[:], y[:]...)[i:]))
		}
	},
}

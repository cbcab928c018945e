package arm64

import "fmt"

// A sample is code of one method and what a disassembler has to make of it, each
// instruction on a line.
type sample struct {
	method string
	emit   func(a *Assembler)
	want   string
}

// The methods on vector registers alone, and the text of what they encode: 1 is the
// destination, 2 and 3 are the sources, and 4 is an index or a number of bits or bytes.
const (
	threeWords = " v%[1]d.4s, v%[2]d.4s, v%[3]d.4s"
	threeBytes = " v%[1]d.16b, v%[2]d.16b, v%[3]d.16b"
	twoWords   = " v%[1]d.4s, v%[2]d.4s"
)

var threeVectors = []struct {
	method string
	emit   func(a *Assembler, d, n, m V)
	form   string
}{
	{"Fadd", (*Assembler).Fadd, "fadd" + threeWords},
	{"Fsub", (*Assembler).Fsub, "fsub" + threeWords},
	{"Fmul", (*Assembler).Fmul, "fmul" + threeWords},
	{"Fdiv", (*Assembler).Fdiv, "fdiv" + threeWords},
	{"Fmla", (*Assembler).Fmla, "fmla" + threeWords},
	{"Fmls", (*Assembler).Fmls, "fmls" + threeWords},
	{"Fmax", (*Assembler).Fmax, "fmax" + threeWords},
	{"Fmin", (*Assembler).Fmin, "fmin" + threeWords},
	{"FmaxNM", (*Assembler).FmaxNM, "fmaxnm" + threeWords},
	{"FminNM", (*Assembler).FminNM, "fminnm" + threeWords},
	{"Frecps", (*Assembler).Frecps, "frecps" + threeWords},
	{"Fcmeq", (*Assembler).Fcmeq, "fcmeq" + threeWords},
	{"Fcmge", (*Assembler).Fcmge, "fcmge" + threeWords},
	{"Fcmgt", (*Assembler).Fcmgt, "fcmgt" + threeWords},
	{"Add4S", (*Assembler).Add4S, "add" + threeWords},
	{"Sub4S", (*Assembler).Sub4S, "sub" + threeWords},
	{"And", (*Assembler).And, "and" + threeBytes},
	{"Bic", (*Assembler).Bic, "bic" + threeBytes},
	{"Orr", (*Assembler).Orr, "orr" + threeBytes},
	{"Eor", (*Assembler).Eor, "eor" + threeBytes},
	{"Bsl", (*Assembler).Bsl, "bsl" + threeBytes},
	{"Uzp1", (*Assembler).Uzp1, "uzp1" + threeWords},
	{"Uzp2", (*Assembler).Uzp2, "uzp2" + threeWords},
	{"Zip1", (*Assembler).Zip1, "zip1" + threeWords},
	{"Zip2", (*Assembler).Zip2, "zip2" + threeWords},
	{"Trn1", (*Assembler).Trn1, "trn1" + threeWords},
	{"Trn2", (*Assembler).Trn2, "trn2" + threeWords},
	{"Tbl", (*Assembler).Tbl, "tbl v%[1]d.16b, {v%[2]d.16b}, v%[3]d.16b"},
	{"Sdot", (*Assembler).Sdot, "sdot v%[1]d.4s, v%[2]d.16b, v%[3]d.16b"},
	{"Udot", (*Assembler).Udot, "udot v%[1]d.4s, v%[2]d.16b, v%[3]d.16b"},
	{"Smlal", (*Assembler).Smlal, "smlal v%[1]d.4s, v%[2]d.4h, v%[3]d.4h"},
	{"Smlal2", (*Assembler).Smlal2, "smlal2 v%[1]d.4s, v%[2]d.8h, v%[3]d.8h"},
	{"Sqadd8H", (*Assembler).Sqadd8H, "sqadd v%[1]d.8h, v%[2]d.8h, v%[3]d.8h"},
	{"Sub16B", (*Assembler).Sub16B, "sub" + threeBytes},
	{"Umax16B", (*Assembler).Umax16B, "umax" + threeBytes},
	{"Uzp1H", (*Assembler).Uzp1H, "uzp1 v%[1]d.8h, v%[2]d.8h, v%[3]d.8h"},
	{"Uzp2H", (*Assembler).Uzp2H, "uzp2 v%[1]d.8h, v%[2]d.8h, v%[3]d.8h"},
	{"Tbx", (*Assembler).Tbx, "tbx v%[1]d.16b, {v%[2]d.16b}, v%[3]d.16b"},
	{"Bfmmla", (*Assembler).Bfmmla, "bfmmla v%[1]d.4s, v%[2]d.8h, v%[3]d.8h"},
}

var twoVectors = []struct {
	method string
	emit   func(a *Assembler, d, n V)
	form   string
}{
	{"Fneg", (*Assembler).Fneg, "fneg" + twoWords},
	{"Frecpe", (*Assembler).Frecpe, "frecpe" + twoWords},
	{"Frintn", (*Assembler).Frintn, "frintn" + twoWords},
	{"Frintm", (*Assembler).Frintm, "frintm" + twoWords},
	{"Fcvtns", (*Assembler).Fcvtns, "fcvtns" + twoWords},
	{"Fcvtms", (*Assembler).Fcvtms, "fcvtms" + twoWords},
	{"Fcvtzs", (*Assembler).Fcvtzs, "fcvtzs" + twoWords},
	{"Scvtf", (*Assembler).Scvtf, "scvtf" + twoWords},
	{"Mov16B", (*Assembler).Mov16B, "mov v%[1]d.16b, v%[2]d.16b"},
	{"Bfcvtn", (*Assembler).Bfcvtn, "bfcvtn v%[1]d.4h, v%[2]d.4s"},
	{"Bfcvtn2", (*Assembler).Bfcvtn2, "bfcvtn2 v%[1]d.8h, v%[2]d.4s"},
	{"Sqxtn", (*Assembler).Sqxtn, "sqxtn v%[1]d.4h, v%[2]d.4s"},
	{"Sqxtn2", (*Assembler).Sqxtn2, "sqxtn2 v%[1]d.8h, v%[2]d.4s"},
	{"Sqxtun", (*Assembler).Sqxtun, "sqxtun v%[1]d.4h, v%[2]d.4s"},
	{"Sqxtun2", (*Assembler).Sqxtun2, "sqxtun2 v%[1]d.8h, v%[2]d.4s"},
	{"Sqxtn8B", (*Assembler).Sqxtn8B, "sqxtn v%[1]d.8b, v%[2]d.8h"},
	{"Sqxtn16B", (*Assembler).Sqxtn16B, "sqxtn2 v%[1]d.16b, v%[2]d.8h"},
	{"Sqxtun8B", (*Assembler).Sqxtun8B, "sqxtun v%[1]d.8b, v%[2]d.8h"},
	{"Sqxtun16B", (*Assembler).Sqxtun16B, "sqxtun2 v%[1]d.16b, v%[2]d.8h"},
}

var indexed = []struct {
	method string
	emit   func(a *Assembler, d, n, m V, i int)
	limit  int // of the index
	form   string
}{
	{"FmlaElem", (*Assembler).FmlaElem, 4, "fmla v%[1]d.4s, v%[2]d.4s, v%[3]d.s[%[4]d]"},
	{"FmulElem", (*Assembler).FmulElem, 4, "fmul v%[1]d.4s, v%[2]d.4s, v%[3]d.s[%[4]d]"},
	{"SdotElem", (*Assembler).SdotElem, 4, "sdot v%[1]d.4s, v%[2]d.16b, v%[3]d.4b[%[4]d]"},
	{"UdotElem", (*Assembler).UdotElem, 4, "udot v%[1]d.4s, v%[2]d.16b, v%[3]d.4b[%[4]d]"},
	{"BfdotElem", (*Assembler).BfdotElem, 4, "bfdot v%[1]d.4s, v%[2]d.8h, v%[3]d.2h[%[4]d]"},
	{"Ext", (*Assembler).Ext, 16, "ext v%[1]d.16b, v%[2]d.16b, v%[3]d.16b, #%[4]d"},
	{"Dup", func(a *Assembler, d, n, _ V, i int) { a.Dup(d, n, i) }, 4, "dup v%[1]d.4s, v%[2]d.s[%[4]d]"},
	{"Dup8H", func(a *Assembler, d, n, _ V, i int) { a.Dup8H(d, n, i) }, 8, "dup v%[1]d.8h, v%[2]d.h[%[4]d]"},
	{"Shl", func(a *Assembler, d, n, _ V, i int) { a.Shl(d, n, i) }, 32, "shl v%[1]d.4s, v%[2]d.4s, #%[4]d"},
}

// vectorSamples has each of these methods with each register in each place, and every index.
func vectorSamples() (s []sample) {
	for r := range V(32) {
		d, n, m := r, (r+7)%32, (r+18)%32
		for _, op := range threeVectors {
			s = append(s, sample{op.method, func(a *Assembler) { op.emit(a, d, n, m) }, fmt.Sprintf(op.form, d, n, m)})
		}
		for _, op := range twoVectors {
			s = append(s, sample{op.method, func(a *Assembler) { op.emit(a, d, n) }, fmt.Sprintf(op.form, d, n)})
		}
		for _, op := range indexed {
			for i := range op.limit {
				s = append(s, sample{op.method, func(a *Assembler) { op.emit(a, d, n, m, i) }, fmt.Sprintf(op.form, d, n, m, i)})
			}
		}
		s = append(s, sample{"Movi0", func(a *Assembler) { a.Movi0(r) }, fmt.Sprintf("movi v%d.2d, #0x0", r)})
	}
	return s
}

package arm64

import "fmt"

// The methods on general registers, with one form for all as in threeVectors.
var general = []struct {
	method string
	emit   func(a *Assembler, d, n, m, o X)
	form   string
}{
	{"Mov", func(a *Assembler, d, n, _, _ X) { a.Mov(d, n) }, "mov x%[1]d, x%[2]d"},
	{"Add", func(a *Assembler, d, n, m, _ X) { a.Add(d, n, m) }, "add x%[1]d, x%[2]d, x%[3]d"},
	{"Sub", func(a *Assembler, d, n, m, _ X) { a.Sub(d, n, m) }, "sub x%[1]d, x%[2]d, x%[3]d"},
	{"Cmp", func(a *Assembler, d, n, _, _ X) { a.Cmp(d, n) }, "cmp x%[1]d, x%[2]d"},
	{"Madd", (*Assembler).Madd, "madd x%[1]d, x%[2]d, x%[3]d, x%[4]d"},
	{"Br", func(a *Assembler, d, _, _, _ X) { a.Br(d) }, "br x%[1]d"},
	{"Blr", func(a *Assembler, d, _, _, _ X) { a.Blr(d) }, "blr x%[1]d"},
	{"DupX", func(a *Assembler, d, n, _, _ X) { a.DupX(V(d), n) }, "dup v%[1]d.4s, w%[2]d"},
	{"Ld1R", func(a *Assembler, d, n, _, _ X) { a.Ld1R(V(d), n) }, "ld1r {v%[1]d.4s}, [x%[2]d]"},
	{"Ld2", func(a *Assembler, d, n, _, _ X) { a.Ld2(V(d), n) }, "ld2 {v%[1]d.4s, v%[5]d.4s}, [x%[2]d]"},
}

// The methods on one register and memory, with the beginning of their text.
var accesses = []struct {
	method string
	emit   func(a *Assembler, t uint8, base X, off int)
	unit   int
	form   string
}{
	{"Ldr", func(a *Assembler, t uint8, base X, off int) { a.Ldr(X(t), base, off) }, 8, "ldr x"},
	{"Str", func(a *Assembler, t uint8, base X, off int) { a.Str(X(t), base, off) }, 8, "str x"},
	{"LdrS", func(a *Assembler, t uint8, base X, off int) { a.LdrS(V(t), base, off) }, 4, "ldr s"},
	{"StrS", func(a *Assembler, t uint8, base X, off int) { a.StrS(V(t), base, off) }, 4, "str s"},
	{"LdrD", func(a *Assembler, t uint8, base X, off int) { a.LdrD(V(t), base, off) }, 8, "ldr d"},
	{"StrD", func(a *Assembler, t uint8, base X, off int) { a.StrD(V(t), base, off) }, 8, "str d"},
	{"LdrQ", func(a *Assembler, t uint8, base X, off int) { a.LdrQ(V(t), base, off) }, 16, "ldr q"},
	{"StrQ", func(a *Assembler, t uint8, base X, off int) { a.StrQ(V(t), base, off) }, 16, "str q"},
}

// The methods on two registers and memory.
var pairsOf = []struct {
	method string
	emit   func(a *Assembler, d, e uint8, base X, off int)
	unit   int
	form   string
}{
	{"Ldp", func(a *Assembler, d, e uint8, b X, off int) { a.Ldp(X(d), X(e), b, off) }, 8, "ldp x%[1]d, x%[2]d, [x%[3]d, #%[4]d]"},
	{"Stp", func(a *Assembler, d, e uint8, b X, off int) { a.Stp(X(d), X(e), b, off) }, 8, "stp x%[1]d, x%[2]d, [x%[3]d, #%[4]d]"},
	{"LdpPost", func(a *Assembler, d, e uint8, b X, off int) { a.LdpPost(X(d), X(e), b, off) }, 8, "ldp x%[1]d, x%[2]d, [x%[3]d], #%[4]d"},
	{"StpPre", func(a *Assembler, d, e uint8, b X, off int) { a.StpPre(X(d), X(e), b, off) }, 8, "stp x%[1]d, x%[2]d, [x%[3]d, #%[4]d]!"},
	{"LdpQ", func(a *Assembler, d, e uint8, b X, off int) { a.LdpQ(V(d), V(e), b, off) }, 16, "ldp q%[1]d, q%[2]d, [x%[3]d, #%[4]d]"},
	{"StpQ", func(a *Assembler, d, e uint8, b X, off int) { a.StpQ(V(d), V(e), b, off) }, 16, "stp q%[1]d, q%[2]d, [x%[3]d, #%[4]d]"},
}

// generalSamples has each of these methods with each register in each place, and offsets
// of one instruction.
func generalSamples() (s []sample) {
	for r := range X(31) {
		d, n, m, o := r, (r+7)%31, (r+18)%31, (r+26)%31
		for _, op := range general {
			s = append(s, sample{op.method, func(a *Assembler) { op.emit(a, d, n, m, o) }, fmt.Sprintf(op.form, d, n, m, o, d+1)})
		}
		for _, op := range accesses {
			t := uint8(d)
			for _, off := range []int{int(r)*op.unit*132 + op.unit, int(r)*17 - 256} {
				form, unscaled := op.form+"%[1]d, [x%[2]d, #%[3]d]", off < 0 || off%op.unit != 0
				if unscaled {
					form = form[:2] + "u" + form[2:] // ldur, stur
				}
				s = append(s, sample{op.method, func(a *Assembler) { op.emit(a, t, n, off) }, fmt.Sprintf(form, t, n, off)})
			}
		}
		for _, op := range pairsOf {
			off := (int(r)*4 - 63) * op.unit
			s = append(s, sample{op.method, func(a *Assembler) { op.emit(a, uint8(d), uint8(n), m, off) }, fmt.Sprintf(op.form, d, n, m, off)})
		}
	}
	for bits := 1; bits < 64; bits++ {
		s = append(s, sample{"Lsl", func(a *Assembler) { a.Lsl(3, 30, bits) }, fmt.Sprintf("lsl x3, x30, #%d", bits)})
	}
	return s
}

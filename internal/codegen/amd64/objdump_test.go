package amd64

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// allOps are the instructions of optable.go, and the VEX forms to be asked for.
var allOps = []Op{
	VMOVUPS, VMOVAPS, VMOVNTPS, VMOVDQU8, VMOVDQU16, VMOVD, VMASKMOVPS,
	VBROADCASTSS, VBROADCASTF128, VBROADCASTF32X4, VPBROADCASTB, VPBROADCASTW, VPBROADCASTD, VPBROADCASTQ,
	VADDPS, VSUBPS, VMULPS, VDIVPS, VMINPS, VMAXPS, VANDPS, VANDNPS, VORPS, VXORPS,
	VSQRTPS, VRCPPS, VRCP14PS, VROUNDPS, VRNDSCALEPS, VREDUCEPS, VSCALEFPS,
	VFMADD132PS, VFMADD213PS, VFMADD231PS, VFMSUB213PS, VFNMADD132PS, VFNMADD213PS, VFNMADD231PS,
	VCVTPS2DQ, VCVTTPS2DQ, VCVTDQ2PS, VCVTPH2PS, VCVTPS2PH, VCVTNEPS2BF16, VCVTNE2PS2BF16, VDPBF16PS,
	VPADDD, VPSUBD, VPMULLD, VPMINSD, VPMAXSD, VPADDB, VPSUBB, VPADDW, VPADDSW, VPADDUSB, VPSUBUSB,
	VPMAXUB, VPMINUB, VPMAXSB, VPMULHW, VPMULHRSW, VPMADDUBSW, VPMADDWD,
	VPDPBUSD, VPDPBUSDS, VPDPWSSD, VPDPBUSD.VEX(), VPDPBUSDS.VEX(), VPDPWSSD.VEX(),
	VPSLLD, VPSRLD, VPSRAD, VPSLLW, VPSRLW, VPSRAW,
	VPAND, VPANDN, VPOR, VPXOR, VPANDD, VPORD, VPXORD,
	VPSHUFB, VPSHUFD, VSHUFPS, VPERMPS, VPERMD, VPERMQ, VPERMPD, VPERM2F128,
	VPERMT2PS, VPERMT2D, VPERMT2W, VPERMT2B, VPERMI2PS, VPERMI2B, VPERMW, VPERMB, VALIGND, VPALIGNR,
	VUNPCKLPS, VUNPCKHPS, VPUNPCKLBW, VPUNPCKHBW, VPUNPCKLWD, VPUNPCKHWD,
	VINSERTF128, VINSERTF32X4, VINSERTF32X8, VINSERTF64X4,
	VEXTRACTF128, VEXTRACTF32X4, VEXTRACTF32X8, VEXTRACTF64X4,
	VPACKSSDW, VPACKUSDW, VPACKSSWB, VPACKUSWB,
	VPMOVZXBD, VPMOVSXBD, VPMOVZXWD, VPMOVZXBW, VPMOVSXBW, VPMOVDB, VPMOVUSDB,
	VBLENDPS, VBLENDVPS, VBLENDMPS, VPBLENDMD, VPBLENDMB, VCMPPS, VPCMPUB, VPMOVB2M, VPMOVM2B,
}

// A listing is code and what objdump should say of each instruction in it.
type listing struct {
	t    *testing.T
	code []byte
	want []string
	at   []int
}

// add appends what emit writes, which is to be disassembled to text.
func (l *listing) add(text string, emit func(a *Assembler)) []byte {
	l.t.Helper()
	var a Assembler
	emit(&a)
	code, err := a.Finish()
	if err != nil {
		l.t.Errorf("%s: %v", text, err)
		return nil
	}
	l.at = append(l.at, len(l.code))
	l.want = append(l.want, text)
	l.code = append(l.code, code...)
	return code
}

// vector appends i, or checks that it is refused where no encoding can say it.
func (l *listing) vector(i instr) {
	l.t.Helper()
	e := i.encoding()
	if e == 0 {
		var a Assembler
		i.emit(&a)
		if _, err := a.Finish(); err == nil {
			l.t.Errorf("%s: no error", i.text())
		}
		return
	}
	code := l.add(i.text(), i.emit)
	if len(code) > 0 && (code[0] == 0x62) != (e == evex) {
		l.t.Errorf("%s: % x is not in the encoding it should have", i.text(), code)
	}
}

// A line of objdump: address, perhaps the name of the encoding, the instruction.
var lineFormat = regexp.MustCompile(`^ *([0-9a-f]+):\s+(?:\{e?vex\} )?(.*?)\s*$`)

// compare runs objdump over the code.
func (l *listing) compare() {
	t := l.t
	t.Helper()
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("objdump is not installed (Debian: binutils)")
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, l.code, 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "i386:x86-64", "-M", "intel", "--no-show-raw-insn", file).Output()
	if err != nil {
		t.Skipf("objdump cannot disassemble x86-64: %v", err)
	}
	n, bad := 0, 0
	for line := range strings.Lines(string(out)) {
		f := lineFormat.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if f == nil {
			continue // a heading
		}
		if n == len(l.want) {
			t.Fatalf("more than the %d instructions written: %s", n, line)
		}
		at, err := strconv.ParseInt(f[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(strings.Fields(f[2]), " ")
		if int(at) != l.at[n] || got != l.want[n] {
			end := len(l.code)
			if n+1 < len(l.at) {
				end = l.at[n+1]
			}
			t.Errorf("byte %d: % x is\n%s, want\n%s", l.at[n], l.code[l.at[n]:end], got, l.want[n])
			if bad++; bad == 20 || int(at) != l.at[n] {
				t.FailNow()
			}
		}
		n++
	}
	if n != len(l.want) {
		t.Errorf("%d instructions, want %d", n, len(l.want))
	}
	t.Logf("%d instructions, %d bytes", n, len(l.code))
}

// TestOpNames checks that allOps is complete, and that instructions are named as their
// variables are.
func TestOpNames(t *testing.T) {
	known := map[string]bool{}
	for _, o := range allOps {
		known[strings.ToUpper(o.String())] = true
	}
	file, err := parser.ParseFile(token.NewFileSet(), "optable.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, s := range group.Specs {
			for _, name := range s.(*ast.ValueSpec).Names {
				n++
				if !known[name.Name] {
					t.Errorf("no instruction in the test is named %s", name.Name)
				}
			}
		}
	}
	if n != len(known) {
		t.Errorf("%d instructions in the table, %d in the test", n, len(known))
	}
}

func TestVectorRegisters(t *testing.T) {
	l := &listing{t: t}
	for _, o := range allOps {
		for _, w := range []Width{X, Y, Z} {
			if o.enc.excludes(w) {
				continue
			}
			for _, r := range [][4]Vec{{0, 1, 2, 3}, {7, 8, 15, 15}, {9, 3, 4, 0}, {6, 4, 11, 8}, {16, 24, 31, 9}, {31, 0, 8, 1}, {1, 20, 7, 2}, {15, 9, 23, 7}} {
				for _, m := range []writeMask{{}, {1, false}, {7, true}} {
					registerForms(l, instr{op: o, w: w, d: r[0], x: r[1], y: r[2], z: r[3], imm: 0x7b, mask: m})
				}
			}
		}
	}
	l.compare()
}

// registerForms appends i, all of whose operands are registers, in the forms that it has.
func registerForms(l *listing, i instr) {
	switch {
	case i.op.enc&noReg != 0:
		return
	case i.op.enc&noMask != 0:
		i.mask = writeMask{}
	}
	switch {
	case i.op.enc&fromMask != 0:
		i.y = Mask(i.y.(Vec) & 7)
	case i.op.enc&toMask != 0:
		if i.op.enc&vex != 0 {
			l.vector(i)
		}
		i.toMask = true
		i.d &= 7
		i.mask.zero = false
	}
	l.vector(i)
}

func TestVectorMemory(t *testing.T) {
	l := &listing{t: t}
	turn := 0
	for _, o := range allOps {
		for _, w := range []Width{X, Y, Z} {
			if o.enc.excludes(w) || o.mem == noTuple {
				continue
			}
			n := int(o.mem.size(w))
			e := int(o.mem.element())
			for _, disp := range []int{0, 1, -1, n, -n, 127 * n, 128 * n, -128 * n, -129 * n, 127, 128, e, 127 * e, 128 * e, -128 * e, 0x12345678, -0x12345678} {
				turn++
				m := At(bases[turn%len(bases)], disp)
				if x := indexes[turn/3%len(indexes)]; x.scale != 0 {
					m = m.Plus(x.r, x.scale)
				}
				r := Vec(turn * 5)
				memoryForms(l, instr{op: o, w: w, d: r % 16, x: (r + 3) % 16, y: m, z: (r + 7) % 16, imm: 0x7b})
				memoryForms(l, instr{op: o, w: w, d: r % 32, x: (r + 19) % 32, y: m, z: r % 16, imm: 0x7b, mask: writeMask{Mask(turn % 8), turn%8 != 0 && turn%3 == 0}})
			}
		}
	}
	l.compare()
}

var bases = []GPR{RAX, RSP, RBP, RDI, R8, R12, R13, R15, RBX}

var indexes = []struct {
	r     GPR
	scale int
}{{}, {RCX, 1}, {RBP, 2}, {R9, 4}, {R12, 8}, {R13, 1}, {}, {RAX, 8}, {R15, 2}}

// memoryForms appends i, whose last operand is in memory, in the forms that it has.
func memoryForms(l *listing, i instr) {
	if i.op.enc&noMask != 0 {
		i.mask = writeMask{}
	}
	if i.op.form != formMR && i.op.form != formMRI {
		load := i
		if load.op.enc&toMask != 0 {
			if load.op.enc&vex != 0 {
				l.vector(load)
			}
			load.toMask = true
			load.d &= 7
			load.mask.zero = false
		}
		l.vector(load)
		if load.op.mem.element() != 0 {
			load.y = load.y.(Mem).Bcast()
			l.vector(load)
		}
	}
	if i.op.store != 0 || i.op.form == formMR || i.op.form == formMRI {
		i.store = true
		i.mask.zero = false
		if i.op.name == "vmaskmovps" {
			i.w = Y // the one that MaskStore writes
		}
		l.vector(i)
	}
}

func TestAddresses(t *testing.T) {
	l := &listing{t: t}
	for base := RAX; base <= R15; base++ {
		for _, disp := range []int{0, 8, 64, -128, 0x1000, -0x2001} {
			m := At(base, disp)
			l.vector(instr{op: VADDPS, w: Y, d: 1, x: 2, y: m})
			l.vector(instr{op: VADDPS, w: Z, d: 1, x: 2, y: m})
			for index := RAX; index <= R15; index++ {
				if index == RSP {
					continue
				}
				for _, scale := range []int{1, 2, 4, 8} {
					m := m.Plus(index, scale)
					l.vector(instr{op: VADDPS, w: Y, d: 12, x: 2, y: m})
					l.vector(instr{op: VADDPS, w: Z, d: 17, x: 2, y: m})
				}
			}
		}
	}
	l.compare()
}

// TestRandom mixes what the tables above keep apart.
func TestRandom(t *testing.T) {
	l := &listing{t: t}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		o := allOps[r.IntN(len(allOps))]
		w := []Width{X, Y, Z}[r.IntN(3)]
		if o.enc.excludes(w) {
			continue
		}
		top := []int{8, 16, 32}[r.IntN(3)]
		vec := func() Vec { return Vec(r.IntN(top)) }
		i := instr{op: o, w: w, d: vec(), x: vec(), z: Vec(r.IntN(16)), imm: 0x20 + uint8(r.IntN(0x40))}
		if r.IntN(2) == 0 {
			i.mask = writeMask{Mask(1 + r.IntN(7)), r.IntN(2) == 0}
		}
		if r.IntN(2) == 0 {
			i.y = vec()
			registerForms(l, i)
			continue
		}
		if o.mem == noTuple {
			continue
		}
		m := At(GPR(r.IntN(16)), r.IntN(64)*8-256)
		switch r.IntN(4) {
		case 0:
			m.Disp *= 64
		case 1:
			m.Disp = int32(r.Uint32())
		}
		if index := GPR(r.IntN(16)); index != RSP && r.IntN(2) == 0 {
			m = m.Plus(index, 1<<r.IntN(4))
		}
		i.y = m
		memoryForms(l, i)
	}
	l.compare()
}

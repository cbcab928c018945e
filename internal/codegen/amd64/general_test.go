package amd64

import (
	"fmt"
	"testing"
)

// TestGeneral disassembles the instructions on general, mask and tile registers.
func TestGeneral(t *testing.T) {
	l := &listing{t: t}
	for d := RAX; d <= R15; d++ {
		s := d ^ 11
		D, S := names64[d], names64[s]
		for _, c := range []struct {
			text string
			emit func(a *Assembler)
		}{
			{"mov " + D + "," + S, func(a *Assembler) { a.MovRR(d, s) }},
			{"mov " + names32[d] + ",0x0", func(a *Assembler) { a.MovRI(d, 0) }},
			{"mov " + names32[d] + ",0xffffffff", func(a *Assembler) { a.MovRI(d, 1<<32-1) }},
			{"mov " + D + ",0xffffffffffffffff", func(a *Assembler) { a.MovRI(d, -1) }},
			{"mov " + D + ",0xffffffff80000000", func(a *Assembler) { a.MovRI(d, -1<<31) }},
			{"movabs " + D + ",0xffffffff7fffffff", func(a *Assembler) { a.MovRI(d, -1<<31-1) }},
			{"movabs " + D + ",0x123456789abcdef0", func(a *Assembler) { a.MovRI(d, 0x123456789abcdef0) }},
			{"movabs " + D + ",0x100000000", func(a *Assembler) { a.MovRI(d, 1<<32) }},
			{"add " + D + "," + S, func(a *Assembler) { a.AddRR(d, s) }},
			{"add " + D + ",0x7f", func(a *Assembler) { a.AddRI(d, 127) }},
			{"add " + D + ",0x80", func(a *Assembler) { a.AddRI(d, 128) }},
			{"add " + D + ",0xffffffffffffff80", func(a *Assembler) { a.AddRI(d, -128) }},
			{"add " + D + ",0xffffffffffffff7f", func(a *Assembler) { a.AddRI(d, -129) }},
			{"sub " + D + "," + S, func(a *Assembler) { a.SubRR(d, s) }},
			{"sub " + D + ",0x5", func(a *Assembler) { a.SubRI(d, 5) }},
			{"sub " + D + ",0x7fffffff", func(a *Assembler) { a.SubRI(d, 1<<31-1) }},
			{"imul " + D + "," + S + ",0x7", func(a *Assembler) { a.ImulRRI(d, s, 7) }},
			{"imul " + D + "," + S + ",0x1234", func(a *Assembler) { a.ImulRRI(d, s, 0x1234) }},
			{"xor " + D + "," + S, func(a *Assembler) { a.XorRR(d, s) }},
			{"and " + D + ",0xfffffffffffffff0", func(a *Assembler) { a.AndRI(d, -16) }},
			{"and " + D + ",0xff", func(a *Assembler) { a.AndRI(d, 255) }},
			{"shl " + D + ",0x3f", func(a *Assembler) { a.ShlRI(d, 63) }},
			{"shr " + D + ",0x2", func(a *Assembler) { a.ShrRI(d, 2) }},
			{"dec " + D, func(a *Assembler) { a.Dec(d) }},
			{"cmp " + D + "," + S, func(a *Assembler) { a.CmpRR(d, s) }},
			{"cmp " + D + ",0xffffffffffffffff", func(a *Assembler) { a.CmpRI(d, -1) }},
			{"cmp " + D + ",0x100", func(a *Assembler) { a.CmpRI(d, 256) }},
			{"test " + D + "," + S, func(a *Assembler) { a.TestRR(d, s) }},
			{"push " + D, func(a *Assembler) { a.Push(d) }},
			{"pop " + D, func(a *Assembler) { a.Pop(d) }},
			{"call " + D, func(a *Assembler) { a.CallR(d) }},
			{"kmovd k3," + names32[d], func(a *Assembler) { a.KmovRK(3, d) }},
			{"kmovq k7," + D, func(a *Assembler) { a.Kmovq(7, d) }},
			{"vmovd xmm5," + names32[d], func(a *Assembler) { a.VmovdR(5, d) }},
			{"vmovd xmm15," + names32[d], func(a *Assembler) { a.VmovdR(15, d) }},
			{"vmovd xmm24," + names32[d], func(a *Assembler) { a.VmovdR(24, d) }},
			{"vmovd " + names32[d] + ",xmm9", func(a *Assembler) { a.VmovR(d, 9) }},
			{"vmovd " + names32[d] + ",xmm16", func(a *Assembler) { a.VmovR(d, 16) }},
		} {
			l.add(c.text, c.emit)
		}
		for i, x := range indexes {
			for _, disp := range []int{0, -128, 0x80} {
				m := At(bases[(i+int(d))%len(bases)], disp)
				if x.scale != 0 {
					m = m.Plus(x.r, x.scale)
				}
				l.general(d, m)
			}
		}
	}
	l.add("ret", func(a *Assembler) { a.Ret() })
	l.add("vzeroupper", func(a *Assembler) { a.Vzeroupper() })
	l.add("tilerelease", func(a *Assembler) { a.Tilerelease() })
	l.tiles()
	for i, text := range []string{
		"nop", "xchg ax,ax", "nop DWORD PTR [rax]", "nop DWORD PTR [rax+0x0]", "nop DWORD PTR [rax+rax*1+0x0]",
		"nop WORD PTR [rax+rax*1+0x0]", "nop DWORD PTR [rax+0x0]", "nop DWORD PTR [rax+rax*1+0x0]", "nop WORD PTR [rax+rax*1+0x0]",
	} {
		if code := l.add(text, func(a *Assembler) { a.bytes(nops[i]...) }); len(code) != i+1 {
			t.Errorf("the no-operation of %d bytes has %d", i+1, len(code))
		}
	}
	l.compare()
}

// general appends the instructions that have an operand in memory, and d.
func (l *listing) general(d GPR, m Mem) {
	k, tile := Mask(d&7), Tile(d&7)
	D, M := names64[d], address(m)
	for _, c := range []struct {
		text string
		emit func(a *Assembler)
	}{
		{"mov " + D + ",QWORD PTR " + M, func(a *Assembler) { a.Load(d, m) }},
		{"mov QWORD PTR " + M + "," + D, func(a *Assembler) { a.Store(m, d) }},
		{"mov " + names32[d] + ",DWORD PTR " + M, func(a *Assembler) { a.Load32(d, m) }},
		{"mov DWORD PTR " + M + "," + names32[d], func(a *Assembler) { a.Store32(m, d) }},
		{"lea " + D + "," + M, func(a *Assembler) { a.Lea(d, m) }},
		{"add " + D + ",QWORD PTR " + M, func(a *Assembler) { a.AddRM(d, m) }},
		{"prefetcht0 BYTE PTR " + M, func(a *Assembler) { a.PrefetchT0(m) }},
		{"prefetcht1 BYTE PTR " + M, func(a *Assembler) { a.PrefetchT1(m) }},
		{"stmxcsr DWORD PTR " + M, func(a *Assembler) { a.StMXCSR(m) }},
		{"ldmxcsr DWORD PTR " + M, func(a *Assembler) { a.LdMXCSR(m) }},
		{fmt.Sprintf("kmovw k%d,WORD PTR %s", k, M), func(a *Assembler) { a.KmovMem(k, m) }},
		{"ldtilecfg " + M, func(a *Assembler) { a.Ldtilecfg(m) }},
		{"sttilecfg " + M, func(a *Assembler) { a.Sttilecfg(m) }},
	} {
		l.add(c.text, c.emit)
	}
	if m.Scale != 0 {
		l.add(fmt.Sprintf("tileloadd tmm%d,%s", tile, M), func(a *Assembler) { a.Tileload(tile, m) })
		l.add(fmt.Sprintf("tilestored %s,tmm%d", M, tile), func(a *Assembler) { a.Tilestore(m, tile) })
	}
}

// tiles appends the instructions on tiles alone.
func (l *listing) tiles() {
	dots := map[string]func(a *Assembler, c, x, y Tile){
		"tdpbf16ps": (*Assembler).Tdpbf16ps, "tdpbssd": (*Assembler).Tdpbssd, "tdpbsud": (*Assembler).Tdpbsud,
		"tdpbusd": (*Assembler).Tdpbusd, "tdpbuud": (*Assembler).Tdpbuud,
	}
	for c := range Tile(8) {
		l.add(fmt.Sprintf("tilezero tmm%d", c), func(a *Assembler) { a.Tilezero(c) })
		for x := range Tile(8) {
			y := (c + x + 3) % 8
			if c == x || c == y || x == y {
				continue
			}
			for name, dot := range dots {
				l.add(fmt.Sprintf("%s tmm%d,tmm%d,tmm%d", name, c, x, y), func(a *Assembler) { dot(a, c, x, y) })
			}
		}
	}
}

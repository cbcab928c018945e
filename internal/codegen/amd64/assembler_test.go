package amd64

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// TestBytes compares encodings to those of GNU as 2.40.
func TestBytes(t *testing.T) {
	for _, c := range []struct {
		want string
		emit func(a *Assembler)
	}{
		{"c5ec58cb", func(a *Assembler) { a.V3(VADDPS, Y, 1, 2, Vec(3)) }},
		{"c4416c58cb", func(a *Assembler) { a.V3(VADDPS, Y, 9, 2, Vec(11)) }},
		{"62f16c48584e01", func(a *Assembler) { a.V3(VADDPS, Z, 1, 2, At(RSI, 0x40)) }},
		{"62f16c48588e44000000", func(a *Assembler) { a.V3(VADDPS, Z, 1, 2, At(RSI, 0x44)) }},
		{"620174405874a57f", func(a *Assembler) { a.V3(VADDPS, Z, 30, 17, At(R13, 0x1fc0).Plus(R12, 4)) }},
		{"62f15cda58587f", func(a *Assembler) { a.K(2, true).V3(VADDPS, Z, 3, 4, At(RAX, 0x1fc).Bcast()) }},
		{"62e17c2810c1", func(a *Assembler) { a.V2(VMOVUPS, Y, 16, Vec(1)) }},
		{"62f17c49112c24", func(a *Assembler) { a.K(1, false).StoreV(VMOVUPS, Z, At(RSP, 0), 5) }},
		{"62627d58b87a01", func(a *Assembler) { a.V3(VFMADD231PS, Z, 31, 0, At(RDX, 4).Bcast()) }},
		{"c4e3fd01cad8", func(a *Assembler) { a.V2I(VPERMPD, Y, 1, Vec(2), 0xd8) }},
		{"c5e572f417", func(a *Assembler) { a.V2I(VPSLLD, Y, 3, Vec(4), 23) }},
		{"62f1654872f417", func(a *Assembler) { a.V2I(VPSLLD, Z, 3, Vec(4), 23) }},
		{"62f1654872600101", func(a *Assembler) { a.V2I(VPSRAD, Z, 3, At(RAX, 64), 1) }},
		{"c4e36d4a0940", func(a *Assembler) { a.V4(VBLENDVPS, Y, 1, 2, At(RCX, 0), 4) }},
		{"62f16449c2d401", func(a *Assembler) { a.K(1, false).V3IK(VCMPPS, Z, 2, 3, Vec(4), 1) }},
		{"c5e4c2d401", func(a *Assembler) { a.V3I(VCMPPS, Y, 2, 3, Vec(4), 1) }},
		{"62f27e4b117f01", func(a *Assembler) { a.K(3, false).StoreV(VPMOVUSDB, Z, At(RDI, 16), 7) }},
		{"62b27e4872ca", func(a *Assembler) { a.V2(VCVTNEPS2BF16, Z, 1, Vec(18)) }},
		{"c4e37d1d1304", func(a *Assembler) { a.StoreVI(VCVTPS2PH, Y, At(RBX, 0), 2, 4) }},
		{"c4e37d19d101", func(a *Assembler) { a.V2I(VEXTRACTF128, Y, 1, Vec(2), 1) }},
		{"62f26d2850cb", func(a *Assembler) { a.V3(VPDPBUSD, Y, 1, 2, Vec(3)) }},
		{"c4e26d50cb", func(a *Assembler) { a.V3(VPDPBUSD.VEX(), Y, 1, 2, Vec(3)) }},
		{"62b27e4829e5", func(a *Assembler) { a.V2K(VPMOVB2M, Z, 4, 21) }},
		{"62e27e4828ec", func(a *Assembler) { a.V2(VPMOVM2B, Z, 21, Mask(4)) }},
		{"c4c2752e11", func(a *Assembler) { a.MaskStore(At(R9, 0), 1, 2) }},
		{"c4e27b4b0c08", func(a *Assembler) { a.Tileload(1, At(RAX, 0).Plus(RCX, 1)) }},
		{"c4e2695ec1", func(a *Assembler) { a.Tdpbusd(0, 1, 2) }},
		{"c4c17b92c9", func(a *Assembler) { a.KmovRK(1, R9) }},
		{"c5f8904802", func(a *Assembler) { a.KmovMem(1, At(RAX, 2)) }},
	} {
		var a Assembler
		c.emit(&a)
		code, err := a.Finish()
		if got := hex.EncodeToString(code); got != c.want || err != nil {
			t.Errorf("%s (%v), want %s", got, err, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	mem := At(RAX, 0)
	for _, c := range []struct {
		want string // a part of the message
		emit func(a *Assembler)
	}{
		{"no EVEX form", func(a *Assembler) { a.V2(VRCPPS, Y, 16, Vec(0)) }},
		{"no EVEX form", func(a *Assembler) { a.V3(VPXOR, Y, 0, 16, Vec(0)) }},
		{"no EVEX form", func(a *Assembler) { a.V3(VPXOR, Y, 0, 0, Vec(31)) }},
		{"no EVEX form", func(a *Assembler) { a.K(1, false).V3(VPXOR, Y, 0, 0, Vec(0)) }},
		{"no EVEX form", func(a *Assembler) { a.V3(VPXOR, Z, 0, 0, Vec(0)) }},
		{"no EVEX form", func(a *Assembler) { a.V3(VPDPBUSD.VEX(), Y, 0, 0, Vec(16)) }},
		{"no EVEX form", func(a *Assembler) { a.V3I(VCMPPS, Z, 0, 0, Vec(0), 1) }},
		{"no EVEX form", func(a *Assembler) { a.K(2, false).MaskStore(mem, 0, 1) }},
		{"no broadcast", func(a *Assembler) { a.V3(VPADDB, Z, 0, 0, mem.Bcast()) }},
		{"no broadcast", func(a *Assembler) { a.V2(VBROADCASTSS, Z, 0, mem.Bcast()) }},
		{"no broadcast", func(a *Assembler) { a.StoreV(VMOVUPS, Z, mem.Bcast(), 0) }},
		{"no broadcast", func(a *Assembler) { a.Load(RAX, mem.Bcast()) }},
		{"no vector register 32", func(a *Assembler) { a.V3(VADDPS, Z, 32, 0, Vec(0)) }},
		{"no vector register 32", func(a *Assembler) { a.V3(VADDPS, Z, 0, 32, Vec(0)) }},
		{"no vector register 255", func(a *Assembler) { a.V3(VADDPS, Z, 0, 0, Vec(255)) }},
		{"no mask register 8", func(a *Assembler) { a.K(8, false) }},
		{"no mask register 8", func(a *Assembler) { a.V2K(VPMOVB2M, Z, 8, 0) }},
		{"no mask register 9", func(a *Assembler) { a.V2(VPMOVM2B, Z, 0, Mask(9)) }},
		{"no mask register 8", func(a *Assembler) { a.KmovRK(8, RAX) }},
		{"no tile 8", func(a *Assembler) { a.Tilezero(8) }},
		{"no general register 16", func(a *Assembler) { a.Push(16) }},
		{"no general register 16", func(a *Assembler) { a.VmovdR(0, 16) }},
		{"no such base 16", func(a *Assembler) { a.Load(RAX, At(16, 0)) }},
		{"no such base 0 or index 16", func(a *Assembler) { a.Load(RAX, mem.Plus(16, 1)) }},
		{"RSP cannot be an index", func(a *Assembler) { a.V2(VMOVUPS, Y, 0, mem.Plus(RSP, 1)) }},
		{"scaled by 1, 2, 4 or 8", func(a *Assembler) { a.Load(RAX, mem.Plus(RCX, 3)) }},
		{"scaled by 1, 2, 4 or 8", func(a *Assembler) { a.Load(RAX, mem.Plus(RCX, 0)) }},
		{"scaled by 1, 2, 4 or 8", func(a *Assembler) { a.Load(RAX, mem.Plus(RCX, 257)) }},
		{"the displacement", func(a *Assembler) { a.Lea(RAX, At(RAX, 1<<31)) }},
		{"the displacement", func(a *Assembler) { a.V2(VMOVUPS, Z, 0, At(RAX, -1<<31-1)) }},
		{"more than 32 bits", func(a *Assembler) { a.AddRI(RAX, 1<<31) }},
		{"by 64 bits", func(a *Assembler) { a.ShlRI(RAX, 64) }},
		{"by -1 bits", func(a *Assembler) { a.ShrRI(RAX, -1) }},
		{"not an instruction of 128 bits", func(a *Assembler) { a.V3(VPERMPS, X, 0, 0, Vec(0)) }},
		{"not an instruction of 512 bits", func(a *Assembler) { a.V2(VMOVD, Z, 0, mem) }},
		{"not an instruction of 0 bits", func(a *Assembler) { a.V3(VADDPS, 0, 0, 0, Vec(0)) }},
		{"takes no mask", func(a *Assembler) { a.K(1, false).StoreV(VMOVNTPS, Z, mem, 0) }},
		{"takes no mask register", func(a *Assembler) { a.V2(VMOVUPS, Z, 0, Mask(1)) }},
		{"takes no vector register", func(a *Assembler) { a.V2(VMOVD, X, 0, Vec(1)) }},
		{"takes no memory operand", func(a *Assembler) { a.V2(VPMOVM2B, Z, 0, mem) }},
		{"lacks an operand", func(a *Assembler) { a.V3(VADDPS, Z, 0, 0, nil) }},
		{"must be a register", func(a *Assembler) { a.V2(VPMOVDB, Z, 0, mem) }},
		{"register below 16", func(a *Assembler) { a.V4(VBLENDVPS, Y, 0, 0, Vec(0), 16) }},
		{"for V2", func(a *Assembler) { a.V2(VADDPS, Z, 0, Vec(0)) }},
		{"for V2", func(a *Assembler) { a.V2(VPMOVB2M, Z, 0, Vec(0)) }},
		{"for V2I", func(a *Assembler) { a.V2I(VMOVUPS, Z, 0, Vec(0), 1) }},
		{"for V2K", func(a *Assembler) { a.V2K(VMOVUPS, Z, 0, 0) }},
		{"for V3", func(a *Assembler) { a.V3(VSHUFPS, Z, 0, 0, Vec(0)) }},
		{"for V3I", func(a *Assembler) { a.V3I(VADDPS, Z, 0, 0, Vec(0), 1) }},
		{"for V3IK", func(a *Assembler) { a.V3IK(VSHUFPS, Z, 0, 0, Vec(0), 1) }},
		{"for V4", func(a *Assembler) { a.V4(VADDPS, Z, 0, 0, Vec(0), 1) }},
		{"for StoreV", func(a *Assembler) { a.StoreV(VADDPS, Z, mem, 0) }},
		{"for StoreV", func(a *Assembler) { a.StoreV(VSQRTPS, Z, mem, 0) }},
		{"for StoreV", func(a *Assembler) { a.StoreV(VMASKMOVPS, Z, mem, 0) }},
		{"for StoreVI", func(a *Assembler) { a.StoreVI(VMOVUPS, Z, mem, 0, 1) }},
		{"cannot be zeroed", func(a *Assembler) { a.K(1, true).StoreV(VMOVUPS, Z, mem, 0) }},
		{"cannot be zeroed", func(a *Assembler) { a.K(1, true).StoreVI(VCVTPS2PH, Z, mem, 0, 0) }},
		{"cannot be zeroed", func(a *Assembler) { a.K(1, true).V3IK(VPCMPUB, Z, 0, 0, Vec(0), 1) }},
		{"zeroing needs a mask", func(a *Assembler) { a.K(0, true) }},
		{"two masks", func(a *Assembler) { a.K(1, false).K(2, false) }},
		{"no instruction follows", func(a *Assembler) { a.K(1, false).Ret() }},
		{"lacks the index", func(a *Assembler) { a.Tileload(0, mem) }},
		{"must differ", func(a *Assembler) { a.Tdpbssd(1, 2, 1) }},
		{"is not bound", func(a *Assembler) { a.Jmp(a.Label()) }},
		{"bound twice", func(a *Assembler) { a.Bind(a.Here()) }},
		{"not of this assembler", func(a *Assembler) { a.Jz(0) }},
		{"not of this assembler", func(a *Assembler) { a.Bind(-1) }},
		{"align", func(a *Assembler) { a.Align(0) }},
		{"align", func(a *Assembler) { a.Align(24) }},
		{"align", func(a *Assembler) { a.Align(8192) }},
	} {
		var a Assembler
		c.emit(&a)
		code, err := a.Finish()
		if code != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%x, %v; want an error with %q", code, err, c.want)
		}
	}
}

func TestFirstError(t *testing.T) {
	var a Assembler
	a.Ret()
	a.Push(16)
	a.Pop(17)
	a.Jmp(a.Label())
	_, err := a.Finish()
	if want := "amd64: push at byte 1: no general register 16"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestMaskOnce checks that a mask is for one instruction.
func TestMaskOnce(t *testing.T) {
	var a, b Assembler
	a.K(1, true)
	a.MovRR(RAX, RCX) // which takes none
	a.V3(VADDPS, X, 0, 1, Vec(2))
	masked := a.Len()
	a.V3(VADDPS, X, 0, 1, Vec(2))
	got, err := a.Finish()
	if err != nil {
		t.Fatal(err)
	}
	b.V3(VADDPS, X, 0, 1, Vec(2))
	want, _ := b.Finish()
	if !bytes.Equal(got[masked:], want) {
		t.Errorf("% x, want % x", got[masked:], want)
	}
}

func TestJumps(t *testing.T) {
	jumps := []struct {
		emit        func(*Assembler, Label)
		near, short []byte
	}{
		{(*Assembler).Jmp, []byte{0xE9}, []byte{0xEB}},
		{(*Assembler).Jb, []byte{0x0F, 0x82}, []byte{0x72}},
		{(*Assembler).Jae, []byte{0x0F, 0x83}, []byte{0x73}},
		{(*Assembler).Jz, []byte{0x0F, 0x84}, []byte{0x74}},
		{(*Assembler).Jnz, []byte{0x0F, 0x85}, []byte{0x75}},
		{(*Assembler).Jl, []byte{0x0F, 0x8C}, []byte{0x7C}},
		{(*Assembler).Jge, []byte{0x0F, 0x8D}, []byte{0x7D}},
	}
	rets := func(a *Assembler, n int) {
		for range n {
			a.Ret()
		}
	}
	for _, j := range jumps {
		for _, n := range []int{0, 1, 126, 127, 1000} { // bytes between label and jump
			var a Assembler
			a.Ret()
			l := a.Here()
			rets(&a, n)
			j.emit(&a, l)
			code, err := a.Finish()
			want := append(bytes.Clone(j.short), byte(-n-2))
			if n > 126 {
				end := n + len(j.near) + 4
				want = binary.LittleEndian.AppendUint32(bytes.Clone(j.near), uint32(-end))
			}
			if got := code[1+n:]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("back over %d bytes: % x (%v), want % x", n, got, err, want)
			}

			var b Assembler
			l = b.Label()
			j.emit(&b, l)
			rets(&b, n)
			b.Bind(l)
			code, err = b.Finish()
			want = binary.LittleEndian.AppendUint32(bytes.Clone(j.near), uint32(n))
			if got := code[:len(code)-n]; err != nil || !bytes.Equal(got, want) {
				t.Errorf("forward over %d bytes: % x (%v), want % x", n, got, err, want)
			}
		}
	}
}

func TestAlign(t *testing.T) {
	for _, n := range []int{1, 2, 16, 64, 4096} {
		for before := range 70 {
			var a Assembler
			for range before {
				a.Ret()
			}
			a.Align(n)
			if want := (before + n - 1) / n * n; a.Len() != want {
				t.Errorf("%d bytes aligned to %d are %d, want %d", before, n, a.Len(), want)
			}
		}
	}
}

// FuzzAssembler calls methods with any arguments: they may fail, but not panic, nor write
// an instruction of more than the 15 bytes that there can be.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"))
	f.Add(bytes.Repeat([]byte{0x91, 0x04, 0x2b, 0x07, 0x00, 0x40}, 20))
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() uint8 {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return b
		}
		reg := func() GPR { return GPR(next() % 18) }
		number := func() int { return int(int8(next())) << (next() % 64) }
		var a Assembler
		for len(data) > 0 {
			o := allOps[int(next())%len(allOps)]
			w := Width(next()%5) * 128
			d, x, z := Vec(next()%34), Vec(next()%34), Vec(next()%34)
			m := At(reg(), number())
			if next()%2 == 0 {
				m = m.Plus(reg(), int(next()%10))
			}
			m.Broadcast = next()%3 == 0
			y := []Operand{nil, x, z, m, Mask(next() % 9)}[next()%5]
			if next()%2 == 0 {
				a.K(Mask(next()%9), next()%2 == 0)
			}
			before := a.Len()
			switch next() % 20 {
			case 0:
				a.V2(o, w, d, y)
			case 1:
				a.V2I(o, w, d, y, next())
			case 2:
				a.V3(o, w, d, x, y)
			case 3:
				a.V3I(o, w, d, x, y, next())
			case 4:
				a.V4(o, w, d, x, y, z)
			case 5:
				a.V2K(o, w, Mask(d), x)
			case 6:
				a.V3IK(o, w, Mask(d), x, y, next())
			case 7:
				a.StoreV(o, w, m, d)
			case 8:
				a.StoreVI(o, w, m, d, next())
			case 9:
				a.MaskStore(m, x, d)
			case 10:
				a.MovRI(reg(), int64(number()))
			case 11:
				a.ImulRRI(reg(), reg(), number())
			case 12:
				a.ShlRI(reg(), number())
			case 13:
				a.Load(reg(), m)
			case 14:
				a.Tileload(Tile(d), m)
			case 15:
				a.Tdpbf16ps(Tile(next()%9), Tile(next()%9), Tile(next()%9))
			case 16:
				a.Jnz(Label(next() % 4))
			case 17:
				a.Bind(Label(next() % 4))
			case 18:
				a.Label()
			case 19:
				a.VmovR(reg(), d)
			}
			if n := a.Len() - before; n > 15 {
				t.Fatalf("%s: %d bytes", o, n)
			}
		}
		code, err := a.Finish()
		if (err == nil) != (len(code) == a.Len()) && a.Len() > 0 {
			t.Errorf("%d bytes of %d, error %v", len(code), a.Len(), err)
		}
	})
}

// Package amd64 encodes x86-64 instructions: the general ones that loops need, AVX, AVX2,
// AVX-512 and AMX.
//
// An Assembler appends one instruction per call. Destinations come first, as in Intel's
// manuals, whose names the vector instructions keep:
//
//	var a amd64.Assembler
//	a.MovRI(amd64.RCX, 100)
//	top := a.Here()
//	a.V3(amd64.VADDPS, amd64.Z, 0, 0, amd64.At(amd64.RSI, 64))
//	a.AddRI(amd64.RSI, 128)
//	a.Dec(amd64.RCX)
//	a.Jnz(top)
//	a.Ret()
//	code, err := a.Finish()
//
// The package runs nothing and asks no processor what it can do: it builds anywhere, and
// who calls it chooses instructions. Encodings follow the Intel 64 and IA-32 Architectures
// Software Developer's Manual, volume 2, whose terms the comments use.
package amd64

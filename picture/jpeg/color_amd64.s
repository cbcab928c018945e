#include "textflag.h"
#include "const_amd64.h"

CONST(bias, 0x0080008000800080)
CONST(one, 0x0001000100010001)
CONST(red, 0x66e966e966e966e9)   // 26345: 1.402 without its 1
CONST(blue, 0xc5a2c5a2c5a2c5a2)  // -14942: 1.772 less 2
CONST(green, 0x492ea7e6492ea7e6) // -22554: -0.34414; 18734: 1 less 0.71414
CONST(half, 0x0000800000008000)

// Where in 16 pixels' reds, greens and blues the bytes of three pieces of 16 bytes lie.
FILL(red0, 0x8002808001808000, 0x0580800480800380)
FILL(green0, 0x0280800180800080, 0x8080048080038080)
FILL(blue0, 0x8080018080008080, 0x8004808003808002)
FILL(red1, 0x8080078080068080, 0x800a808009808008)
FILL(green1, 0x8007808006808005, 0x0a80800980800880)
FILL(blue1, 0x0780800680800580, 0x8080098080088080)
FILL(red2, 0x0d80800c80800b80, 0x80800f80800e8080)
FILL(green2, 0x80800c80800b8080, 0x800f80800e80800d)
FILL(blue2, 0x800c80800b80800a, 0x0f80800e80800d80)

// COLOR makes the words r, g, b of 16 pixels from those of y, cb and cr, in which 128 is
// already taken from cb and cr. It overwrites y, cb, cr and t.
//
//	r = y + cr + (26345*cr + 1<<15)>>16
//	g = y - cr + (18734*cr - 22554*cb + 1<<15)>>16
//	b = y + 2*cb + (-14942*cb + 1<<15)>>16
//
// The high half of a product with 2*cr is the same with one more bit, which rounds.
#define COLOR(y, cb, cr, t, r, g, b) \
	VPUNPCKLWD cr, cb, g; \
	VPUNPCKHWD cr, cb, t; \
	VPMADDWD green<>(SB), g, g; \
	VPMADDWD green<>(SB), t, t; \
	VPADDD half<>(SB), g, g; \
	VPADDD half<>(SB), t, t; \
	VPSRAD $16, g, g; \
	VPSRAD $16, t, t; \
	VPACKSSDW t, g, g; \
	VPSUBW cr, g, g; \
	VPADDW y, g, g; \
	VPADDW cr, cr, r; \
	VPMULHW red<>(SB), r, r; \
	VPADDW one<>(SB), r, r; \
	VPSRAW $1, r, r; \
	VPADDW cr, r, r; \
	VPADDW y, r, r; \
	VPADDW cb, cb, cb; \
	VPMULHW blue<>(SB), cb, b; \
	VPADDW one<>(SB), b, b; \
	VPSRAW $1, b, b; \
	VPADDW cb, b, b; \
	VPADDW y, b, b

// func yccAVX2(dst, y, cb, cr *uint8, n int)
//
// It converts n pixels, a multiple of 32.
TEXT ·yccAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ y+8(FP), SI
	MOVQ cb+16(FP), DX
	MOVQ cr+24(FP), R8
	MOVQ n+32(FP), CX
	VPXOR Y15, Y15, Y15

pixels:
	VMOVDQU (SI), Y3
	VMOVDQU (DX), Y4
	VMOVDQU (R8), Y5
	VPUNPCKLBW Y15, Y3, Y0
	VPUNPCKLBW Y15, Y4, Y1
	VPUNPCKLBW Y15, Y5, Y2
	VPUNPCKHBW Y15, Y3, Y3
	VPUNPCKHBW Y15, Y4, Y4
	VPUNPCKHBW Y15, Y5, Y5
	VPSUBW bias<>(SB), Y1, Y1
	VPSUBW bias<>(SB), Y2, Y2
	VPSUBW bias<>(SB), Y4, Y4
	VPSUBW bias<>(SB), Y5, Y5
	COLOR(Y0, Y1, Y2, Y6, Y7, Y8, Y9)
	COLOR(Y3, Y4, Y5, Y6, Y10, Y11, Y12)
	VPACKUSWB Y10, Y7, Y0 // reds
	VPACKUSWB Y11, Y8, Y1 // greens
	VPACKUSWB Y12, Y9, Y2 // blues
	VPSHUFB red0<>(SB), Y0, Y3
	VPSHUFB green0<>(SB), Y1, Y4
	VPSHUFB blue0<>(SB), Y2, Y5
	VPOR Y4, Y3, Y3
	VPOR Y5, Y3, Y3
	VPSHUFB red1<>(SB), Y0, Y4
	VPSHUFB green1<>(SB), Y1, Y5
	VPSHUFB blue1<>(SB), Y2, Y6
	VPOR Y5, Y4, Y4
	VPOR Y6, Y4, Y4
	VPSHUFB red2<>(SB), Y0, Y5
	VPSHUFB green2<>(SB), Y1, Y6
	VPSHUFB blue2<>(SB), Y2, Y7
	VPOR Y6, Y5, Y5
	VPOR Y7, Y5, Y5
	VMOVDQU X3, 0(DI)
	VMOVDQU X4, 16(DI)
	VMOVDQU X5, 32(DI)
	VEXTRACTI128 $1, Y3, 48(DI)
	VEXTRACTI128 $1, Y4, 64(DI)
	VEXTRACTI128 $1, Y5, 80(DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $32, R8
	ADDQ $96, DI
	SUBQ $32, CX
	JNZ pixels
	VZEROUPPER
	RET

// SUM makes 3*near + far of the 16 samples from off on.
#define SUM(off, y, t) \
	VPMOVZXBW off(SI), y; \
	VPMOVZXBW off(DX), t; \
	VPADDW y, t, t; \
	VPADDW y, y, y; \
	VPADDW t, y, y

// func triangleAVX2(dst, near, far *uint8, left, right, n int)
//
//	for i := range n {
//		s := func(i int) int { return 3*near[i] + far[i] }
//		dst[2*i] = (3*s(i) + s(i-1) + left) >> 4
//		dst[2*i+1] = (3*s(i) + s(i+1) + right) >> 4
//	}
//
// n is a multiple of 16.
TEXT ·triangleAVX2(SB), NOSPLIT, $0-48
	MOVQ dst+0(FP), DI
	MOVQ near+8(FP), SI
	MOVQ far+16(FP), DX
	MOVQ left+24(FP), AX
	MOVQ right+32(FP), BX
	MOVQ n+40(FP), CX
	VMOVD AX, X6
	VMOVD BX, X7
	VPBROADCASTW X6, Y6
	VPBROADCASTW X7, Y7

samples:
	SUM(-1, Y0, Y3)
	SUM(0, Y1, Y3)
	SUM(1, Y2, Y3)
	VPADDW Y1, Y1, Y3
	VPADDW Y1, Y3, Y3
	VPADDW Y6, Y0, Y0
	VPADDW Y7, Y2, Y2
	VPADDW Y3, Y0, Y0
	VPADDW Y3, Y2, Y2
	VPSRLW $4, Y0, Y0
	VPSRLW $4, Y2, Y2
	VPSLLW $8, Y2, Y2
	VPOR Y2, Y0, Y0
	VMOVDQU Y0, (DI)
	ADDQ $16, SI
	ADDQ $16, DX
	ADDQ $32, DI
	SUBQ $16, CX
	JNZ samples
	VZEROUPPER
	RET

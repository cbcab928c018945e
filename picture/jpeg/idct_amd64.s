#include "textflag.h"
#include "const_amd64.h"

// The transform of idct.go as sums of products: each constant here is what of k0 to k7, c3
// and c6 a coefficient meets on its way to one of the sums. A register holds a pair of
// them, for two coefficients, over and over.
CONST(sum04, 0x2000200020002000)  // e0: 8192, 8192
CONST(diff04, 0xe0002000e0002000) // e1: 8192, -8192
CONST(even2, 0xd6301151d6301151)  // e2: 4433, -10704
CONST(even3, 0x115129cf115129cf)  // e3: 10703, 4433
CONST(odd013, 0x25a12c6325a12c63) // o0: 11363, 9633
CONST(odd057, 0x08d4192508d41925) //     6437, 2260
CONST(odd113, 0xf72d25a1f72d25a1) // o1: 9633, -2259
CONST(odd157, 0xe6dcd39ee6dcd39e) //     -11362, -6436
CONST(odd213, 0xd39e1925d39e1925) // o2: 6437, -11362
CONST(odd257, 0x25a108d525a108d5) //     2261, 9633
CONST(odd313, 0xe6dc08d4e6dc08d4) // o3: 2260, -6436
CONST(odd357, 0xd39d25a1d39d25a1) //     9633, -11363
CONST(half1, 0x0000040000000400)  // 1<<(colShift-1)
CONST(half2, 0x0202000002020000)  // 128<<rowShift + 1<<(rowShift-1)

// EVEN makes a0 to a3, which are e0+e3, e1+e2, e1-e2 and e0-e3, from the pairs p04 and
// p26. It overwrites a, b, p04 and p26.
#define EVEN(half, p04, p26, a, b, a0, a1, a2, a3) \
	VPMADDWD sum04<>(SB), p04, a; \
	VPMADDWD diff04<>(SB), p04, p04; \
	VPMADDWD even3<>(SB), p26, b; \
	VPMADDWD even2<>(SB), p26, p26; \
	VPADDD half<>(SB), a, a; \
	VPADDD half<>(SB), p04, p04; \
	VPADDD b, a, a0; \
	VPSUBD b, a, a3; \
	VPADDD p26, p04, a1; \
	VPSUBD p26, p04, a2

// ODD makes two results, a+o in top and a-o in a, with o from the pairs p13 and p57. It
// overwrites t.
#define ODD(k13, k57, shift, p13, p57, a, t, top) \
	VPMADDWD k13<>(SB), p13, t; \
	VPMADDWD k57<>(SB), p57, top; \
	VPADDD top, t, t; \
	VPADDD t, a, top; \
	VPSUBD t, a, a; \
	VPSRAD $shift, top, top; \
	VPSRAD $shift, a, a

// PASS transforms the columns of Y0 to Y7. The rows that it makes are in Y7, Y8, Y9, Y14,
// Y3, Y4, Y13, Y12.
#define PASS(half, shift) \
	VPUNPCKLWD Y4, Y0, Y8; \
	VPUNPCKHWD Y4, Y0, Y0; \
	VPUNPCKLWD Y6, Y2, Y9; \
	VPUNPCKHWD Y6, Y2, Y2; \
	VPUNPCKLWD Y3, Y1, Y10; \
	VPUNPCKHWD Y3, Y1, Y1; \
	VPUNPCKLWD Y7, Y5, Y11; \
	VPUNPCKHWD Y7, Y5, Y5; \
	EVEN(half, Y8, Y9, Y3, Y6, Y12, Y13, Y4, Y3); \
	ODD(odd013, odd057, shift, Y10, Y11, Y12, Y6, Y7); \
	ODD(odd113, odd157, shift, Y10, Y11, Y13, Y6, Y8); \
	ODD(odd213, odd257, shift, Y10, Y11, Y4, Y6, Y9); \
	ODD(odd313, odd357, shift, Y10, Y11, Y3, Y6, Y14); \
	EVEN(half, Y0, Y2, Y6, Y10, Y11, Y15, Y0, Y6); \
	ODD(odd013, odd057, shift, Y1, Y5, Y11, Y2, Y10); \
	VPACKSSDW Y10, Y7, Y7; \
	VPACKSSDW Y11, Y12, Y12; \
	ODD(odd113, odd157, shift, Y1, Y5, Y15, Y2, Y10); \
	VPACKSSDW Y10, Y8, Y8; \
	VPACKSSDW Y15, Y13, Y13; \
	ODD(odd213, odd257, shift, Y1, Y5, Y0, Y2, Y10); \
	VPACKSSDW Y10, Y9, Y9; \
	VPACKSSDW Y0, Y4, Y4; \
	ODD(odd313, odd357, shift, Y1, Y5, Y6, Y2, Y10); \
	VPACKSSDW Y10, Y14, Y14; \
	VPACKSSDW Y6, Y3, Y3

// LOAD reads one row of both blocks and dequantizes it.
#define LOAD(row, x, y) \
	VMOVDQU (16*row)(SI), x; \
	VBROADCASTI128 (16*row)(DX), Y15; \
	VINSERTI128 $1, (128+16*row)(SI), y, y; \
	VPMULLW Y15, y, y

// func idctPairAVX2(dst *uint8, stride int, coef *[64]int16, quant *[64]int16)
//
// Each half of a register belongs to one of the two blocks.
TEXT ·idctPairAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ stride+8(FP), R8
	MOVQ coef+16(FP), SI
	MOVQ quant+24(FP), DX
	LOAD(0, X0, Y0)
	LOAD(1, X1, Y1)
	LOAD(2, X2, Y2)
	LOAD(3, X3, Y3)
	LOAD(4, X4, Y4)
	LOAD(5, X5, Y5)
	LOAD(6, X6, Y6)
	LOAD(7, X7, Y7)

	PASS(half1, 11)

	// Transpose.
	VPUNPCKLWD Y8, Y7, Y0
	VPUNPCKHWD Y8, Y7, Y1
	VPUNPCKLWD Y14, Y9, Y2
	VPUNPCKHWD Y14, Y9, Y5
	VPUNPCKLWD Y4, Y3, Y6
	VPUNPCKHWD Y4, Y3, Y10
	VPUNPCKLWD Y12, Y13, Y11
	VPUNPCKHWD Y12, Y13, Y15
	VPUNPCKLDQ Y2, Y0, Y3
	VPUNPCKHDQ Y2, Y0, Y4
	VPUNPCKLDQ Y5, Y1, Y7
	VPUNPCKHDQ Y5, Y1, Y8
	VPUNPCKLDQ Y11, Y6, Y9
	VPUNPCKHDQ Y11, Y6, Y12
	VPUNPCKLDQ Y15, Y10, Y13
	VPUNPCKHDQ Y15, Y10, Y14
	VPUNPCKLQDQ Y9, Y3, Y0
	VPUNPCKHQDQ Y9, Y3, Y1
	VPUNPCKLQDQ Y12, Y4, Y2
	VPUNPCKHQDQ Y12, Y4, Y3
	VPUNPCKLQDQ Y13, Y7, Y4
	VPUNPCKHQDQ Y13, Y7, Y5
	VPUNPCKLQDQ Y14, Y8, Y6
	VPUNPCKHQDQ Y14, Y8, Y7

	PASS(half2, 18)

	// Clamp to bytes and transpose back.
	VPACKUSWB Y3, Y7, Y0  // columns 0 and 4
	VPACKUSWB Y4, Y8, Y1  // 1 and 5
	VPACKUSWB Y13, Y9, Y2 // 2 and 6
	VPACKUSWB Y12, Y14, Y5 // 3 and 7
	VPUNPCKLBW Y1, Y0, Y3
	VPUNPCKHBW Y1, Y0, Y4
	VPUNPCKLBW Y5, Y2, Y6
	VPUNPCKHBW Y5, Y2, Y7
	VPUNPCKLWD Y6, Y3, Y0
	VPUNPCKHWD Y6, Y3, Y1
	VPUNPCKLWD Y7, Y4, Y2
	VPUNPCKHWD Y7, Y4, Y5
	VPUNPCKLDQ Y2, Y0, Y3
	VPUNPCKHDQ Y2, Y0, Y4
	VPUNPCKLDQ Y5, Y1, Y6
	VPUNPCKHDQ Y5, Y1, Y7

	// Two rows of each block, to two rows of both.
	VPERMQ $0xd8, Y3, Y3
	VPERMQ $0xd8, Y4, Y4
	VPERMQ $0xd8, Y6, Y6
	VPERMQ $0xd8, Y7, Y7
	LEAQ (DI)(R8*2), R9
	VMOVDQU X3, (DI)
	VEXTRACTI128 $1, Y3, (DI)(R8*1)
	VMOVDQU X4, (R9)
	VEXTRACTI128 $1, Y4, (R9)(R8*1)
	LEAQ (DI)(R8*4), DI
	LEAQ (R9)(R8*4), R9
	VMOVDQU X6, (DI)
	VEXTRACTI128 $1, Y6, (DI)(R8*1)
	VMOVDQU X7, (R9)
	VEXTRACTI128 $1, Y7, (R9)(R8*1)
	VZEROUPPER
	RET

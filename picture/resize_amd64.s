#include "textflag.h"

// The colours of two neighbouring pixels, 6 bytes, as pairs of 16-bit numbers.
DATA pairs<>+0(SB)/8, $0x8004800180038000
DATA pairs<>+8(SB)/8, $0x8080808080058002
GLOBL pairs<>(SB), RODATA|NOPTR, $16

// The first three of each four bytes.
DATA dropX<>+0(SB)/8, $0x0908060504020100
DATA dropX<>+8(SB)/8, $0x808080800e0d0c0a
GLOBL dropX<>(SB), RODATA|NOPTR, $16

// func scaleRowAVX2(dst *int16, src *uint8, at *int32, weights *int16, n int)
//
//	for i := range n {
//		for c := range 4 {
//			dst[4*i+c] = (src[at[i]+c]*w0[i] + src[at[i]+3+c]*w1[i]) >> 4
//		}
//	}
TEXT ·scaleRowAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ at+16(FP), R8
	MOVQ weights+24(FP), R9
	MOVQ n+32(FP), CX
	VBROADCASTI128 pairs<>(SB), Y7

pixels:
	MOVLQSX 0(R8), AX
	MOVLQSX 4(R8), BX
	MOVLQSX 8(R8), R10
	MOVLQSX 12(R8), R11
	VMOVDQU (SI)(AX*1), X0
	VMOVDQU (SI)(BX*1), X1
	VINSERTI128 $1, (SI)(R10*1), Y0, Y0 // pixels 0 and 2
	VINSERTI128 $1, (SI)(R11*1), Y1, Y1 // pixels 1 and 3
	VPSHUFB Y7, Y0, Y0
	VPSHUFB Y7, Y1, Y1
	VPMADDWD 0(R9), Y0, Y0
	VPMADDWD 32(R9), Y1, Y1
	VPSRAD $4, Y0, Y0
	VPSRAD $4, Y1, Y1
	VPACKSSDW Y1, Y0, Y0 // pixels 0 1, 2 3
	VMOVDQU Y0, (DI)
	ADDQ $16, R8
	ADDQ $64, R9
	ADDQ $32, DI
	SUBQ $4, CX
	JNZ pixels
	VZEROUPPER
	RET

// func blendAVX2(dst *uint8, upper, lower *int16, w0, w1 int32, n int)
//
//	for i := range n {
//		for c := range 3 {
//			dst[3*i+c] = (w0*upper[4*i+c]>>16 + w1*lower[4*i+c]>>16 + 2) >> 2
//		}
//	}
TEXT ·blendAVX2(SB), NOSPLIT, $0-40
	MOVQ dst+0(FP), DI
	MOVQ upper+8(FP), SI
	MOVQ lower+16(FP), DX
	MOVQ n+32(FP), CX
	MOVL w0+24(FP), AX
	MOVL w1+28(FP), BX
	VMOVD AX, X4
	VMOVD BX, X5
	VPBROADCASTW X4, Y4
	VPBROADCASTW X5, Y5
	VPCMPEQW Y6, Y6, Y6
	VPSRLW $15, Y6, Y6
	VPADDW Y6, Y6, Y6 // 2
	VBROADCASTI128 dropX<>(SB), Y7

pixels:
	VPMULHW 0(SI), Y4, Y0
	VPMULHW 32(SI), Y4, Y1
	VPMULHW 0(DX), Y5, Y2
	VPMULHW 32(DX), Y5, Y3
	VPADDW Y6, Y0, Y0
	VPADDW Y6, Y1, Y1
	VPADDW Y2, Y0, Y0
	VPADDW Y3, Y1, Y1
	VPSRAW $2, Y0, Y0 // pixels 0 1, 2 3
	VPSRAW $2, Y1, Y1 // pixels 4 5, 6 7
	VPACKUSWB Y1, Y0, Y0 // 0 1 4 5, 2 3 6 7
	VPERMQ $0xd8, Y0, Y0
	VPSHUFB Y7, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VMOVDQU X0, (DI)
	VMOVDQU X1, 12(DI)
	ADDQ $64, SI
	ADDQ $64, DX
	ADDQ $24, DI
	SUBQ $8, CX
	JNZ pixels
	VZEROUPPER
	RET

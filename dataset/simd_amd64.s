#include "textflag.h"

// VALUE is a constant of so many bytes, one 8-byte word repeated.
#define VALUE(name, word) \
	DATA name<>+0(SB)/8, $word; \
	DATA name<>+8(SB)/8, $word; \
	DATA name<>+16(SB)/8, $word; \
	DATA name<>+24(SB)/8, $word; \
	GLOBL name<>(SB), RODATA|NOPTR, $32

// SHUFFLE has one pattern for each half.
#define SHUFFLE(name, a, b, c, d) \
	DATA name<>+0(SB)/8, $a; \
	DATA name<>+8(SB)/8, $b; \
	DATA name<>+16(SB)/8, $c; \
	DATA name<>+24(SB)/8, $d; \
	GLOBL name<>(SB), RODATA|NOPTR, $32

VALUE(ones31, 0x0000001f0000001f)
VALUE(int32s32, 0x0000002000000020)
VALUE(int32s512, 0x0000020000000200)
VALUE(bytes, 0x000000ff000000ff)

// The colours of a pixel and of its neighbour side by side, of the upper row, then of the lower.
SHUFFLE(beside, 0x8080050204010300, 0x80800d0a0c090b08, 0x8080050204010300, 0x80800d0a0c090b08)

// The upper row's words beside the lower row's.
SHUFFLE(rows, 0x0b0a030209080100, 0x0f0e07060d0c0504, 0x0b0a030209080100, 0x0f0e07060d0c0504)

// The first three of each four bytes.
SHUFFLE(dropX, 0x0908060504020100, 0x808080800e0d0c0a, 0x0908060504020100, 0x808080800e0d0c0a)

// One colour of 8 pixels as 32-bit numbers: the lower half has bytes 0 to 15 of them, the upper 8 to 23.
SHUFFLE(reds, 0x8080800380808000, 0x8080800980808006, 0x8080800780808004, 0x8080800d8080800a)
SHUFFLE(greens, 0x8080800480808001, 0x8080800a80808007, 0x8080800880808005, 0x8080800e8080800b)
SHUFFLE(blues, 0x8080800580808002, 0x8080800b80808008, 0x8080800980808006, 0x8080800f8080800c)

// PAIR makes pixels i and i+4, whose offsets are o[i] and o[i+4], as 32-bit R, G, B and 0.
#define PAIR(i, pick, out) \
	MOVL o-32+4*i(SP), AX; \
	MOVL o-16+4*i(SP), BX; \
	VMOVQ (SI)(AX*1), X6; \
	VMOVQ (SI)(BX*1), X7; \
	VMOVHPS (DX)(AX*1), X6, X6; \
	VMOVHPS (DX)(BX*1), X7, X7; \
	VINSERTI128 $1, X7, Y6, Y6; \
	VPSHUFB Y14, Y6, Y6; \
	VPSHUFD $pick, Y2, Y7; \
	VPMADDUBSW Y7, Y6, Y6; \
	VPSHUFB Y15, Y6, Y6; \
	VPSHUFD $pick, Y3, Y7; \
	VPMADDWD Y7, Y6, Y6; \
	VPADDD Y12, Y6, Y6; \
	VPSRLD $10, Y6, out

// func warpAVX2(dst, src *uint8, stride int, x0, y0 int32, stepX, stepY *int32, n int)
//
//	for i := range n {
//		px, py := (x0+stepX[i])>>5, (y0+stepY[i])>>5
//		a := &src[py>>5*stride+3*(px>>5)]
//		fx, fy := px&31, py&31
//		for c := range 3 {
//			upper := a[c]*(32-fx) + a[c+3]*fx
//			lower := a[c+stride]*(32-fx) + a[c+stride+3]*fx
//			dst[3*i+c] = (upper*(32-fy) + lower*fy + 512) >> 10
//		}
//	}
TEXT ·warpAVX2(SB), NOSPLIT, $32-56
	MOVQ dst+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ stride+16(FP), DX
	MOVQ stepX+32(FP), R8
	MOVQ stepY+40(FP), R9
	MOVQ n+48(FP), CX
	VMOVD DX, X10
	VPBROADCASTD X10, Y10
	MOVL x0+24(FP), AX
	MOVL y0+28(FP), BX
	VMOVD AX, X8
	VMOVD BX, X9
	VPBROADCASTD X8, Y8
	VPBROADCASTD X9, Y9
	ADDQ SI, DX // the row below
	VMOVDQU ones31<>(SB), Y11
	VMOVDQU int32s512<>(SB), Y12
	VMOVDQU int32s32<>(SB), Y13
	VMOVDQU beside<>(SB), Y14
	VMOVDQU rows<>(SB), Y15

pixels:
	VPADDD (R8), Y8, Y0
	VPADDD (R9), Y9, Y1
	VPSRAD $5, Y0, Y0
	VPSRAD $5, Y1, Y1
	VPAND Y11, Y0, Y2
	VPAND Y11, Y1, Y3
	VPSRAD $5, Y0, Y0
	VPSRAD $5, Y1, Y1
	VPMULLD Y10, Y1, Y1
	VPADDD Y0, Y1, Y1
	VPADDD Y0, Y0, Y0
	VPADDD Y0, Y1, Y1
	VMOVDQU Y1, o-32(SP)
	VPSLLD $8, Y2, Y4 // bytes 32-fx and fx, twice
	VPSUBD Y2, Y4, Y4
	VPADDD Y13, Y4, Y4
	VPSLLD $16, Y4, Y5
	VPOR Y5, Y4, Y2
	VPSLLD $16, Y3, Y4 // words 32-fy and fy
	VPSUBD Y3, Y4, Y4
	VPADDD Y13, Y4, Y3
	PAIR(0, 0x00, Y4)
	PAIR(1, 0x55, Y5)
	PAIR(2, 0xaa, Y0)
	PAIR(3, 0xff, Y1)
	VPACKUSDW Y5, Y4, Y4
	VPACKUSDW Y1, Y0, Y0
	VPACKUSWB Y0, Y4, Y4
	VPSHUFB dropX<>(SB), Y4, Y4
	VEXTRACTI128 $1, Y4, X5
	VMOVQ X4, (DI)
	VPEXTRD $2, X4, 8(DI)
	VMOVQ X5, 12(DI)
	VPEXTRD $2, X5, 20(DI)
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $24, DI
	SUBQ $8, CX
	JNZ pixels
	VZEROUPPER
	RET

// COLOURS loads the 8 pixels at SI into Y0, Y1 and Y2.
#define COLOURS \
	VMOVDQU (SI), X3; \
	VINSERTI128 $1, 8(SI), Y3, Y3; \
	VPSHUFB reds<>(SB), Y3, Y0; \
	VPSHUFB greens<>(SB), Y3, Y1; \
	VPSHUFB blues<>(SB), Y3, Y2

VALUE(float255, 0x437f0000437f0000)

DATA backwards<>+0(SB)/8, $0x0000000600000007
DATA backwards<>+8(SB)/8, $0x0000000400000005
DATA backwards<>+16(SB)/8, $0x0000000200000003
DATA backwards<>+24(SB)/8, $0x0000000000000001
GLOBL backwards<>(SB), RODATA|NOPTR, $32

// func planesAVX2(red, green, blue *float32, src *uint8, n int)
//
//	for i := range n {
//		red[i], green[i], blue[i] = src[3*i]/255, src[3*i+1]/255, src[3*i+2]/255
//	}
TEXT ·planesAVX2(SB), NOSPLIT, $0-40
	MOVQ red+0(FP), R8
	MOVQ green+8(FP), R9
	MOVQ blue+16(FP), R10
	MOVQ src+24(FP), SI
	MOVQ n+32(FP), CX
	VMOVDQU float255<>(SB), Y15

pixels:
	COLOURS
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y2, Y2
	VDIVPS Y15, Y0, Y0
	VDIVPS Y15, Y1, Y1
	VDIVPS Y15, Y2, Y2
	VMOVUPS Y0, (R8)
	VMOVUPS Y1, (R9)
	VMOVUPS Y2, (R10)
	ADDQ $24, SI
	ADDQ $32, R8
	ADDQ $32, R9
	ADDQ $32, R10
	SUBQ $8, CX
	JNZ pixels
	VZEROUPPER
	RET

// func mirrorAVX2(red, green, blue *float32, src *uint8, n int)
//
//	for i := range n {
//		red[n-1-i], green[n-1-i], blue[n-1-i] = src[3*i]/255, src[3*i+1]/255, src[3*i+2]/255
//	}
TEXT ·mirrorAVX2(SB), NOSPLIT, $0-40
	MOVQ red+0(FP), R8
	MOVQ green+8(FP), R9
	MOVQ blue+16(FP), R10
	MOVQ src+24(FP), SI
	MOVQ n+32(FP), CX
	VMOVDQU float255<>(SB), Y15
	VMOVDQU backwards<>(SB), Y14

pixels:
	COLOURS
	VCVTDQ2PS Y0, Y0
	VCVTDQ2PS Y1, Y1
	VCVTDQ2PS Y2, Y2
	VDIVPS Y15, Y0, Y0
	VDIVPS Y15, Y1, Y1
	VDIVPS Y15, Y2, Y2
	VPERMPS Y0, Y14, Y0
	VPERMPS Y1, Y14, Y1
	VPERMPS Y2, Y14, Y2
	VMOVUPS Y0, -32(R8)(CX*4)
	VMOVUPS Y1, -32(R9)(CX*4)
	VMOVUPS Y2, -32(R10)(CX*4)
	ADDQ $24, SI
	SUBQ $8, CX
	JNZ pixels
	VZEROUPPER
	RET

VALUE(sixth, 0x4870000048700000)     // 30<<13, 245760
VALUE(whole, 0x49ff000049ff0000)     // 255<<13, 2088960
VALUE(int32s1, 0x0000000100000001)
VALUE(int32s2048, 0x0000080000000800)
VALUE(hues, 0x000000b4000000b4)      // 180

// func hsvAVX2(hsv *uint32, src *uint8, n int)
//
// hsv[i] is the hue of pixel i, its saturation shifted by 8 bits and its value by 16, as
// jitter has them. The tables there are quotients, which here a division gives: it is
// exact after truncation, for it is wrong by less than the distance to the next whole
// number. Where it divides by zero the product is zero.
TEXT ·hsvAVX2(SB), NOSPLIT, $0-24
	MOVQ hsv+0(FP), DI
	MOVQ src+8(FP), SI
	MOVQ n+16(FP), CX
	VMOVDQU sixth<>(SB), Y15
	VMOVDQU whole<>(SB), Y14
	VMOVDQU int32s1<>(SB), Y13
	VMOVDQU int32s2048<>(SB), Y12
	VMOVDQU hues<>(SB), Y11

pixels:
	COLOURS
	VPMAXSD Y1, Y0, Y3
	VPMAXSD Y2, Y3, Y3 // v
	VPMINSD Y1, Y0, Y4
	VPMINSD Y2, Y4, Y4
	VPSUBD Y4, Y3, Y4  // diff
	VPADDD Y4, Y4, Y5  // 2*diff
	VPSUBD Y1, Y0, Y6
	VPADDD Y5, Y6, Y6
	VPADDD Y5, Y6, Y6  // r - g + 4*diff
	VPSUBD Y0, Y2, Y7
	VPADDD Y5, Y7, Y7  // b - r + 2*diff
	VPSUBD Y2, Y1, Y8  // g - b
	VPCMPEQD Y1, Y3, Y9
	VPBLENDVB Y9, Y7, Y6, Y6
	VPCMPEQD Y0, Y3, Y9
	VPBLENDVB Y9, Y8, Y6, Y6
	VCVTDQ2PS Y4, Y7
	VDIVPS Y7, Y15, Y7
	VCVTTPS2DQ Y7, Y7
	VPADDD Y13, Y7, Y7
	VPSRAD $1, Y7, Y7
	VPMULLD Y7, Y6, Y6
	VPADDD Y12, Y6, Y6
	VPSRAD $12, Y6, Y6
	VPSRAD $31, Y6, Y7
	VPAND Y11, Y7, Y7
	VPADDD Y7, Y6, Y6  // h
	VCVTDQ2PS Y3, Y7
	VDIVPS Y7, Y14, Y7
	VCVTTPS2DQ Y7, Y7
	VPADDD Y13, Y7, Y7
	VPSRAD $1, Y7, Y7
	VPMULLD Y7, Y4, Y4
	VPADDD Y12, Y4, Y4
	VPSRAD $12, Y4, Y4 // s
	VPSLLD $8, Y4, Y4
	VPSLLD $16, Y3, Y3
	VPOR Y4, Y6, Y6
	VPOR Y3, Y6, Y6
	VMOVDQU Y6, (DI)
	ADDQ $24, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ pixels
	VZEROUPPER
	RET

VALUE(int32s7650, 0x00001de200001de2)
VALUE(float3825, 0x456f1800456f1800)   // 3825.5
VALUE(float7650th, 0x3909119a3909119a) // 1/7650

// SHADE makes a colour of the shares in the lowest byte of k's numbers.
#define SHADE(k, out) \
	VPMADDWD k, Y1, out; \
	VPSUBD out, Y14, out; \
	VPMADDWD out, Y2, out; \
	VCVTDQ2PS out, out; \
	VADDPS Y13, out, out; \
	VMULPS Y12, out, out; \
	VCVTTPS2DQ out, out

// func shadeAVX2(dst *uint8, mix, satVal *uint32, n int)
//
//	for i := range n {
//		for c := range 3 {
//			s, v, k := satVal[i]&0xff, satVal[i]>>16, mix[i]>>(8*c)&0xff
//			dst[3*i+c] = (v*(7650-s*k) + 3825) / 7650
//		}
//	}
//
// The quotient is that of floats with half a 7650th added: a whole one stays so, and one
// that is a 7650th less is not reached.
TEXT ·shadeAVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ mix+8(FP), SI
	MOVQ satVal+16(FP), DX
	MOVQ n+24(FP), CX
	VMOVDQU bytes<>(SB), Y15
	VMOVDQU int32s7650<>(SB), Y14
	VMOVDQU float3825<>(SB), Y13
	VMOVDQU float7650th<>(SB), Y12

pixels:
	VMOVDQU (SI), Y0
	VMOVDQU (DX), Y2
	VPAND Y15, Y2, Y1 // s
	VPSRLD $16, Y2, Y2 // v
	VPAND Y15, Y0, Y3
	VPSRLD $8, Y0, Y4
	VPAND Y15, Y4, Y4
	VPSRLD $16, Y0, Y5
	VPAND Y15, Y5, Y5
	SHADE(Y3, Y6)
	SHADE(Y4, Y7)
	SHADE(Y5, Y8)
	VPSLLD $8, Y7, Y7
	VPSLLD $16, Y8, Y8
	VPOR Y7, Y6, Y6
	VPOR Y8, Y6, Y6
	VPSHUFB dropX<>(SB), Y6, Y6
	VEXTRACTI128 $1, Y6, X7
	VMOVQ X6, (DI)
	VPEXTRD $2, X6, 8(DI)
	VMOVQ X7, 12(DI)
	VPEXTRD $2, X7, 20(DI)
	ADDQ $32, SI
	ADDQ $32, DX
	ADDQ $24, DI
	SUBQ $8, CX
	JNZ pixels
	VZEROUPPER
	RET

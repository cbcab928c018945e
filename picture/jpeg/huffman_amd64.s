#include "go_asm.h"
#include "textflag.h"

// As in bits, R8 are the next bits and R9 says how many of them count. SI is where more
// come from. It overwrites AX and CX.
#define REFILL \
	MOVQ (SI), AX; \
	BSWAPQ AX; \
	SHRXQ R9, AX, AX; \
	ORQ AX, R8; \
	MOVQ R9, CX; \
	XORQ $63, CX; \
	SHRQ $3, CX; \
	ADDQ CX, SI; \
	ORQ $56, R9

// LOOK gets the entry for the next bits from table.
#define LOOK(table) \
	MOVQ R8, AX; \
	SHRQ $(64-const_lookBits), AX; \
	MOVL huffman_look(table)(AX*4), AX

// DROP moves on by the bits that an entry says.
#define DROP(e) \
	SHLXQ e, R8, R8; \
	MOVBLZX e, CX; \
	SUBQ CX, R9

// LONG gets the entry for a code that is too long for the table, or goes to corrupt.
// CX is the code's length, R12 its first 16 bits.
#define LONG(table, loop) \
	MOVQ R8, R12; \
	SHRQ $48, R12; \
	MOVL $const_lookBits, CX; \
loop: \
	INCL CX; \
	CMPL CX, $16; \
	JGT corrupt; \
	CMPL R12, huffman_limit(table)(CX*4); \
	JAE loop; \
	MOVL $16, AX; \
	SUBL CX, AX; \
	SHRXL AX, R12, R12; \
	ADDL huffman_offset(table)(CX*4), R12; \
	MOVBLZX R12, R12; \
	MOVBLZX huffman_symbols(table)(R12*1), AX; \
	RORW $4, AX; \
	MOVL AX, R12; \
	ANDL $0xf000, AX; \
	ANDL $15, R12; \
	SHLL $8, R12; \
	ORL R12, AX; \
	ORL CX, AX

// VALUE takes a value of CX bits, 1 to 15, into AX. See signed.
#define VALUE \
	MOVQ R8, AX; \
	SARQ $63, AX; \
	NOTQ AX; \
	BZHIQ CX, AX, AX; \
	NEGQ CX; \
	SHRXQ CX, R8, R12; \
	NEGQ CX; \
	SHLXQ CX, R8, R8; \
	SUBQ CX, R9; \
	SUBQ AX, R12; \
	MOVQ R12, AX

// STORE moves on to the coefficient after the run in entry e and makes it AX.
#define STORE(e) \
	MOVL e, CX; \
	SHRL $8, CX; \
	ANDL $15, CX; \
	LEAQ 1(BX)(CX*1), BX; \
	MOVBLZX (R11)(BX*1), CX; \
	MOVW AX, (DI)(CX*2)

// SYMBOL reads a coefficient that the table tells wholly. It takes lookBits at most.
#define SYMBOL \
	LOOK(DX); \
	MOVL AX, R13; \
	SARL $16, AX; \
	JZ rare; \
	DROP(R13); \
	STORE(R13); \
	CMPQ BX, $63; \
	JGE end

// func blockBMI2(r *bits, p *part, b *[64]int16) (last int)
TEXT ·blockBMI2(SB), NOSPLIT, $0-32
	MOVQ b+16(FP), DI
	VPXOR X0, X0, X0
	VMOVDQU X0, 0(DI)
	VMOVDQU X0, 16(DI)
	VMOVDQU X0, 32(DI)
	VMOVDQU X0, 48(DI)
	VMOVDQU X0, 64(DI)
	VMOVDQU X0, 80(DI)
	VMOVDQU X0, 96(DI)
	VMOVDQU X0, 112(DI)
	MOVQ r+0(FP), R10
	MOVQ bits_data(R10), SI
	ADDQ bits_pos(R10), SI
	MOVQ bits_acc(R10), R8
	MOVQ bits_n(R10), R9
	MOVQ p+8(FP), R14
	MOVQ part_dc(R14), DX
	LEAQ ·zigzag(SB), R11
	XORL BX, BX

	REFILL
	LOOK(DX)
	TESTL AX, AX
	JZ longDC
gotDC:
	DROP(AX)
	MOVL AX, CX
	SHRL $12, CX
	SARL $16, AX
	ANDL $15, CX
	JZ addDC
	VALUE
addDC:
	ADDL part_pred(R14), AX
	MOVL AX, part_pred(R14)
	MOVW AX, (DI)
	MOVQ part_ac(R14), DX

coefficients:
	REFILL
	SYMBOL
	SYMBOL
	SYMBOL
	SYMBOL
	SYMBOL
	JMP coefficients

rare:
	// R13 is the entry; bits may be few.
	TESTL $0xffff00, R13
	JNZ notEnd
	TESTL R13, R13
	JNZ endOfBlock
notEnd:
	REFILL
	MOVL R13, AX
	TESTL AX, AX
	JZ longAC
gotAC:
	DROP(AX)
	MOVL AX, R13
	MOVL AX, CX
	SHRL $12, CX
	JZ zeros
	VALUE
	STORE(R13)
	CMPQ BX, $63
	JLT coefficients
	JMP end

zeros:
	SHRL $8, R13
	CMPL R13, $15
	JNE end
	ADDQ $16, BX
	CMPQ BX, $63
	JLT coefficients
	JMP end

endOfBlock:
	DROP(R13)
end:
	CMPQ BX, $63
	JGT corrupt
	SUBQ bits_data(R10), SI
	MOVQ SI, bits_pos(R10)
	MOVQ R8, bits_acc(R10)
	MOVQ R9, bits_n(R10)
	MOVQ BX, last+24(FP)
	RET

longDC:
	LONG(DX, nextDC)
	JMP gotDC

longAC:
	LONG(DX, nextAC)
	JMP gotAC

corrupt:
	MOVQ $-1, last+24(FP)
	RET

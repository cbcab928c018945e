#include "textflag.h"

#define FLUSH_TO_ZERO $(1<<24) // in FPCR, the rest of which is as Go has it

// func call(code uintptr, args *Args)
//
// The kernel may use R0 to R17 and all vector registers, and finds args in R0. It runs with
// denormal numbers taken as zero, which cost a hundred cycles each on some processors. What
// it pushes lies below this frame, where Go leaves functions that do not check the stack
// some hundred bytes, and below the word under RSP, where Go keeps the frame pointer.
TEXT ·call(SB), NOSPLIT, $16-16
	MOVD FPCR, R1
	MOVD R1, saved-8(SP)
	ORR  FLUSH_TO_ZERO, R1
	MOVD R1, FPCR
	MOVD code+0(FP), R1
	MOVD args+8(FP), R0
	SUB  $16, RSP
	CALL (R1)
	ADD  $16, RSP
	MOVD saved-8(SP), R1
	MOVD R1, FPCR
	RET

// func flushInstructions(code []byte)
//
// Each line of the data cache is written back to where the caches of data and of
// instructions meet, then each line of the instruction cache dropped. CTR_EL0 holds the
// binary logarithms of the sizes of their lines, in words.
TEXT ·flushInstructions(SB), NOSPLIT, $0-24
	MOVD code_base+0(FP), R0
	MOVD code_len+8(FP), R1
	ADD  R0, R1 // end
	MRS  CTR_EL0, R2
	MOVD $4, R3
	UBFX $16, R2, $4, R4
	LSL  R4, R3, R4 // line of the data cache
	UBFX $0, R2, $4, R5
	LSL  R5, R3, R5 // and of the instruction cache
	SUB  $1, R4, R6
	BIC  R6, R0, R7
data:
	DC   CVAU, R7
	ADD  R4, R7
	CMP  R1, R7
	BLO  data
	DSB  $0xB
	SUB  $1, R5, R6
	BIC  R6, R0, R7
instructions:
	WORD $0xD50B7527 // IC IVAU, X7
	ADD  R5, R7
	CMP  R1, R7
	BLO  instructions
	DSB  $0xB
	ISB  $0xF
	RET

// func Pause()
TEXT ·Pause(SB), NOSPLIT, $0-0
	YIELD
	RET

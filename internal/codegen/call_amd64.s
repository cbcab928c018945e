#include "textflag.h"

// func call(code uintptr, args *Args)
//
// The kernel may use every register but SP and BP, and finds args in DI. It runs with the
// rounding that Go expects and with denormal numbers taken as zero, which otherwise cost
// a hundred cycles each. What it pushes lies below this frame, where Go leaves functions
// that do not check the stack some hundred bytes.
TEXT ·call(SB), NOSPLIT, $16-16
	STMXCSR 0(SP)
	MOVL    $0x9FC0, 8(SP)
	LDMXCSR 8(SP)
	MOVQ    code+0(FP), AX
	MOVQ    args+8(FP), DI
	CALL    AX
	LDMXCSR 0(SP)
	RET

// func Pause()
TEXT ·Pause(SB), NOSPLIT, $0-0
	PAUSE
	RET

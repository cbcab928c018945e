package arm64

import (
	"reflect"
	"strings"
	"testing"
)

// TestErrors has what cannot be encoded, and a part of what the error says.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		emit func(a *Assembler)
		want string
	}{
		{func(a *Assembler) { a.Fadd(0, 1, 32) }, "fadd at byte 0: no vector register 32"},
		{func(a *Assembler) { a.Ret(); a.Fadd(32, 1, 0); a.Fsub(0, 32, 0) }, "fadd at byte 4"},
		{func(a *Assembler) { a.Add(XZR+1, X0, X0) }, "no general register 33"},
		{func(a *Assembler) { a.Ldr(X0, XZR+1, 0) }, "no general register 33"},
		{func(a *Assembler) { a.Ldr(X0, XZR, 0) }, "XZR cannot stand here"},
		{func(a *Assembler) { a.Ldr(SP, X0, 0) }, "SP cannot stand here"},
		{func(a *Assembler) { a.Mov(SP, XZR) }, "XZR cannot"},
		{func(a *Assembler) { a.MovI(SP, 1) }, "SP cannot"},
		{func(a *Assembler) { a.Add(X0, X0, SP) }, "SP cannot"},
		{func(a *Assembler) { a.AddI(XZR, X0, 1) }, "XZR cannot"},
		{func(a *Assembler) { a.SubsI(SP, SP, 1) }, "SP cannot"},
		{func(a *Assembler) { a.AddI(X0, X16, 1<<24) }, "add at byte 0: 16777216 needs X16"},
		{func(a *Assembler) { a.CmpI(X16, 4097) }, "needs X16"},
		{func(a *Assembler) { a.LdrQ(0, X16, 1<<20) }, "offset 1048576 needs X16, which is the base"},
		{func(a *Assembler) { a.Str(X16, X0, 1<<20) }, "which is to be stored"},
		{func(a *Assembler) { a.Lsl(X0, X0, 64) }, "by 64 bits"},
		{func(a *Assembler) { a.Lsl(X0, X0, -1) }, "by -1 bits"},
		{func(a *Assembler) { a.Shl(0, 0, 32) }, "by 32 bits"},
		{func(a *Assembler) { a.Shl(0, 0, -1) }, "by -1 bits"},
		{func(a *Assembler) { a.FmlaElem(0, 0, 0, 4) }, "no element 4"},
		{func(a *Assembler) { a.FmlaElem(0, 0, 0, -1) }, "no element -1"},
		{func(a *Assembler) { a.Ushr4S(0, 0, 0) }, "by 0 bits"},
		{func(a *Assembler) { a.Ushr4S(0, 0, 33) }, "by 33 bits"},
		{func(a *Assembler) { a.Ushr8H(0, 0, 17) }, "by 17 bits"},
		{func(a *Assembler) { a.Sshr4S(0, 0, 0) }, "by 0 bits"},
		{func(a *Assembler) { a.Dup8H(0, 0, 8) }, "no element 8"},
		{func(a *Assembler) { a.Dup8H(0, 0, -1) }, "no element -1"},
		{func(a *Assembler) { a.Dup(0, 0, 4) }, "no element 4"},
		{func(a *Assembler) { a.Dup(0, 0, -1) }, "no element -1"},
		{func(a *Assembler) { a.Ext(0, 0, 0, 16) }, "from byte 16"},
		{func(a *Assembler) { a.Ext(0, 0, 0, -1) }, "from byte -1"},
		{func(a *Assembler) { a.Ldp(X0, X0, X1, 0) }, "both to the same register"},
		{func(a *Assembler) { a.LdpQ(0, 0, X1, 0) }, "both to the same register"},
		{func(a *Assembler) { a.LdpPost(X0, X0, X1, 0) }, "both to the same register"},
		{func(a *Assembler) { a.LdpPost(X0, X1, X1, 0) }, "the base that moves"},
		{func(a *Assembler) { a.StpPre(X1, X0, X1, 0) }, "the base that moves"},
		{func(a *Assembler) { a.Ldp(X0, X1, X2, 512) }, "offset 512"},
		{func(a *Assembler) { a.Stp(X0, X1, X2, -520) }, "offset -520"},
		{func(a *Assembler) { a.Stp(X0, X1, X2, 4) }, "offset 4"},
		{func(a *Assembler) { a.Align(3) }, "to 3 bytes"},
		{func(a *Assembler) { a.Align(0) }, "to 0 bytes"},
		{func(a *Assembler) { a.Align(8192) }, "to 8192 bytes"},
		{func(a *Assembler) { a.B(a.Label()) }, "label 0 is not bound"},
		{func(a *Assembler) { a.B(0) }, "label 0 is not of this assembler"},
		{func(a *Assembler) { a.Cbz(X0, -1) }, "label -1 is not of this assembler"},
		{func(a *Assembler) { a.Bind(1) }, "1 is not of this assembler"},
		{func(a *Assembler) { a.Bind(a.Here()) }, "0 is bound twice"},
	} {
		var a Assembler
		test.emit(&a)
		code, err := a.Finish()
		if err == nil || code != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("code %x, error %v, want %q", code, err, test.want)
		}
	}
}

// TestBranchRange goes as far as a conditional branch does, and an instruction further.
func TestBranchRange(t *testing.T) {
	const limit = 1 << 20
	for _, test := range []struct {
		between  int
		backward bool
		ok       bool
	}{
		{limit - instruction, false, true},
		{limit, false, false},
		{limit, true, true},
		{limit + instruction, true, false},
	} {
		var a Assembler
		l := a.Label()
		if test.backward {
			a.Bind(l)
		} else {
			a.Cbnz(X0, l)
		}
		for a.Len() < test.between {
			a.word(nop)
		}
		if test.backward {
			a.Cbnz(X0, l)
		} else {
			a.Bind(l)
		}
		if _, err := a.Finish(); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestAlign(t *testing.T) {
	var a Assembler
	a.Align(16)
	a.Ret()
	a.Align(4)
	if a.Len() != instruction {
		t.Errorf("%d bytes, want 4", a.Len())
	}
	a.Align(32)
	if a.Len() != 32 {
		t.Errorf("%d bytes, want 32", a.Len())
	}
	code, err := a.Finish()
	if err != nil {
		t.Fatal(err)
	}
	for i := instruction; i < len(code); i += instruction {
		if string(code[i:i+instruction]) != "\x1F\x20\x03\xD5" {
			t.Errorf("% x at %d is no NOP", code[i:i+instruction], i)
		}
	}
}

// FuzzMethods calls methods with any operands: none panics, and registers that do not
// exist are errors.
func FuzzMethods(f *testing.F) {
	assembler := reflect.TypeFor[*Assembler]()
	for m := range assembler.NumMethod() {
		f.Add([]byte{byte(m), 1, 2, 3, 4, 5, 6, 7, 8, 9})
		f.Add([]byte{byte(m), 255, 254, 253, 252, 251, 250, 249, 248, 247})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() (b byte) {
			if len(data) > 0 {
				b, data = data[0], data[1:]
			}
			return b
		}
		var a Assembler
		impossible := false
		for len(data) > 0 {
			method := assembler.Method(int(next()) % assembler.NumMethod())
			if method.Name == "Finish" {
				continue
			}
			args := []reflect.Value{reflect.ValueOf(&a)}
			for i := 1; i < method.Type.NumIn(); i++ {
				arg := reflect.New(method.Type.In(i)).Elem()
				switch arg.Interface().(type) {
				case X:
					r := next()
					impossible = impossible || X(r) > XZR
					arg.SetUint(uint64(r))
				case V:
					r := next()
					impossible = impossible || r > 31
					arg.SetUint(uint64(r))
				default: // few bits somewhere in the number
					arg.SetInt(int64(int8(next())) << (next() % 64))
				}
				args = append(args, arg)
			}
			method.Func.Call(args)
		}
		code, err := a.Finish()
		if len(code)%instruction != 0 {
			t.Errorf("%d bytes", len(code))
		}
		if impossible && err == nil {
			t.Error("no error, though a register does not exist")
		}
	})
}

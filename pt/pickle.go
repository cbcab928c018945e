package pt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

const (
	// maxPickle bounds data.pkl. The official YOLOv5n's has 83 kB.
	maxPickle = 32 << 20
	// maxSteps bounds opcodes plus elements copied, and so the objects built. The
	// official YOLOv5n takes 33,000.
	maxSteps = 1 << 21
	maxName  = 512 // bytes in a module or class name
	maxLong  = 64  // bytes in an integer
)

// machine runs a pickle. It fails by panicking with a *FormatError or an
// UnsupportedError, which Read catches.
type machine struct {
	src   []byte
	pos   int // next byte of src
	at    int // byte of the opcode that runs
	part  string
	stack []any
	marks []int // heights of the stack
	memo  map[uint32]any
	steps int

	// persistent resolves a persistent id, which is how torch.save names storages.
	persistent func(m *machine, id tuple) any
}

func (m *machine) fail(format string, args ...any) {
	panic(&FormatError{Part: m.part, Offset: int64(m.at), Reason: fmt.Sprintf(format, args...)})
}

func (m *machine) refuse(what string) {
	panic(&FormatError{Part: m.part, Offset: int64(m.at), Reason: "refuses to run " + what, Refused: true})
}

// charge counts work that is not bounded by the pickle's length alone.
func (m *machine) charge(n int) {
	m.steps += n
	if m.steps > maxSteps {
		m.fail("the pickle builds more than %d objects", maxSteps)
	}
}

// run executes the pickle at pos and returns the object at its STOP. The machine can
// then run the next one.
func (m *machine) run() any {
	m.stack, m.marks, m.memo = m.stack[:0], m.marks[:0], map[uint32]any{}
	for {
		m.at = m.pos
		m.charge(1)
		op := m.bytes(1)[0]
		if op == '.' { // STOP
			return m.pop()
		}
		if !m.scalar(op) && !m.collection(op) && !m.construct(op) {
			m.fail("pickle opcode %#02x, which torch.save does not write", op)
		}
	}
}

// scalar runs opcodes that push a plain value, or move what is on the stack.
func (m *machine) scalar(op byte) bool {
	switch op {
	case 0x80: // PROTO
		if v := m.bytes(1)[0]; v > 5 {
			m.fail("pickle protocol %d", v)
		}
	case 0x95: // FRAME: a hint for streams
		m.bytes(8)
	case 'N': // NONE
		m.push(nil)
	case 0x88: // NEWTRUE
		m.push(true)
	case 0x89: // NEWFALSE
		m.push(false)
	case 'K': // BININT1
		m.push(int64(m.bytes(1)[0]))
	case 'M': // BININT2
		m.push(int64(binary.LittleEndian.Uint16(m.bytes(2))))
	case 'J': // BININT
		m.push(int64(int32(binary.LittleEndian.Uint32(m.bytes(4)))))
	case 0x8a: // LONG1
		m.push(m.long(m.length(1)))
	case 0x8b: // LONG4
		m.push(m.long(m.length(4)))
	case 'G': // BINFLOAT
		m.push(math.Float64frombits(binary.BigEndian.Uint64(m.bytes(8))))
	case 'U', 0x8c: // SHORT_BINSTRING, SHORT_BINUNICODE
		m.push(string(m.bytes(m.length(1))))
	case 'T', 'X': // BINSTRING, BINUNICODE
		m.push(string(m.bytes(m.length(4))))
	case 0x8d: // BINUNICODE8
		m.push(string(m.bytes(m.length(8))))
	case 'C': // SHORT_BINBYTES
		m.push(bytes.Clone(m.bytes(m.length(1))))
	case 'B': // BINBYTES
		m.push(bytes.Clone(m.bytes(m.length(4))))
	case 0x8e: // BINBYTES8
		m.push(bytes.Clone(m.bytes(m.length(8))))
	case '(': // MARK
		m.marks = append(m.marks, len(m.stack))
	case '0': // POP
		m.pop()
	case '1': // POP_MARK
		m.popMark()
	case '2': // DUP
		m.push(m.top())
	case 'h': // BINGET
		m.get(uint32(m.bytes(1)[0]))
	case 'j': // LONG_BINGET
		m.get(binary.LittleEndian.Uint32(m.bytes(4)))
	case 'q': // BINPUT
		m.put(uint32(m.bytes(1)[0]))
	case 'r': // LONG_BINPUT
		m.put(binary.LittleEndian.Uint32(m.bytes(4)))
	case 0x94: // MEMOIZE
		m.put(uint32(len(m.memo)))
	default:
		return false
	}
	return true
}

// collection runs opcodes that make or fill lists, tuples, sets and dicts.
func (m *machine) collection(op byte) bool {
	switch op {
	case ']': // EMPTY_LIST
		m.push(&list{})
	case 'l': // LIST
		m.push(&list{items: slices.Clone(m.popMark())})
	case 0x8f: // EMPTY_SET
		m.push(&list{set: true})
	case 0x91: // FROZENSET
		m.push(&list{items: slices.Clone(m.popMark()), set: true})
	case 'a': // APPEND
		v := m.pop()
		m.extend(m.top(), v)
	case 'e', 0x90: // APPENDS, ADDITEMS
		vs := m.popMark()
		m.extend(m.top(), vs...)
	case ')': // EMPTY_TUPLE
		m.push(tuple{})
	case 't': // TUPLE
		m.push(tuple(slices.Clone(m.popMark())))
	case 0x85, 0x86, 0x87: // TUPLE1, TUPLE2, TUPLE3
		t := make(tuple, op-0x84)
		for i := len(t) - 1; i >= 0; i-- {
			t[i] = m.pop()
		}
		m.push(t)
	case '}': // EMPTY_DICT
		m.push(&dict{})
	case 'd': // DICT
		pairs := slices.Clone(m.popMark())
		m.push(&dict{})
		m.setItems(pairs)
	case 's': // SETITEM
		v, k := m.pop(), m.pop()
		m.setItems([]any{k, v})
	case 'u': // SETITEMS
		m.setItems(m.popMark())
	default:
		return false
	}
	return true
}

func (m *machine) extend(target any, vs ...any) {
	switch t := target.(type) {
	case *list:
		t.items = append(t.items, vs...)
	case *object:
		if t.items == nil {
			t.items = &list{}
		}
		t.items.items = append(t.items.items, vs...)
	default:
		m.fail("appends to what is no list")
	}
}

// setItems stores pairs, key and value in turn, in the dict on top of the stack.
func (m *machine) setItems(pairs []any) {
	if len(pairs)%2 != 0 {
		m.fail("a key without a value")
	}
	var d *dict
	switch t := m.top().(type) {
	case *dict:
		d = t
	case *object:
		if t.dict == nil {
			t.dict = &dict{}
		}
		d = t.dict
	default:
		m.fail("sets an item in what is no dict")
	}
	for i := 0; i < len(pairs); i += 2 {
		d.set(pairs[i], pairs[i+1])
	}
}

// bytes returns the next n bytes of the pickle, which the caller does not keep.
func (m *machine) bytes(n int) []byte {
	if n > len(m.src)-m.pos {
		m.fail("the pickle ends early: %d bytes are asked for, %d are left", n, len(m.src)-m.pos)
	}
	m.pos += n
	return m.src[m.pos-n : m.pos]
}

// length reads a little-endian length of width bytes and checks it against what is left.
func (m *machine) length(width int) int {
	var buf [8]byte
	copy(buf[:], m.bytes(width))
	n := binary.LittleEndian.Uint64(buf[:])
	if left := len(m.src) - m.pos; n > uint64(left) {
		m.fail("a length of %d, but only %d bytes are left", n, left)
	}
	return int(n)
}

// long reads a two's complement integer of n bytes.
func (m *machine) long(n int) any {
	if n > maxLong {
		m.fail("an integer of %d bytes", n)
	}
	b := m.bytes(n)
	if n <= 8 {
		var buf [8]byte
		if n > 0 && b[n-1] >= 0x80 {
			binary.LittleEndian.PutUint64(buf[:], math.MaxUint64)
		}
		copy(buf[:], b)
		return int64(binary.LittleEndian.Uint64(buf[:]))
	}
	be := slices.Clone(b)
	slices.Reverse(be)
	x := new(big.Int).SetBytes(be)
	if be[0] >= 0x80 {
		x.Sub(x, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	return x
}

// line returns the text up to the next newline, which it skips.
func (m *machine) line() string {
	rest := m.src[m.pos:min(len(m.src), m.pos+maxName+1)]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		m.fail("a name that does not end")
	}
	m.pos += n + 1
	return string(rest[:n])
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

// floor is the height of the stack that the innermost mark protects.
func (m *machine) floor() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

func (m *machine) top() any {
	if len(m.stack) <= m.floor() {
		m.fail("the pickle's stack is empty")
	}
	return m.stack[len(m.stack)-1]
}

func (m *machine) pop() any {
	v := m.top()
	m.stack = m.stack[:len(m.stack)-1]
	return v
}

// popMark returns what lies above the innermost mark, valid until the next push.
func (m *machine) popMark() []any {
	if len(m.marks) == 0 {
		m.fail("the pickle's stack has no mark")
	}
	n := m.floor()
	m.marks = m.marks[:len(m.marks)-1]
	vs := m.stack[n:]
	m.stack = m.stack[:n]
	return vs
}

func (m *machine) get(i uint32) {
	v, ok := m.memo[i]
	if !ok {
		m.fail("memo %d is not set", i)
	}
	m.push(v)
}

func (m *machine) put(i uint32) {
	if int64(i) > int64(len(m.src)) {
		m.fail("memo %d in a pickle of %d bytes", i, len(m.src))
	}
	m.memo[i] = m.top()
}

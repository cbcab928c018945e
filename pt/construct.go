package pt

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// movedModules are modules under the names of other Python and library releases.
var movedModules = map[string]string{
	"__builtin__":            "builtins",
	"copy_reg":               "copyreg",
	"numpy._core.multiarray": "numpy.core.multiarray",
	"pathlib._local":         "pathlib",
}

// forbidden are packages no name of which belongs in a checkpoint. Nothing of them
// would be run in any case: to see one is reason enough to warn and stop.
var forbidden = map[string]bool{
	"ctypes": true, "importlib": true, "marshal": true, "nt": true, "os": true,
	"pickle": true, "posix": true, "pty": true, "pydoc": true, "runpy": true,
	"shutil": true, "socket": true, "subprocess": true, "sys": true, "timeit": true,
	"urllib": true, "webbrowser": true,
}

// plainBuiltins are the lower-case names of builtins that may be mentioned.
var plainBuiltins = map[string]bool{
	"bool": true, "bytearray": true, "bytes": true, "complex": true, "dict": true,
	"float": true, "frozenset": true, "getattr": true, "int": true, "list": true,
	"long": true, "object": true, "range": true, "set": true, "slice": true,
	"str": true, "tuple": true, "type": true, "unicode": true,
}

// construct runs opcodes that name a class or function, or make an instance.
func (m *machine) construct(op byte) bool {
	switch op {
	case 'c': // GLOBAL
		module, name := m.line(), m.line()
		m.push(m.global(module, name))
	case 0x93: // STACK_GLOBAL
		name, ok1 := m.pop().(string)
		module, ok2 := m.pop().(string)
		if !ok1 || !ok2 {
			m.fail("a class name that is no string")
		}
		m.push(m.global(module, name))
	case 'R': // REDUCE
		args := m.popTuple()
		m.push(m.call(m.pop(), args))
	case 0x81: // NEWOBJ
		args := m.popTuple()
		m.push(m.newObject(m.pop(), args))
	case 0x92: // NEWOBJ_EX: keywords after the arguments
		keywords := m.pop()
		args := m.popTuple()
		m.charge(len(args))
		m.push(m.newObject(m.pop(), slices.Concat(args, tuple{keywords})))
	case 'b': // BUILD
		state := m.pop()
		m.build(m.top(), state)
	case 'Q': // BINPERSID
		id, ok := m.pop().(tuple)
		if !ok || m.persistent == nil {
			m.fail("a persistent id where torch.save writes none")
		}
		m.push(m.persistent(m, id))
	default:
		return false
	}
	return true
}

func (m *machine) popTuple() tuple {
	t, ok := m.pop().(tuple)
	if !ok {
		m.fail("arguments that are no tuple")
	}
	return t
}

func (m *machine) global(module, name string) *global {
	for _, s := range []string{module, name} {
		if s == "" || len(s) > maxName || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			m.fail("a class name that cannot be one")
		}
	}
	if moved, ok := movedModules[module]; ok {
		module = moved
	}
	g := &global{module, name}
	top, _, _ := strings.Cut(module, ".")
	if forbidden[top] || module == "builtins" && !plainBuiltins[name] && !g.isClass() {
		m.refuse(g.path())
	}
	return g
}

// className returns the last part of the name: "Conv" for models.common.Conv.
func (g *global) className() string {
	return g.name[strings.LastIndexByte(g.name, '.')+1:]
}

// isClass reports whether the name looks like that of a class. A pickle does not tell
// classes from functions, so the custom of capital letters decides.
func (g *global) isClass() bool {
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(g.className(), "_"))
	return unicode.IsUpper(r)
}

// call stands for callee(*args): it is looked up in makers, never carried out.
func (m *machine) call(callee any, args tuple) any {
	g, ok := callee.(*global)
	if !ok {
		m.refuse("a callable that is computed")
	}
	if mk, ok := makers[g.path()]; ok {
		return mk(m, g, args)
	}
	if strings.HasPrefix(g.path(), "torch._utils._rebuild_") {
		panic(UnsupportedError("holds a tensor of a kind that is not read (" + g.name + "): convert the model to plain float tensors and save it again"))
	}
	if !g.isClass() {
		m.refuse(g.path())
	}
	return makeObject(m, g, args)
}

// newObject stands for class.__new__(class, *args). Only classes have __new__, so
// that lower-case names are taken too.
func (m *machine) newObject(class any, args tuple) any {
	g, ok := class.(*global)
	if !ok {
		m.refuse("a class that is computed")
	}
	if mk, ok := makers[g.path()]; ok {
		return mk(m, g, args)
	}
	return makeObject(m, g, args)
}

// build stands for target.__setstate__(state) or target.__dict__.update(state).
func (m *machine) build(target, state any) {
	switch t := target.(type) {
	case *object:
		t.states = append(t.states, state)
	case *array:
		m.setArrayState(t, state)
	case *arrayType:
		m.setArrayTypeState(t, state)
	case *dict, *list, *view: // attributes of an OrderedDict, list or tensor: hooks, _metadata
	default:
		m.fail("gives a state to what has none")
	}
}

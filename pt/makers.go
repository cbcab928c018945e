package pt

import (
	"path"
	"slices"
	"strings"
)

// A maker builds what a call in the pickle would have built.
type maker func(m *machine, callee *global, args tuple) any

// makers are the only functions a pickle may call, and the few classes whose instances
// mean something here. Nothing in a file can add one. Any other class gives an inert
// object, any other function is an error.
var makers = map[string]maker{
	"builtins.bytearray":              makeObject,
	"builtins.complex":                makeObject,
	"builtins.getattr":                makeObject, // a bound method, as fused models keep: it stays a name
	"builtins.range":                  makeObject,
	"builtins.slice":                  makeObject,
	"datetime.date":                   makeObject,
	"datetime.datetime":               makeObject,
	"datetime.time":                   makeObject,
	"datetime.timedelta":              makeObject,
	"datetime.timezone":               makeObject,
	"functools.partial":               makeObject,
	"torch.device":                    makeObject,
	"torch.serialization._get_layout": makeObject,

	"builtins.frozenset":      makeSet,
	"builtins.set":            makeSet,
	"collections.OrderedDict": makeDict,
	"collections.defaultdict": makeDefaultDict,
	"copyreg._reconstructor":  makeReconstructed,
	"_codecs.encode":          makeBytes,
	"builtins.bytes":          makeNoBytes,
	"pathlib.Path":            makePath,
	"pathlib.PosixPath":       makePath,
	"pathlib.PurePosixPath":   makePath,
	"pathlib.PureWindowsPath": makePath,
	"pathlib.WindowsPath":     makePath,
	"torch.Size":              makeSize,

	"numpy.core.multiarray._reconstruct":         makeArray,
	"numpy.core.multiarray.scalar":               makeScalar,
	"numpy.dtype":                                makeArrayType,
	"torch._tensor._rebuild_from_type_v2":        makeFromType,
	"torch._utils._rebuild_parameter":            makeParameter,
	"torch._utils._rebuild_parameter_with_state": makeParameter,
	"torch._utils._rebuild_tensor":               makeTensor,
	"torch._utils._rebuild_tensor_v2":            makeTensor,
}

func makeObject(_ *machine, callee *global, args tuple) any {
	return &object{class: callee, args: args}
}

// makeReconstructed stands for copyreg._reconstructor(class, base, state of base).
func makeReconstructed(m *machine, _ *global, args tuple) any {
	if len(args) == 3 {
		if class, ok := args[0].(*global); ok {
			return &object{class: class}
		}
	}
	m.fail("copyreg._reconstructor without a class")
	return nil
}

func makeSet(m *machine, callee *global, args tuple) any {
	if len(args) == 0 {
		return &list{set: true}
	}
	items, ok := m.elements(args[0])
	if !ok {
		m.fail("%s of what is no list", callee.name)
	}
	return &list{items: slices.Clone(items), set: true}
}

// makeDict stands for OrderedDict(), and OrderedDict([[key, value], ...]) of Python 2.
func makeDict(m *machine, _ *global, args tuple) any {
	d := &dict{}
	if len(args) == 0 {
		return d
	}
	pairs, ok := m.elements(args[0])
	for _, p := range pairs {
		kv, isList := m.elements(p)
		if !isList || len(kv) != 2 {
			ok = false
			break
		}
		d.set(kv[0], kv[1])
	}
	if !ok {
		m.fail("an OrderedDict of what are no pairs")
	}
	return d
}

func makeDefaultDict(*machine, *global, tuple) any { return &dict{} }

func makeSize(m *machine, _ *global, args tuple) any {
	if len(args) == 1 {
		if t, ok := args[0].(tuple); ok {
			return t
		}
	}
	m.fail("a torch.Size of what is no tuple")
	return nil
}

// makePath gives a path as a string with forward slashes.
func makePath(m *machine, _ *global, args tuple) any {
	parts := make([]string, len(args))
	for i, a := range args {
		s, ok := a.(string)
		if !ok {
			m.fail("a path of what are no strings")
		}
		m.charge(len(s))
		parts[i] = strings.ReplaceAll(s, `\`, "/")
	}
	return path.Join(parts...)
}

// makeBytes stands for _codecs.encode(text, "latin1"), as protocol 2 stores bytes.
func makeBytes(m *machine, _ *global, args tuple) any {
	if len(args) != 2 || args[1] != any("latin1") {
		m.fail("_codecs.encode other than to latin1")
	}
	s, ok := args[0].(string)
	if !ok {
		m.fail("_codecs.encode of what is no text")
	}
	m.charge(len(s) / 16) // a copy, which a pickle can ask for again and again
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			m.fail("_codecs.encode of a character beyond latin1")
		}
		b = append(b, byte(r))
	}
	return b
}

// makeNoBytes stands for bytes(), as protocol 2 stores the empty one.
func makeNoBytes(m *machine, _ *global, args tuple) any {
	if len(args) != 0 {
		m.fail("bytes made other than by _codecs.encode")
	}
	return []byte{}
}

// elements returns the items of a list or tuple, and charges for a copy of them.
func (m *machine) elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case *list:
		m.charge(len(v.items))
		return v.items, true
	case tuple:
		m.charge(len(v))
		return v, true
	}
	return nil, false
}

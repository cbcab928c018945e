package pt

import (
	"bytes"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"ultrafast/tensor"
)

// values reads a bare pickle, as it stands in data.pkl, without storages.
func values(pickle string) (v any, err error) {
	defer func() {
		if e, ok := recover().(error); ok {
			err = e
		}
	}()
	m := &machine{src: []byte(pickle), part: "pickle"}
	root := m.run()
	c := &converter{loader: &loader{left: 1 << 16}, seen: map[any]any{}}
	return c.value(root), nil
}

// TestValues has what Python 3.11 writes in protocols 2 and 4, and for numpy the
// documented layout of its __reduce__.
func TestValues(t *testing.T) {
	self := &Object{Class: "Foo", Path: "a.b.Foo", Args: []any{}, Attr: map[string]any{"a": int64(1)}}
	self.Attr["self"] = self
	date := &Object{Class: "date", Path: "datetime.date", Args: []any{[]byte("\x07\xe8\x01\x02")}, Attr: map[string]any{}}
	slice := &Object{Class: "slice", Path: "builtins.slice", Args: []any{int64(1), nil, int64(2)}, Attr: map[string]any{}}
	lr := &Object{Class: "Namespace", Path: "argparse.Namespace", Args: []any{}, Attr: map[string]any{"lr": 0.01, "img": []any{int64(640)}}}
	sub := &Object{Class: "L", Path: "a.b.L", Args: []any{}, Attr: map[string]any{"n": int64(3)}, Items: []any{int64(1), int64(2)}}
	slots := &Object{Class: "S", Path: "a.b.S", Args: []any{}, Attr: map[string]any{"x": int64(1), "y": "t"}}
	const f8 = "cnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
	const array = "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
	const one = "\x00\x00\x00\x00\x00\x00\xf0\x3f"
	tests := []struct {
		name, pickle string
		want         any
	}{
		{"integers", "\x80\x02](K\x00K\xffM\x00\x01J\xff\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\xff\x8a\x00e.",
			[]any{int64(0), int64(255), int64(256), int64(-1), int64(1 << 40), int64(-1 << 40), int64(0)}},
		{"big", "\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xc0.", new(big.Int).Neg(new(big.Int).Lsh(big.NewInt(1), 70))},
		{"scalars", "\x80\x02](N\x88\x89G?\xf8\x00\x00\x00\x00\x00\x00X\x02\x00\x00\x00\xc3\xa9e.", []any{nil, true, false, 1.5, "é"}},
		{"bytes/2", "\x80\x02c_codecs\nencode\nq\x00X\x05\x00\x00\x00\x00\xc3\xbfabq\x01X\x06\x00\x00\x00latin1q\x02\x86q\x03Rq\x04.", []byte("\x00\xffab")},
		{"bytes/4", "\x80\x04\x95\x08\x00\x00\x00\x00\x00\x00\x00C\x04\x00\xffab\x94.", []byte("\x00\xffab")},
		{"no bytes/2", "\x80\x02c__builtin__\nbytes\n)R.", []byte{}},
		{"tuples", "\x80\x02}q\x00(X\x01\x00\x00\x00tq\x01)X\x02\x00\x00\x00t1q\x02K\x01\x85q\x03X\x02\x00\x00\x00t4q\x04(K\x01K\x02K\x03K\x04tq\x05K\x01K\x00u.",
			map[any]any{"t": []any{}, "t1": []any{int64(1)}, "t4": []any{int64(1), int64(2), int64(3), int64(4)}, int64(1): int64(0)}},
		{"sets/2", "\x80\x02]q\x00(c__builtin__\nset\nq\x01]q\x02K\x07a\x85q\x03Rq\x04c__builtin__\nfrozenset\nq\x05]q\x06K\x08a\x85q\x07Rq\x08e.", []any{Set{int64(7)}, Set{int64(8)}}},
		{"sets/4", "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00]\x94(\x8f\x94(K\x07\x90(K\x08\x91\x94e.", []any{Set{int64(7)}, Set{int64(8)}}},
		{"ordered/2", "\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00bq\x02K\x01X\x01\x00\x00\x00aq\x03K\x02u.", map[any]any{"b": int64(1), "a": int64(2)}},
		{"ordered, Python 2", "\x80\x02ccollections\nOrderedDict\n](](U\x01bK\x01e](U\x01aK\x02ee\x85R.", map[any]any{"b": int64(1), "a": int64(2)}},
		{"default/4", "\x80\x04\x95A\x00\x00\x00\x00\x00\x00\x00\x8c\x0bcollections\x94\x8c\x0bdefaultdict\x94\x93\x94\x8c\x08builtins\x94\x8c\x04list\x94\x93\x94\x85\x94R\x94\x8c\x01a\x94]\x94K\x01as.", map[any]any{"a": []any{int64(1)}}},
		{"paths/2", "\x80\x02]q\x00(cpathlib\nPurePosixPath\nq\x01X\x01\x00\x00\x00/q\x02X\x01\x00\x00\x00aq\x03X\x01\x00\x00\x00bq\x04\x87q\x05Rq\x06cpathlib\nPosixPath\nq\x07X\x04\x00\x00\x00runsq\x08X\x03\x00\x00\x00expq\x09\x86q\nRq\x0be.", []any{"/a/b", "runs/exp"}},
		{"namespace/2", "\x80\x02cargparse\nNamespace\nq\x00)\x81q\x01}q\x02(X\x02\x00\x00\x00lrq\x03G?\x84z\xe1G\xae\x14{X\x03\x00\x00\x00imgq\x04]q\x05M\x80\x02aub.", lr},
		{"date/2", "\x80\x02cdatetime\ndate\nq\x00c_codecs\nencode\nq\x01X\x05\x00\x00\x00\x07\xc3\xa8\x01\x02q\x02X\x06\x00\x00\x00latin1q\x03\x86q\x04Rq\x05\x85q\x06Rq\x07.", date},
		{"date/4", "\x80\x04\x95 \x00\x00\x00\x00\x00\x00\x00\x8c\x08datetime\x94\x8c\x04date\x94\x93\x94C\x04\x07\xe8\x01\x02\x94\x85\x94R\x94.", date},
		{"slice/2", "\x80\x02c__builtin__\nslice\nq\x00K\x01NK\x02\x87q\x01Rq\x02.", slice},
		{"an object that holds itself", "\x80\x02ca.b\nFoo\nq\x00)\x81q\x01}q\x02(X\x01\x00\x00\x00aq\x03K\x01X\x04\x00\x00\x00selfq\x04h\x01ub.", self},
		{"subclass of list", "\x80\x02ca.b\nL\nq\x00)\x81q\x01(K\x01K\x02e}q\x02X\x01\x00\x00\x00nq\x03K\x03sb.", sub},
		{"slots/2", "\x80\x02ca.b\nS\nq\x00)\x81q\x01N}q\x02(X\x01\x00\x00\x00xq\x03K\x01X\x01\x00\x00\x00yq\x04X\x01\x00\x00\x00tq\x05u\x86q\x06b.", slots},
		{"tuple as key", "\x80\x02}q\x00K\x01K\x02\x86q\x01K\x03s.", nil}, // a key by identity: only that it reads
		{"copyreg", "ccopy_reg\n_reconstructor\nca.b\nFoo\nc__builtin__\nobject\nN\x87R.", &Object{Class: "Foo", Path: "a.b.Foo", Args: []any{}, Attr: map[string]any{}}},
		{"size", "ctorch\nSize\nK\x02K\x03\x86\x85R.", []any{int64(2), int64(3)}},
		{"a class", "cmodels.common\nConv\n.", &Object{Class: "Conv", Path: "models.common.Conv"}},
		{"numpy float64", "cnumpy.core.multiarray\nscalar\n" + f8 + "C\x08" + one + "\x86R.", 1.0},
		{"numpy float64, release 2", "cnumpy._core.multiarray\nscalar\n" + f8 + "C\x08" + one + "\x86R.", 1.0},
		{"numpy int64", "cnumpy.core.multiarray\nscalar\n" + strings.Replace(f8, "f8", "i8", 1) + "C\x08\xfe\xff\xff\xff\xff\xff\xff\xff\x86R.", int64(-2)},
		{"numpy array", array + "(K\x01K\x02\x85" + f8 + "\x89C\x10" + one + "\x00\x00\x00\x00\x00\x00\x00\x40tb.", &tensor.Tensor{Shape: []int{2}, Data: []float32{1, 2}}},
		{"numpy Fortran array", array + "(K\x01K\x02K\x02\x86" + strings.Replace(f8, "f8", "u1", 1) + "\x88C\x04\x01\x02\x03\x04tb.", &tensor.Tensor{Shape: []int{2, 2}, Data: []float32{1, 3, 2, 4}}},
	}
	for _, tt := range tests {
		got, err := values(tt.pickle)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if tt.want != nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %#v, want %#v", tt.name, got, tt.want)
		}
	}
}

// A ckpt is a pickle and the storages beside it, and knows both containers.
type ckpt struct {
	pickle   string
	storages []string // keys are 0, 1, ...
	counts   []int    // elements of each
}

// strided is a checkpoint whose Values["t"] is a tensor of one storage.
func strided(class string, count int, offset string, shape, strides, data string) ckpt {
	return ckpt{"\x80\x02}(X\x05\x00\x00\x00modelca.b\nM\n)\x81}(X\x08\x00\x00\x00_modules}X\x0b\x00\x00\x00_parameters}ub" +
		"X\x01\x00\x00\x00tctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n" + class + "\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK" +
		string(rune(count)) + "tQ" + offset + shape + strides + "\x89ccollections\nOrderedDict\n)RtRu.", []string{data}, []int{count}}
}

func TestTensors(t *testing.T) {
	vec := func(n int) string { return "K" + string(rune(n)) + "\x85" }
	tests := []struct {
		name string
		ck   ckpt
		want []float32
	}{
		{"half", strided("HalfStorage", 4, "K\x00", vec(4), vec(1), "\x00\x3c\x00\xc0\x01\x00\x00\x7c"), []float32{1, -2, 5.9604645e-8, float32(math.Inf(1))}},
		{"bfloat16", strided("BFloat16Storage", 2, "K\x00", vec(2), vec(1), "\x80\x3f\x00\xc0"), []float32{1, -2}},
		{"float", strided("FloatStorage", 1, "K\x00", vec(1), vec(1), "\x00\x00\x80\x3f"), []float32{1}},
		{"double", strided("DoubleStorage", 1, "K\x00", vec(1), vec(1), "\x00\x00\x00\x00\x00\x00\xf0\xbf"), []float32{-1}},
		{"long", strided("LongStorage", 1, "K\x00", vec(1), vec(1), "\xfe\xff\xff\xff\xff\xff\xff\xff"), []float32{-2}},
		{"int", strided("IntStorage", 1, "K\x00", vec(1), vec(1), "\xfe\xff\xff\xff"), []float32{-2}},
		{"short", strided("ShortStorage", 1, "K\x00", vec(1), vec(1), "\xfe\xff"), []float32{-2}},
		{"char", strided("CharStorage", 1, "K\x00", vec(1), vec(1), "\xfe"), []float32{-2}},
		{"byte", strided("ByteStorage", 1, "K\x00", vec(1), vec(1), "\xfe"), []float32{254}},
		{"bool", strided("BoolStorage", 2, "K\x00", vec(2), vec(1), "\x01\x00"), []float32{1, 0}},
		{"offset and step", strided("ByteStorage", 6, "K\x01", vec(3), vec(2), "\x00\x01\x02\x03\x04\x05"), []float32{1, 3, 5}},
		{"expanded", strided("ByteStorage", 1, "K\x00", vec(3), vec(0), "\x09"), []float32{9, 9, 9}},
		{"transposed", strided("ByteStorage", 6, "K\x00", "K\x03K\x02\x86", "K\x01K\x03\x86", "\x00\x01\x02\x03\x04\x05"), []float32{0, 3, 1, 4, 2, 5}},
		{"channels last", strided("ByteStorage", 8, "K\x00", "(K\x01K\x02K\x02K\x02t", "(K\x08K\x01K\x04K\x02t", "\x00\x01\x02\x03\x04\x05\x06\x07"), []float32{0, 2, 4, 6, 1, 3, 5, 7}},
		{"scalar", strided("ByteStorage", 1, "K\x00", ")", ")", "\x09"), []float32{9}},
		{"empty", strided("ByteStorage", 0, "K\x00", vec(0), vec(1), ""), []float32{}},
	}
	for _, tt := range tests {
		for container, file := range map[string][]byte{"zip": tt.ck.zip(t), "legacy": tt.ck.legacy()} {
			ck, err := Read(bytes.NewReader(file), int64(len(file)))
			if err != nil {
				t.Errorf("%s, %s: %v", tt.name, container, err)
			} else if got := ck.Values["t"].(*tensor.Tensor); !reflect.DeepEqual(got.Data, tt.want) {
				t.Errorf("%s, %s: got %v, want %v", tt.name, container, got.Data, tt.want)
			}
		}
	}
}

package pt

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

type entry struct{ name, data string }

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for _, e := range entries {
		if err := store(z, e.name, []byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (c ckpt) zip(t testing.TB) []byte {
	t.Helper()
	entries := []entry{{"x/data.pkl", c.pickle}}
	for i, s := range c.storages {
		entries = append(entries, entry{"x/data/" + strconv.Itoa(i), s})
	}
	return zipOf(t, entries...)
}

const legacyHead = "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."

func (c ckpt) legacy() []byte {
	p := &pickler{}
	p.WriteString(legacyHead)
	p.WriteString(strings.ReplaceAll(c.pickle, "cputQ", "cpuNtQ"))
	p.WriteString("\x80\x02")
	keys := make([]any, len(c.storages))
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	p.list(keys)
	p.WriteByte('.')
	for i, s := range c.storages {
		p.Write(binary.LittleEndian.AppendUint64(nil, uint64(c.counts[i])))
		p.WriteString(s)
	}
	return p.Bytes()
}

// overlapping is a valid archive but for one entry, which points at another's bytes.
func overlapping(t testing.TB) []byte {
	file := zipOf(t, entry{"x/data/0", "AAAA"}, entry{"x/data/1", "AAAA"}, entry{"x/data.pkl", "}."})
	at := bytes.Index(file, []byte("PK\x01\x02"))
	at += 4 + bytes.Index(file[at+4:], []byte("PK\x01\x02")) // the second entry of the directory
	binary.LittleEndian.PutUint32(file[at+42:], 0)           // its header is the first one's
	return file
}

func deflated(t testing.TB) []byte {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create("x/data.pkl")
	if err != nil {
		t.Fatal(err)
	}
	w.Write(bytes.Repeat([]byte("N"), 1<<20))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// module is the pickle of an nn.Module with these pickled children.
func module(children string) string {
	return "ca.b\nM\n)\x81}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_modules}(" + children + "uub"
}

// bomb is a pickle of n levels, each of which is the one before it, twice.
func bomb(n int, start, pair func(get string) string) string {
	var b strings.Builder
	b.WriteString(start("") + "q\x00")
	for i := range n {
		b.WriteString("0" + pair("h"+string(byte(i))) + "q" + string(byte(i+1)))
	}
	return b.String()
}

func TestHostile(t *testing.T) {
	vec := func(s string) string { return s + "\x85" }
	const long = "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f" // 2^63-1
	const minus = "J\xff\xff\xff\xff"
	float := func(offset, shape, strides string) []byte {
		return strided("FloatStorage", 1, offset, shape, strides, "\x00\x00\x80\x3f").zip(t)
	}
	run := func(pickle string) []byte { return ckpt{pickle: pickle}.zip(t) }
	wrap := func(value string) []byte {
		return run("\x80\x02}(X\x01\x00\x00\x00v" + value + "X\x05\x00\x00\x00model" + module("") + "u.")
	}
	count := func(n string) []byte { // a storage of a stated size
		return run("(X\x07\x00\x00\x00storagectorch\nByteStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + n + "tQ.")
	}
	views := strided("ByteStorage", 100, "K\x00", vec("J\xa0\x86\x01\x00"), vec("K\x01"), strings.Repeat("A", 100_000))
	views.pickle = strings.Replace(views.pickle, "Kdt", "J\xa0\x86\x01\x00t", 1)
	at := strings.Index(views.pickle, "ctorch._utils")
	one := strings.TrimSuffix(views.pickle[at:], "u.")
	views.pickle = views.pickle[:at] + "](" + strings.Repeat(one, 50) + "eu."

	tests := []struct {
		name string
		file []byte
		want string // in the error
	}{
		{"os.system", wrap("cos\nsystem\nX\x02\x00\x00\x00ls\x85R"), "refuses to run os.system (pickle byte 10): not a YOLOv5 checkpoint, or a malicious one"},
		{"posix.system, protocol 4", wrap("\x8c\x05posix\x8c\x06system\x93X\x02\x00\x00\x00ls\x85R"), "refuses to run posix.system"},
		{"eval", wrap("c__builtin__\neval\nX\x01\x00\x00\x001\x85R"), "refuses to run builtins.eval"},
		{"__import__", wrap("cbuiltins\n__import__\nX\x02\x00\x00\x00os\x85R"), "refuses to run builtins.__import__"},
		{"Popen", wrap("csubprocess\nPopen\n]\x85R"), "refuses to run subprocess.Popen"},
		{"an unknown function", wrap("cmodels.common\nautopad\nK\x01\x85R"), "refuses to run models.common.autopad"},
		{"getattr and call", wrap("c__builtin__\ngetattr\ncmodels\nM\nX\x01\x00\x00\x00f\x86R)R"), "refuses to run a callable that is computed"},
		{"a legacy file", ckpt{pickle: "cnt\nsystem\nX\x02\x00\x00\x00ls\x85R."}.legacy(), "refuses to run nt.system (file byte"},
		{"a bare pickle", []byte("\x80\x03cposix\nsystem\nX\x02\x00\x00\x00ls\x85R."), "refuses to run posix.system (file byte 2)"},

		{"negative storage", count(minus), "a storage of -1 elements"},
		{"huge storage", count(long), "a storage of 9223372036854775807 elements"},
		{"storage beyond its entry", count("K\x05"), "missing or shorter"},
		{"negative dimension", float("K\x00", vec(minus), vec("K\x01")), "negative dimension"},
		{"huge dimension", float("K\x00", vec(long), vec("K\x01")), "more than 2^31-1"},
		{"huge product", float("K\x00", "J\x00\x00\x00\x10J\x00\x00\x00\x10\x86", "K\x00K\x00\x86"), "more than 2^31-1"},
		{"expansion", float("K\x00", vec("J\x00\x00\x00\x40"), vec("K\x00")), "far more than the file does"},
		{"many views of one storage", views.zip(t), "far more than the file does"},
		{"negative stride", float("K\x00", vec("K\x01"), vec(minus)), ""}, // harmless: one element
		{"negative stride, two elements", float("K\x00", vec("K\x02"), vec(minus)), "lies outside its storage"},
		{"huge stride", float("K\x00", "K\x03K\x03\x86", long+long+"\x86"), "lies outside its storage"},
		{"negative offset", float(minus, vec("K\x01"), vec("K\x01")), "begins at element -1"},
		{"offset at the end", float("K\x01", vec("K\x01"), vec("K\x01")), "lies outside its storage"},
		{"unlike ranks", float("K\x00", vec("K\x01"), ")"), "wrong types"},
		{"numpy size", wrap("cnumpy.core.multiarray\n_reconstruct\n)R(K\x01" + vec(long) + "cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R\x89C\x00tb"), "more than 2^31-1"},

		{"long string", run("X\xff\xff\xff\x7fabc."), "a length of 2147483647, but only 4 bytes are left"},
		{"very long string", run("\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc."), "a length of 18446744073709551615"},
		{"very long bytes", run("\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."), "a length of"},
		{"long integer", run("\x8b\x60\x00\x00\x00" + strings.Repeat("x", 96) + "."), "an integer of 96 bytes"},
		{"memo bomb", run("Nr\xff\xff\xff\xff."), "memo 4294967295"},
		{"memo not set", run("h\x05."), "memo 5 is not set"},
		{"empty stack", run("."), "stack is empty"},
		{"mark", run("]a."), "stack is empty"},
		{"no mark", run("t."), "no mark"},
		{"below the mark", run("N(0."), "stack is empty"},
		{"name without end", run("c" + strings.Repeat("a", 4096)), "a name that does not end"},
		{"opcode", run("\xff."), "opcode 0xff"},
		{"key without a value", run("}(K\x01u."), "a key without a value"},
		{"too many objects", run(strings.Repeat("N0", maxSteps) + "N."), "more than"},
		{"too many copies", run("ccollections\nOrderedDict\nq\x00](" + strings.Repeat("K\x00K\x00\x86", 4000) + "e\x85q\x01" + strings.Repeat("0h\x00h\x01R", 2000) + "."), "more than"},
		{"nested lists", wrap(strings.Repeat("](", 1000) + strings.Repeat("e", 1000)), "nested deeper"},
		{"a list in itself", wrap("]q\x01h\x01a"), "nested deeper"},
		{"a dict in itself", wrap("}q\x01K\x00h\x01s"), "nested deeper"},
		{"billion laughs", wrap(bomb(60, func(string) string { return "]" }, func(get string) string { return "](" + get + get + "e" })), "values"},
		{"a module in itself", run(strings.Replace(module("X\x01\x00\x00\x00ch\x00"), ")\x81", ")\x81q\x00", 1) + "."), "contains itself"},
		{"a billion modules", run(bomb(60, func(string) string { return module("") },
			func(get string) string { return module("X\x01\x00\x00\x00a" + get + "X\x01\x00\x00\x00b" + get) }) + "."), "modules"},
		{"child that is none", run(module("X\x01\x00\x00\x00aK\x00") + "."), "is no module"},

		{"deflated", deflated(t), "is compressed"},
		{"overlapping", overlapping(t), "zip entries overlap"},
		{"entry twice", zipOf(t, entry{"x/data.pkl", "N."}, entry{"x/data.pkl", "N."}), "is there twice"},
		{"two pickles", zipOf(t, entry{"x/data.pkl", "N."}, entry{"y/data.pkl", "N."}), "two data.pkl"},
		{"PK and no more", []byte("PK\x03\x04 and no more"), "without a valid directory"},
		{"legacy, unlike counts", bytes.Replace(strided("ByteStorage", 1, "K\x00", vec("K\x01"), vec("K\x01"), "A").legacy(), []byte("\x01\x00\x00\x00\x00\x00\x00\x00A"), []byte("\x02\x00\x00\x00\x00\x00\x00\x00A"), 1), "has 2 elements, not the 1"},
		{"legacy, another magic", bytes.Replace(ckpt{pickle: "N."}.legacy(), []byte("\x9cF"), []byte("\x9cG"), 1), "magic number"},
		{"random bytes", []byte("\x7fELF\x02\x01\x01\x00\x00\x00"), "no PyTorch file does"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Read(bytes.NewReader(tt.file), int64(len(tt.file)))
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 256<<20 {
				t.Errorf("allocated %d MB for a file of %d bytes", got>>20, len(tt.file))
			}
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var format *FormatError
			if !errors.As(err, &format) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a FormatError with %q", err, tt.want)
			}
		})
	}
}

func TestUnsupported(t *testing.T) {
	weights := strided("ByteStorage", 1, "K\x00", "K\x01\x85", "K\x01\x85", "A")
	weights.pickle = "}(" + weights.pickle[strings.Index(weights.pickle, "X\x01\x00\x00\x00tctorch"):]
	under := weights
	under.pickle = "}X\x05\x00\x00\x00model" + strings.TrimSuffix(weights.pickle, ".") + "s."
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"state dict", weights.zip(t), "weights without a model"},
		{"legacy state dict", weights.legacy(), "weights without a model"},
		{"state dict under model", under.zip(t), "weights without a model"},
		{"no model", ckpt{pickle: "}X\x05\x00\x00\x00epochK\x01s."}.zip(t), "no model under"},
		{"a number", ckpt{pickle: "K\x01."}.zip(t), "neither a model"},
		{"TorchScript", zipOf(t, entry{"x/data.pkl", "N."}, entry{"x/code/a.py", ""}, entry{"x/constants.pkl", "N."}), "TorchScript"},
		{"another zip", zipOf(t, entry{"word/document.xml", "<"}), "no data.pkl"},
		{"big-endian", zipOf(t, entry{"x/data.pkl", "N."}, entry{"x/byteorder", "big"}), "big-endian"},
		{"ONNX", []byte("\x08\x07\x12\x07pytorch\x1a\x031.9"), "ONNX"},
		{"safetensors", []byte("\x20\x00\x00\x00\x00\x00\x00\x00{\"a\":{}}"), "safetensors"},
		{"web page", []byte("\n<!DOCTYPE html>\n<html>"), "web page"},
		{"LFS", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"), "git lfs pull"},
		{"YAML", []byte("nc: 80\n# größe\n"), "text file"},
		{"empty", nil, "empty"},
		{"complex", ckpt{pickle: "(X\x07\x00\x00\x00storagectorch\nComplexFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x00tQ."}.zip(t), "ComplexFloatStorage"},
		{"quantised", ckpt{pickle: "ctorch._utils\n_rebuild_qtensor\n)R."}.zip(t), "_rebuild_qtensor"},
	}
	for _, tt := range tests {
		_, err := Read(bytes.NewReader(tt.file), int64(len(tt.file)))
		var unsupported UnsupportedError
		if !errors.As(err, &unsupported) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an UnsupportedError with %q", tt.name, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error has more than one line", tt.name)
		}
	}
}

func TestTruncated(t *testing.T) {
	var buf bytes.Buffer
	if err := Write(&buf, example()); err != nil {
		t.Fatal(err)
	}
	legacy := strided("FloatStorage", 2, "K\x00", "K\x02\x85", "K\x01\x85", "\x00\x00\x80\x3f\x00\x00\x80\x3f").legacy()
	for name, file := range map[string][]byte{"zip": buf.Bytes(), "legacy": legacy} {
		if _, err := Read(bytes.NewReader(file), int64(len(file))); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range 16 {
			part := file[:len(file)*i/16]
			_, err := Read(bytes.NewReader(part), int64(len(part)))
			var format *FormatError
			if i > 0 && !errors.As(err, &format) || err == nil {
				t.Errorf("%s, %d/16 of it: %v", name, i, err)
			}
		}
	}
}

// TestChoice is about which of the modules in a checkpoint is taken.
func TestChoice(t *testing.T) {
	named := func(class string) string { return strings.Replace(module(""), "M", class, 1) }
	key := func(s string) string { return "X" + string(rune(len(s))) + "\x00\x00\x00" + s }
	tests := []struct{ name, pickle, want string }{
		{"ema first", "}(" + key("model") + named("A") + key("ema") + named("B") + "u.", "B"},
		{"ema is None", "}(" + key("ema") + "N" + key("model") + named("A") + "u.", "A"},
		{"ema with its updates", "}(" + key("ema") + named("B") + "K\x05\x86" + key("model") + named("A") + "u.", "B"},
		{"a bare module", named("A") + ".", "A"},
	}
	for _, tt := range tests {
		file := ckpt{pickle: tt.pickle}.zip(t)
		ck, err := Read(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if ck.Model.Class != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, ck.Model.Class, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	var buf bytes.Buffer
	if err := Write(&buf, example()); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	small := strided("ByteStorage", 6, "K\x00", "K\x03K\x02\x86", "K\x01K\x03\x86", "\x00\x01\x02\x03\x04\x05")
	f.Add(small.zip(f))
	f.Add(small.legacy())
	f.Add(overlapping(f))
	f.Add([]byte("\x80\x02ccopy_reg\n_reconstructor\nca.b\nFoo\nc__builtin__\nobject\nN\x87R."))
	f.Fuzz(func(t *testing.T, file []byte) {
		ck, err := Read(bytes.NewReader(file), int64(len(file)))
		if err == nil {
			walk(ck.Model, "", func(_ string, m *Module) {
				for name, p := range m.Params {
					if len(p.Data) != p.Len() {
						t.Errorf("%s: %v with %d numbers", name, p, len(p.Data))
					}
				}
			})
			return
		}
		var format *FormatError
		var unsupported UnsupportedError
		if !errors.As(err, &format) && !errors.As(err, &unsupported) {
			t.Errorf("%T: %v", err, err)
		}
	})
}

// FuzzPickle mutates the pickle alone, where no checksum or directory stands in the way.
func FuzzPickle(f *testing.F) {
	p := &pickler{memo: map[any]uint32{}}
	p.value(example().Model)
	f.Add("\x80\x02" + p.String() + ".")
	f.Add(module("X\x01\x00\x00\x00a"+module("")) + ".")
	f.Add("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00]\x94(\x8f\x94(K\x07\x90(K\x08\x91\x94e.")
	f.Add("cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nX\x02\x00\x00\x00u1\x89\x88\x87R\x89C\x02abtb.")
	f.Fuzz(func(t *testing.T, pickle string) {
		file := ckpt{pickle: pickle, storages: []string{strings.Repeat("A", 64), "\x00\x00\x80\x3f"}}.zip(t)
		Read(bytes.NewReader(file), int64(len(file)))
	})
}

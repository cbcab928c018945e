package pt

import (
	"fmt"
	"io"
	"math/big"
)

// magic is the first of a legacy file's five pickles: an integer of ten bytes.
var magic, _ = new(big.Int).SetString("1950a86a20f9469cfc6c", 16)

const legacyProtocol = 1001

// openLegacy reads the container before PyTorch 1.6: pickles of a magic number, a
// protocol number, facts on the machine, the object and the storages' keys; then for
// each key its element count as int64 and its elements.
func openLegacy(r io.ReaderAt, size int64) *file {
	m := &machine{src: readAt(r, 0, min(size, maxPickle)), part: "file"}
	if n, ok := m.run().(*big.Int); !ok || n.Cmp(magic) != 0 {
		m.fail("a pickle without PyTorch's magic number")
	}
	if v := m.run(); v != any(int64(legacyProtocol)) {
		m.fail("a PyTorch protocol other than %d", legacyProtocol)
	}
	if sys, ok := m.run().(*dict); ok {
		if little, _ := sys.get("little_endian"); little == any(false) {
			panic(UnsupportedError("the checkpoint was saved on a big-endian machine: save it again on another"))
		}
	}
	stated := map[string]*storage{} // by the main pickle
	m.persistent = func(m *machine, id tuple) any {
		if len(id) > 1 && id[0] == any("module") { // a class with its source text beside it
			return id[1]
		}
		st := m.storage(id, size)
		if before, ok := stated[st.key]; ok && (before.typ != st.typ || before.count != st.count) {
			m.fail("storage %.20q is stated twice and not alike", st.key)
		}
		stated[st.key] = st
		return m.storageView(st, id)
	}
	f := &file{root: m.run(), part: m.part, end: int64(m.pos), storages: map[string]extent{}}
	m.persistent = nil
	keys, ok := m.run().(*list)
	if !ok {
		m.fail("no list of storage keys behind the object")
	}
	at := int64(m.pos)
	for _, k := range keys.items {
		key, _ := k.(string)
		st, ok := stated[key]
		if _, twice := f.storages[key]; !ok || twice {
			m.fail("storage key %.20q is unknown or there twice", key)
		}
		length := st.count * int64(st.typ.size)
		if at > size-8 || length > size-8-at {
			panic(&FormatError{Part: "file", Offset: at, Reason: "the file ends inside storage " + key})
		}
		if n := int64t.at(readAt(r, at, 8)); n != float64(st.count) {
			panic(&FormatError{Part: "file", Offset: at, Reason: fmt.Sprintf("storage %.20q has %.0f elements, not the %d stated before", key, n, st.count)})
		}
		f.storages[key] = extent{at + 8, length}
		at += 8 + length
	}
	return f
}

// storageView applies the (key, first element, elements) that old releases stored for
// a storage that is a window on another.
func (m *machine) storageView(st *storage, id tuple) *storage {
	if len(id) < 6 || id[5] == nil {
		return st
	}
	window, ok := id[5].(tuple)
	if !ok || len(window) != 3 {
		m.fail("a storage view that is none")
	}
	first, ok1 := window[1].(int64)
	count, ok2 := window[2].(int64)
	if !ok1 || !ok2 || first < 0 || count < 0 || first > st.count || count > st.count-first {
		m.fail("a storage view outside its storage")
	}
	return &storage{key: st.key, typ: st.typ, count: count, first: first}
}

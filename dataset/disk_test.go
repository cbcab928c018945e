package dataset

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// diskFiles lists a cache's pictures.
func diskFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Batches from the disk are those from the pictures, which are not decoded again unless
// they or the copies have changed.
func TestDiskCache(t *testing.T) {
	items := small(t)
	o := LoaderOptions{Size: 64, Batch: 11, Train: true, Augment: hyp, Seed: 5, CacheBytes: -1}
	want := sum(t, newTestLoader(t, items, o), 2)
	o.CacheDir = filepath.Join(t.TempDir(), "a", "b")
	same := func(what string) {
		t.Helper()
		if got := sum(t, newTestLoader(t, items, o), 2); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	same("while it is filled")
	files := diskFiles(t, o.CacheDir)
	if len(files) != len(items) {
		t.Fatalf("%d files of %d pictures", len(files), len(items))
	}
	originals := map[string][]byte{}
	for _, item := range items { // nothing to decode any more
		st, err := os.Stat(item.Path)
		if err != nil {
			t.Fatal(err)
		}
		if originals[item.Path], err = os.ReadFile(item.Path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(item.Path, make([]byte, st.Size()), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(item.Path, st.ModTime(), st.ModTime()); err != nil {
			t.Fatal(err)
		}
	}
	same("from the disk")
	for path, data := range originals { // and now they are other files
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(1e9, 0), time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	same("after a change")
	for i, f := range diskFiles(t, o.CacheDir) { // damaged copies
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(f, data[:len(data)-i%2], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	same("with damaged copies")
}

func TestDiskCacheIsBounded(t *testing.T) {
	const picture = 100 + crcBytes
	free := int64(2 * 3 * picture) // half of it are three pictures
	d := &disk{dir: t.TempDir()}
	d.free = func() (int64, error) { return free - int64(len(diskFiles(t, d.dir))*picture), nil }
	if err := d.makeRoom(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, key := range []string{"c.rgb", "a.rgb", "b.rgb", "d.rgb"} {
		d.put(key, make([]uint8, 100))
		os.Chtimes(filepath.Join(d.dir, key), now, now.Add(time.Duration(i)*time.Second))
	}
	if files := diskFiles(t, d.dir); len(files) != 3 || d.get("d.rgb", 100) != nil || len(d.get("b.rgb", 100)) != 100 {
		t.Errorf("%v is there", files)
	}
	// Less is free now: what was written first goes.
	free = 4 * picture
	if err := d.makeRoom(); err != nil {
		t.Fatal(err)
	}
	if files := diskFiles(t, d.dir); len(files) != 2 || d.get("c.rgb", 100) != nil {
		t.Errorf("%v is left", files)
	}
	// Others take what was free after it was opened: nothing more is written.
	if err := os.Remove(filepath.Join(d.dir, "b.rgb")); err != nil {
		t.Fatal(err)
	}
	free -= picture
	d.room.Store(1 << 20)
	if d.put("f.rgb", make([]uint8, 100)); d.get("f.rgb", 100) != nil {
		t.Error("it writes to what is to stay free")
	}
	// A folder that has gone takes nothing and breaks nothing.
	if err := os.RemoveAll(d.dir); err != nil {
		t.Fatal(err)
	}
	free = 1 << 20
	d.put("e.rgb", make([]uint8, 100))
	if d.room.Load() != 0 {
		t.Error("it goes on writing after an error")
	}
}

package dataset

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// keepUnpacked is how many bytes of unpacked archives are kept, or a tenth of what is free
// where that is more.
const keepUnpacked = 10 << 30

// inUse has the folders of unpacked archives that this process reads, each with the file
// that holds its lock, to the end of the process: pictures are read until then.
var inUse sync.Map

// use reports whether an unpacked archive is there, and keeps it from being removed.
func use(dir string) bool {
	if _, ok := inUse.Load(dir); ok && exists(dir) {
		return true
	}
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	if err := lockFile(f, false); err != nil || !exists(dir) { // somebody may just be removing it
		f.Close()
		return false
	}
	inUse.Store(dir, f)
	now := time.Now()
	os.Chtimes(dir, now, now) // the order of removal, no more
	return true
}

// makeRoom removes the archives in cache that were used longest ago until all together are
// within limit. One that a process uses stays.
func makeRoom(cache string, limit int64) {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return
	}
	type unpacked struct {
		dir  string
		size int64
		used time.Time
	}
	var all []unpacked
	sum := int64(0)
	for _, e := range entries {
		st, err := e.Info()
		if err != nil || !e.IsDir() || strings.HasPrefix(e.Name(), partial) {
			continue
		}
		u := unpacked{filepath.Join(cache, e.Name()), 0, st.ModTime()}
		filepath.WalkDir(u.dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil // another process may be removing it
			}
			if st, err := d.Info(); err == nil && st.Mode().IsRegular() {
				u.size += st.Size()
			}
			return nil
		})
		all, sum = append(all, u), sum+u.size
	}
	slices.SortFunc(all, func(a, b unpacked) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.dir, b.dir)) })
	for _, u := range all {
		if sum <= limit {
			return
		}
		if remove(u.dir) {
			sum -= u.size
		}
	}
}

// remove removes an unpacked archive unless a process uses it.
func remove(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	if err := lockFile(f, true); err != nil {
		return false
	}
	gone := filepath.Join(filepath.Dir(dir), partial+filepath.Base(dir)) // at once, and swept if this is killed
	if err := os.Rename(dir, gone); err != nil {
		return false
	}
	return os.RemoveAll(gone) == nil
}

package dataset

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// A disk keeps decoded pictures as files, a picture each: its pixels and their CRC. It
// leaves half of what is free to others, whoever takes the rest meanwhile, and stops at the
// first write that fails: a picture that is not there is decoded again, so that nothing
// here can stop a training.
type disk struct {
	dir     string
	free    func() (int64, error) // bytes on the disk
	reserve int64                 // of these, not to be touched
	room    atomic.Int64          // bytes that may still be written
}

const (
	diskSuffix = ".rgb"
	crcBytes   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openDisk makes the folder, and removes what was written first where there is too much.
func openDisk(dir string) (*disk, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("cache of pictures: %w", err)
	}
	d := &disk{dir: dir, free: func() (int64, error) { return freeBytes(dir) }}
	return d, d.makeRoom()
}

// makeRoom gives the folder half of what is free beside what it holds.
func (d *disk) makeRoom() error {
	free, err := d.free()
	if err != nil {
		return fmt.Errorf("cache of pictures: %s: %w", d.dir, err)
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("cache of pictures: %w", err)
	}
	var kept []fs.FileInfo
	used := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case strings.HasSuffix(e.Name(), diskSuffix):
			kept = append(kept, info)
			used += info.Size()
		case strings.HasPrefix(e.Name(), tempPrefix) && time.Since(info.ModTime()) > time.Hour:
			os.Remove(filepath.Join(d.dir, e.Name())) // of a program that was killed
		}
	}
	limit := (free + used) / 2
	slices.SortFunc(kept, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range kept {
		if used <= limit {
			break
		}
		if err := os.Remove(filepath.Join(d.dir, f.Name())); err != nil {
			return fmt.Errorf("cache of pictures: %w", err)
		}
		used -= f.Size()
	}
	d.reserve = limit
	d.room.Store(limit - used)
	return nil
}

const tempPrefix = ".picture-"

// diskKey names a picture as a loader scales it. A file that has changed has another name.
func (l *Loader) diskKey(item *Item) (string, error) {
	st, err := os.Stat(item.Path)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(fmt.Appendf(nil, "1\x00%s\x00%d\x00%d\x00%d\x00%t", item.Path, st.Size(), st.ModTime().UnixNano(), l.o.Size, l.o.Train))
	return fmt.Sprintf("%x%s", h[:16], diskSuffix), nil
}

// get returns the n bytes that were put under a key; nil if they are not there, whole.
func (d *disk) get(key string, n int) []uint8 {
	data, err := os.ReadFile(filepath.Join(d.dir, key))
	if err != nil || len(data) != n+crcBytes || crc32.Checksum(data[:n], castagnoli) != binary.LittleEndian.Uint32(data[n:]) {
		return nil
	}
	return data[:n:n]
}

// put writes pixels if there is room.
func (d *disk) put(key string, pix []uint8) {
	size := int64(len(pix) + crcBytes)
	if free, err := d.free(); err != nil || free-size < d.reserve {
		return
	}
	if d.room.Add(-size) < 0 {
		d.room.Add(size)
		return
	}
	if err := d.write(key, pix); err != nil {
		d.room.Store(0)
	}
}

func (d *disk) write(key string, pix []uint8) error {
	f, err := os.CreateTemp(d.dir, tempPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(pix)
	if err == nil {
		_, err = f.Write(binary.LittleEndian.AppendUint32(nil, crc32.Checksum(pix, castagnoli)))
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(d.dir, key))
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

package dataset

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"ultrafast/picture"
)

// A cache keeps decoded pictures, scaled for the network, as far as they fit: decoding a
// JPEG takes several times as long as everything else that is done to a sample.
type cache struct {
	pictures []atomic.Pointer[picture.RGB]
	used     atomic.Int64
	limit    int64 // bytes
}

func newCache(n int, limit int64) *cache {
	return &cache{pictures: make([]atomic.Pointer[picture.RGB], n), limit: limit}
}

// put keeps p if there is room.
func (c *cache) put(i int, p *picture.RGB) {
	size := int64(len(p.Pix))
	if c.used.Add(size) > c.limit || !c.pictures[i].CompareAndSwap(nil, p) {
		c.used.Add(-size)
	}
}

// load returns an item's picture with the longer side Size, or what stands in for it. It
// is shared: nobody writes to it.
func (l *Loader) load(i int) (*picture.RGB, error) {
	if p := l.cache.pictures[i].Load(); p != nil {
		return p, nil
	}
	if p := l.lost.standIn(i); p != nil {
		return p, nil
	}
	item := &l.items[i]
	p, err := l.fromDisk(item)
	if err == nil && p == nil {
		p, err = l.decode(item)
	}
	if err == nil {
		err = l.readOutlines(i)
	}
	if err != nil {
		w, h := l.scaled(item.W, item.H)
		return l.lost.add(i, w, h, err)
	}
	l.cache.put(i, p)
	return p, nil
}

// fromDisk returns what the disk holds of an item, nil if nothing.
func (l *Loader) fromDisk(item *Item) (*picture.RGB, error) {
	if l.disk == nil {
		return nil, nil
	}
	key, err := l.diskKey(item)
	if err != nil {
		return nil, err
	}
	w, h := l.scaled(item.W, item.H)
	if pix := l.disk.get(key, 3*w*h); pix != nil {
		return &picture.RGB{Pix: pix, W: w, H: h}, nil
	}
	p, err := l.decode(item)
	if err == nil {
		l.disk.put(key, p.Pix)
	}
	return p, err
}

// decode reads an item's picture and scales it.
func (l *Loader) decode(item *Item) (*picture.RGB, error) {
	p, err := picture.Open(item.Path)
	if err != nil {
		return nil, err
	}
	if p.W != item.W || p.H != item.H {
		return nil, fmt.Errorf("%s: the picture was %d x %d pixels and is now %d x %d",
			item.Path, item.W, item.H, p.W, p.H)
	}
	return l.scale(p), nil
}

// scale makes the longer side Size; the shorter is rounded up, as in YOLOv5. Shrinking for
// validation takes the mean over each pixel's area; in training the roughness of bilinear
// shrinking is one more variation, and YOLOv5's networks were made with it.
func (l *Loader) scale(p *picture.RGB) *picture.RGB {
	w, h := l.scaled(p.W, p.H)
	switch {
	case w == p.W && h == p.H:
		return p
	case l.o.Train || w > p.W:
		return p.Resize(w, h)
	}
	return p.ResizeArea(w, h)
}

func (l *Loader) scaled(w, h int) (int, int) {
	size, long := l.o.Size, max(w, h)
	return (w*size + long - 1) / long, (h*size + long - 1) / long
}

// DefaultCache is how much memory a loader takes for decoded pictures unless it is told: half
// of what is available.
func DefaultCache() int64 { return availableMemory() / 2 }

// availableMemory returns the bytes that can be taken without swapping, at most what the
// control group allows; 2 GiB where the system does not say.
func availableMemory() int64 {
	const unknown = 2 << 30
	available := int64(unknown)
	if f, err := os.Open("/proc/meminfo"); err == nil {
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			fields := strings.Fields(s.Text())
			if len(fields) < 2 || fields[0] != "MemAvailable:" {
				continue
			}
			if kb, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				available = kb << 10
			}
			break
		}
	}
	limit, okLimit := readNumber("/sys/fs/cgroup/memory.max")
	used, okUsed := readNumber("/sys/fs/cgroup/memory.current")
	if okLimit && okUsed {
		available = max(min(available, limit-used), 0)
	}
	return available
}

// readNumber reads a file that holds one number; "max" is none.
func readNumber(path string) (int64, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n, err == nil
}

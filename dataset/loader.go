package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"image"
	"math"
	"runtime"
	"slices"
	"sync/atomic"

	"ultrafast/picture"
	"ultrafast/tensor"
)

// LoaderOptions says what batches are made. Size must be given; the rest is good at zero,
// for validation with square batches.
type LoaderOptions struct {
	Size  int // longer side of the picture in the network's input, a multiple of 32
	Batch int // pictures in a batch; 0 means 16

	// Train gives shuffled, augmented samples. Without it pictures are letterboxed, in the
	// order of the items.
	Train   bool
	Augment Augment // for Train
	Seed    uint64  // for Train

	// Rect gives each batch the shape that its pictures need; they come sorted by aspect. In
	// training there are no mosaics then, and batches come in the same order each epoch.
	Rect bool

	// Parts shares each batch among that many loaders, of which this one makes the pictures
	// of contiguous block Part, 0 to Parts-1; 0 is one loader that makes all. Batch is what
	// they make together, and none of it changes by how many they are.
	Part, Parts int

	// Stride is what the sides of a batch are multiples of: a model's coarsest, and at least
	// 32, which 0 means.
	Stride int

	Workers    int   // goroutines that decode and augment; 0 is one for each core
	CacheBytes int64 // memory for decoded pictures; 0 is half of what is available, below 0 none

	// CacheDir is a folder where decoded pictures are kept for other epochs and runs, up to
	// half of what is free on its disk; empty is none.
	CacheDir string

	// Lost is told of each picture that could be read when the data set was opened and no
	// longer can, once, one at a time, and how many these are by now: grey without boxes
	// stands in for it. More than 3 % of the pictures end the epoch with an error; without
	// Lost the first one does.
	Lost func(err error, lost int)
}

// A Batch is a network's input with what is to be found in it. It is valid until the loop
// that got it asks for the next one, which may be written to the same memory.
type Batch struct {
	X       *tensor.Tensor // [N, 3, H, W], RGB, 0..1
	Targets []Target       // by picture
	Items   []int          // of each picture: its index in the loader's items
	Fits    []picture.Fit  // of each picture, in validation: takes boxes back to the picture
	Lost    []bool         // of each picture, in validation: it can no longer be read, see LoaderOptions
}

// A Target is a box to be found. The centre and the size are fractions of the network's
// input.
type Target struct {
	Image        int // 0..N-1
	Class        int
	CX, CY, W, H float32
}

// Stride is what the sides of a batch are multiples of, unless a model needs more.
const Stride = 32

// rectPad is the room around the pictures of a rectangular batch in validation, in
// strides, as in YOLOv5. Its training has none.
const rectPad = 0.5

// A Loader makes batches of items. It is safe for use by several goroutines.
type Loader struct {
	items []Item
	o     LoaderOptions
	cache *cache
	disk  *disk // nil without CacheDir
	lost  *losses

	outlines  []atomic.Pointer[[]outline] // by item, for mosaics; nil without
	cumulated []float64                   // sums of the items' weights, see Weighted; nil without
}

// NewLoader returns a loader of items, which are not copied and must not change.
func NewLoader(items []Item, o LoaderOptions) (*Loader, error) {
	if o.Batch == 0 {
		o.Batch = 16
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.Stride = max(o.Stride, Stride)
	o.Parts = max(o.Parts, 1)
	switch {
	case len(items) == 0:
		return nil, errors.New("there are no pictures to load")
	case o.Size < o.Stride || o.Size%o.Stride != 0:
		return nil, fmt.Errorf("picture size %d is not a multiple of %d", o.Size, o.Stride)
	case o.Batch < 0:
		return nil, fmt.Errorf("a batch of %d pictures", o.Batch)
	case o.Part < 0 || o.Part >= o.Parts:
		return nil, fmt.Errorf("part %d of batches in %d parts", o.Part, o.Parts)
	case min(o.Batch, len(items)) < o.Parts:
		return nil, fmt.Errorf("batches of %d pictures cannot be shared by %d", min(o.Batch, len(items)), o.Parts)
	}
	if _, err := tensor.Count([]int{o.Batch, 3, o.Size + o.Stride, o.Size + o.Stride}); err != nil {
		return nil, fmt.Errorf("batch %d at size %d: %w", o.Batch, o.Size, err)
	}
	if err := o.Augment.check(); err != nil {
		return nil, err
	}
	limit := o.CacheBytes
	if limit == 0 {
		limit = DefaultCache()
	}
	l := &Loader{items: items, o: o, cache: newCache(len(items), limit), lost: newLosses(len(items), o.Lost)}
	var err error
	if o.CacheDir != "" {
		if l.disk, err = openDisk(o.CacheDir); err != nil {
			return nil, err
		}
	}
	if o.Train && o.Augment.Mosaic > 0 && !o.Rect {
		l.needOutlines()
	}
	return l, nil
}

// Batches returns the number of batches in an epoch. A short last batch of a training
// epoch is left out, unless it is the only one: a new input shape costs libtorch time, and
// batch norm's statistics of few pictures are noise. Its pictures are others in each epoch;
// where they would not be, with Rect, it stays, if there is a picture for each of Parts.
func (l *Loader) Batches() int {
	n, rest := len(l.items)/l.o.Batch, len(l.items)%l.o.Batch
	if rest >= l.o.Parts && (n == 0 || !l.o.Train || l.o.Rect) {
		n++
	}
	return n
}

// A plan is a batch to be made.
type plan struct {
	items []int
	keys  []int // of each item: what its random numbers follow from
	size  image.Point
}

// plan lays out an epoch. pool is what company is drawn from; nil is all items.
func (l *Loader) plan(epoch int) (plans []plan, pool []int) {
	order := l.order(epoch)
	keys := order
	if l.cumulated != nil { // an item that comes twice does not look the same
		pool, keys = order, make([]int, len(order))
		for i := range keys {
			keys[i] = i
		}
	}
	for from := 0; len(plans) < l.Batches(); from += l.o.Batch {
		to := min(from+l.o.Batch, len(order))
		size := image.Pt(l.o.Size, l.o.Size)
		if l.o.Rect {
			pad := rectPad
			if l.o.Train {
				pad = 0
			}
			size = rectSize(l.items[order[from]].aspect(), l.items[order[to-1]].aspect(), l.o.Size, l.o.Stride, pad)
		}
		from, to := from+(to-from)*l.o.Part/l.o.Parts, from+(to-from)*(l.o.Part+1)/l.o.Parts
		plans = append(plans, plan{order[from:to], keys[from:to], size})
	}
	return plans, pool
}

// order is that of an epoch's items.
func (l *Loader) order(epoch int) []int {
	if l.cumulated != nil {
		return l.drawn(epoch)
	}
	order := make([]int, len(l.items))
	for i := range order {
		order[i] = i
	}
	switch {
	case l.o.Train && !l.o.Rect:
		rng := random(l.o.Seed, epoch, -1) // no item has index -1
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	case l.o.Rect:
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(l.items[a].aspect(), l.items[b].aspect()) })
	}
	return order
}

func (i *Item) aspect() float64 { return float64(i.H) / float64(i.W) }

// rectSize returns the shape of a batch whose pictures have aspects (height by width) from
// low to high. The longer side is size plus pad strides of room, in whole strides.
func rectSize(low, high float64, size, stride int, pad float64) image.Point {
	w, h := 1.0, 1.0
	switch {
	case high < 1:
		h = high
	case low > 1:
		w = 1 / low
	}
	strides := func(side float64) int {
		return int(math.Ceil(side*float64(size)/float64(stride)+pad)) * stride
	}
	return image.Pt(strides(w), strides(h))
}

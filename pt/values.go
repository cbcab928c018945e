package pt

// What the pickle machine builds. Besides these it uses nil, bool, int64, *big.Int,
// float64, string and []byte. Lists, dicts and objects are pointers because a pickle
// shares them and fills them later.
type (
	tuple []any
	list  struct {
		items []any
		set   bool // a set or frozenset
	}
	dict struct{ keys, vals []any }

	// global is a class or function by name. It cannot be called.
	global struct{ module, name string }

	// object is an instance of a class that this package does not know.
	object struct {
		class  *global
		args   tuple
		states []any // what BUILD gave it
		items  *list // as a subclass of list
		dict   *dict // as a subclass of dict
	}

	// storage is a run of numbers in the file, named by its key.
	storage struct {
		key   string
		typ   *dtype
		count int64 // elements
		first int64 // element of the keyed storage at which it begins (old views)
	}

	// view is a tensor: a strided window on a storage, which is read on demand.
	view struct {
		storage *storage
		offset  int64 // elements
		shape   []int
		strides []int64 // elements
		at      int64   // byte of the pickle, for errors
	}

	// array is a numpy.ndarray.
	array struct {
		shape   []int
		typ     *dtype // nil where unknown to us
		fortran bool   // first dimension varies fastest
		raw     []byte
		items   []any // elements of dtype=object
	}

	// arrayType is a numpy.dtype. typ is nil where it is none of ours.
	arrayType struct{ typ *dtype }
)

func (g *global) path() string { return g.module + "." + g.name }

func (d *dict) set(key, val any) {
	d.keys = append(d.keys, key)
	d.vals = append(d.vals, val)
}

// get returns the value last set for the key.
func (d *dict) get(key string) (any, bool) {
	for i := len(d.keys) - 1; i >= 0; i-- {
		if d.keys[i] == any(key) {
			return d.vals[i], true
		}
	}
	return nil, false
}

package codegen

// A reg is a general register of a kernel and a vec one of its vector registers; both are
// numbered from 0 whatever the processor calls them.
type (
	reg int
	vec int
)

// What the general registers hold in every kernel. The loops use them as their comments
// say; the rest is free.
const (
	rX       reg = iota // input, at the first tap of the tile
	rW                  // weights of the tile
	rBias               // its biases
	rOut                // output, at the tile
	rRes                // what is added to the output, at the tile
	rMask               // masks of the tile's vectors
	rConst              // constants, each filling 64 bytes
	rCurX               // input, at the tap at work
	rCurW               // weights, at the tap at work
	rCount              // innermost count
	rTiles              // count of tiles
	rOuter              // count around these
	rScratch            // the thread's own memory
	registers
)

// An isa writes the instructions that the tile loops are made of, for one kind of
// processor. Offsets are in bytes. A vector has lanes() float32.
type isa interface {
	lanes() int
	vectors() int // how many vector registers the loops may use, from 0
	packing() int // the weights of a tap are padded to a multiple of this

	pickLanes()                         // before the first loadEven or loadOdd, after rConst is set
	arg(d reg, index int)               // d = argument
	move(d, s reg)                      //
	add(d reg, n int)                   // d += n
	lea(d, s reg, n int)                // d = s + n
	push(r ...reg)                      //
	pop(r ...reg)                       // in reverse order of the arguments
	loop(count reg, n int, body func()) // body n times, n > 0; count is used up
	leave()                             // the kernel ends

	fetch(base reg, off int) // asks for the line of the cache there, to be read soon
	load(d vec, base reg, off int)
	loadEven(d vec, base reg, off int) // lanes 0, 2, 4 … of two vectors
	loadOdd(d vec, base reg, off int)
	store(base reg, off int, s vec)
	storeFar(base reg, off int, s vec)             // past the caches where it can; aligned to a vector
	storeFirst(base reg, off int, s, t vec, n int) // the first n lanes only; t and rCount are used up
	spread(d vec, base reg, off int)               // one float32 to all lanes

	zero(d vec)
	copy(d, s vec)
	addV(d, x, y vec)
	subV(d, x, y vec)
	mulV(d, x, y vec)
	addM(d, x vec, base reg, off int)   // y from memory
	mulM(d, x vec, base reg, off int)   //
	minM(d, x vec, base reg, off int)   // y where x is NaN
	maxM(d, x vec, base reg, off int)   //
	andM(d, x vec, base reg, off int)   //
	xorM(d, x vec, base reg, off int)   //
	fmaM(d, x vec, base reg, off int)   // d += x*memory
	horner(d, x vec, base reg, off int) // d = d*x + memory
	// split parts s, for 2^s, into a whole number for scale and the rest, from 0 to 1; s and t
	// are used up. Where scale has bounds, s is held to [-126, 126] before.
	split(s, t vec) (whole, rest vec)
	scale(d, s, n vec)   // d = s * 2^n for n as split returns it; n is used up
	divV(d, x, s, t vec) // d = x/s within 4 ulp; t is used up
	// rgb unpacks 2*lanes() interleaved 8-bit RGB pixels into whole numbers in float32: red,
	// green and blue of the even pixels, then of the odd ones, in registers 0 to 5.
	rgb(base reg) [6]vec
	twice(lo, hi, s vec)       // lane i of s to lanes 2i and 2i+1 of lo and hi, which are not s
	zip(lo, hi, x, y vec)      // lane i of x and y to lanes 2i and 2i+1; four registers, and x is used up
	unzip(even, odd, x, y vec) // and back: lanes 0, 2, 4 … of x and y, and the others; four registers, after pickLanes

	// tap adds one tap to a tile of o x v sums: for output channel i and vector j,
	// acc[i*v+j] += x[j] * weight i, the weights lying at base+off. free are registers
	// that it may use.
	tap(acc []vec, x []vec, o int, base reg, off int, free []vec)

	finish() ([]byte, error)
}

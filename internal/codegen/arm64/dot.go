package arm64

// Dot products of int8, which processors have from Armv8.2 with FEAT_DotProd on, in
// 32-bit sums that wrap around.

// Sdot adds to each lane of d the products of the four int8 in the same lane of n and m.
func (a *Assembler) Sdot(d, n, m V) { a.vvv("sdot", 0x4E809400, d, n, m) }

// Udot does as Sdot with uint8.
func (a *Assembler) Udot(d, n, m V) { a.vvv("udot", 0x6E809400, d, n, m) }

// SdotElem adds to each lane of d the products of the four int8 in the same lane of n with
// those in lane index of m.
func (a *Assembler) SdotElem(d, n, m V, index int) { a.element("sdot", 0x4F80E000, d, n, m, index) }

// UdotElem does as SdotElem with uint8.
func (a *Assembler) UdotElem(d, n, m V, index int) { a.element("udot", 0x6F80E000, d, n, m, index) }

// Dot products of bfloat16 with float32 sums, which processors have with FEAT_BF16. They
// take denormal numbers as zero, and their rounding is not that of Fmla.

// BfdotElem adds to each lane of d the products of the two bfloat16 in the same lane of n
// with those in lane index of m.
func (a *Assembler) BfdotElem(d, n, m V, index int) { a.element("bfdot", 0x4F40F000, d, n, m, index) }

// Bfmmla takes n and m as two rows of four bfloat16, and d as two rows of two float32, and
// adds the product of n with the transpose of m to d.
func (a *Assembler) Bfmmla(d, n, m V) { a.vvv("bfmmla", 0x6E40EC00, d, n, m) }

// Bfcvtn sets the lower half of d to the float32 in n as bfloat16, and clears the upper.
func (a *Assembler) Bfcvtn(d, n V) { a.vv("bfcvtn", 0x0EA16800, d, n) }

// Bfcvtn2 sets the upper half of d to the float32 in n as bfloat16, and leaves the lower.
func (a *Assembler) Bfcvtn2(d, n V) { a.vv("bfcvtn2", 0x4EA16800, d, n) }

// Narrowing, with saturation: first from 32 to 16 bits, then from 16 to 8.

// Sqxtn sets the lower half of d to the int32 in n as int16, and clears the upper.
func (a *Assembler) Sqxtn(d, n V) { a.vv("sqxtn", 0x0E614800, d, n) }

// Sqxtn2 sets the upper half of d to the int32 in n as int16, and leaves the lower.
func (a *Assembler) Sqxtn2(d, n V) { a.vv("sqxtn2", 0x4E614800, d, n) }

// Sqxtun sets the lower half of d to the int32 in n as uint16, and clears the upper.
func (a *Assembler) Sqxtun(d, n V) { a.vv("sqxtun", 0x2E612800, d, n) }

// Sqxtun2 sets the upper half of d to the int32 in n as uint16, and leaves the lower.
func (a *Assembler) Sqxtun2(d, n V) { a.vv("sqxtun2", 0x6E612800, d, n) }

// Sqxtn8B sets the lower half of d to the int16 in n as int8, and clears the upper.
func (a *Assembler) Sqxtn8B(d, n V) { a.vv("sqxtn", 0x0E214800, d, n) }

// Sqxtn16B sets the upper half of d to the int16 in n as int8, and leaves the lower. It is
// SQXTN2 in Arm's manual.
func (a *Assembler) Sqxtn16B(d, n V) { a.vv("sqxtn2", 0x4E214800, d, n) }

// Sqxtun8B sets the lower half of d to the int16 in n as uint8, and clears the upper.
func (a *Assembler) Sqxtun8B(d, n V) { a.vv("sqxtun", 0x2E212800, d, n) }

// Sqxtun16B sets the upper half of d to the int16 in n as uint8, and leaves the lower. It
// is SQXTUN2 in Arm's manual.
func (a *Assembler) Sqxtun16B(d, n V) { a.vv("sqxtun2", 0x6E212800, d, n) }

package amd64

// AMX: eight tiles of up to 16 rows of 64 bytes, shaped by a configuration of 64 bytes.

// Ldtilecfg reads the configuration from memory and clears all tiles.
func (a *Assembler) Ldtilecfg(m Mem) { a.tileConfig("ldtilecfg", 0, m) }

// Sttilecfg writes the configuration to memory.
func (a *Assembler) Sttilecfg(m Mem) { a.tileConfig("sttilecfg", p66, m) }

func (a *Assembler) tileConfig(name string, e encoding, m Mem) {
	if a.checkMem(name, m) {
		a.vexMem(e|m38, 0x49, 0, m)
	}
}

// Tilerelease returns the tiles to their initial state, so that they need not be saved when
// the system switches threads.
func (a *Assembler) Tilerelease() { a.bytes(0xC4, 0xE2, 0x78, 0x49, 0xC0) }

// Tilezero clears d.
func (a *Assembler) Tilezero(d Tile) {
	if a.checkTiles("tilezero", d) {
		a.vexPrefix(prefix{e: pF2 | m38, reg: uint8(d)})
		a.bytes(0x49)
		a.modrmReg(uint8(d), 0)
	}
}

// Tileload reads the rows of d (tileloadd). The index of m, times its scale, is the number
// of bytes from one row to the next.
func (a *Assembler) Tileload(d Tile, m Mem) { a.tileMem("tileloadd", pF2, d, m) }

// Tilestore writes the rows of s (tilestored), to memory as described at Tileload.
func (a *Assembler) Tilestore(m Mem, s Tile) { a.tileMem("tilestored", pF3, s, m) }

func (a *Assembler) tileMem(name string, e encoding, t Tile, m Mem) {
	switch {
	case !a.checkTiles(name, t) || !a.checkMem(name, m):
	case m.Scale == 0:
		a.fail(name, "lacks the index, which holds the stride")
	default:
		a.vexMem(e|m38, 0x4B, uint8(t), m)
	}
}

// Products of tiles, c += x*y. The rows of x hold groups of adjacent elements along the
// inner dimension, 2 of bfloat16 or 4 of int8; so do those of y, for each column. C holds
// 32-bit elements. The three tiles differ.

// Tdpbf16ps multiplies bfloat16 by bfloat16, for a sum in float32.
func (a *Assembler) Tdpbf16ps(c, x, y Tile) { a.tileDot("tdpbf16ps", pF3, 0x5C, c, x, y) }

// Tdpbssd multiplies signed by signed bytes.
func (a *Assembler) Tdpbssd(c, x, y Tile) { a.tileDot("tdpbssd", pF2, 0x5E, c, x, y) }

// Tdpbsud multiplies signed bytes of x by unsigned bytes of y.
func (a *Assembler) Tdpbsud(c, x, y Tile) { a.tileDot("tdpbsud", pF3, 0x5E, c, x, y) }

// Tdpbusd multiplies unsigned bytes of x by signed bytes of y.
func (a *Assembler) Tdpbusd(c, x, y Tile) { a.tileDot("tdpbusd", p66, 0x5E, c, x, y) }

// Tdpbuud multiplies unsigned by unsigned bytes.
func (a *Assembler) Tdpbuud(c, x, y Tile) { a.tileDot("tdpbuud", 0, 0x5E, c, x, y) }

func (a *Assembler) tileDot(name string, e encoding, code byte, c, x, y Tile) {
	switch {
	case !a.checkTiles(name, c, x, y):
	case c == x || c == y || x == y:
		a.fail(name, "the three tiles must differ")
	default:
		a.vexPrefix(prefix{e: e | m38, reg: uint8(c), v: uint8(y), base: uint8(x)})
		a.bytes(code)
		a.modrmReg(uint8(c), uint8(x))
	}
}

func (a *Assembler) checkTiles(name string, tiles ...Tile) bool {
	for _, t := range tiles {
		if t > 7 {
			a.fail(name, "no tile %d", t)
			return false
		}
	}
	return true
}

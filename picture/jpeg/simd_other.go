//go:build !amd64

package jpeg

func blockFast(*bits, *part, *[64]int16) (last int, ok bool) { return 0, false }

func idctPair([]uint8, int, [][64]int16, *[64]int16) bool { return false }

func yccFast(_, _, _, _ []uint8) int { return 0 }

func triangleFast(_, _, _ []uint8, _, _, _ int) bool { return false }

//go:build !amd64

package picture

// columns has nothing where there is no code for the vector unit.
type columns struct{}

func (*columns) set([]tap, int) {}

func (*columns) scaleRow([]int16, []uint8) int { return 0 }

func blendFast([]uint8, []int16, []int16, int32, int32) int { return 0 }

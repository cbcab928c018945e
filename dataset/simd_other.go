//go:build !amd64

package dataset

import "ultrafast/picture"

var haveAVX2 = false

// There is no code for the vector unit here: nothing is made.

func warpFast([]uint8, *picture.RGB, int, int, *steps, int, int) int { return 0 }

func planesFast(r, g, b []float32, src []uint8, mirrored bool) int { return 0 }

func jitterFast([]uint8, *gains) int { return 0 }

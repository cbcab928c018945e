package pt

import (
	"encoding/binary"
	"math"

	"ultrafast/tensor"
)

// dtype is how one number lies in a file, little-endian.
type dtype struct {
	kind byte // as numpy has it: f float, i signed, u unsigned, b bool
	size int
	at   func(b []byte) float64 // the number at the start of b
}

var (
	float16  = &dtype{'f', 2, func(b []byte) float64 { return float64(tensor.FromHalf(binary.LittleEndian.Uint16(b))) }}
	bfloat16 = &dtype{'f', 2, func(b []byte) float64 {
		return float64(tensor.FromBFloat16(binary.LittleEndian.Uint16(b)))
	}}
	float32t = &dtype{'f', 4, func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) }}
	float64t = &dtype{'f', 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }}
	int8t    = &dtype{'i', 1, func(b []byte) float64 { return float64(int8(b[0])) }}
	int16t   = &dtype{'i', 2, func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) }}
	int32t   = &dtype{'i', 4, func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) }}
	int64t   = &dtype{'i', 8, func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) }}
	uint8t   = &dtype{'u', 1, func(b []byte) float64 { return float64(b[0]) }}
	uint16t  = &dtype{'u', 2, func(b []byte) float64 { return float64(binary.LittleEndian.Uint16(b)) }}
	uint32t  = &dtype{'u', 4, func(b []byte) float64 { return float64(binary.LittleEndian.Uint32(b)) }}
	uint64t  = &dtype{'u', 8, func(b []byte) float64 { return float64(binary.LittleEndian.Uint64(b)) }}
	boolt    = &dtype{'b', 1, func(b []byte) float64 {
		if b[0] != 0 {
			return 1
		}
		return 0
	}}
)

// storageTypes are the classes torch.save names storages by.
var storageTypes = map[string]*dtype{
	"torch.HalfStorage": float16, "torch.BFloat16Storage": bfloat16,
	"torch.FloatStorage": float32t, "torch.DoubleStorage": float64t,
	"torch.CharStorage": int8t, "torch.ShortStorage": int16t,
	"torch.IntStorage": int32t, "torch.LongStorage": int64t,
	"torch.ByteStorage": uint8t, "torch.BoolStorage": boolt,
}

// arrayTypes are numpy's names.
var arrayTypes = map[string]*dtype{
	"f2": float16, "f4": float32t, "f8": float64t,
	"i1": int8t, "i2": int16t, "i4": int32t, "i8": int64t,
	"u1": uint8t, "u2": uint16t, "u4": uint32t, "u8": uint64t, "b1": boolt,
}

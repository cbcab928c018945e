package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
)

// Fingerprint names a network: 32 hexadecimal digits that follow from its structure and all
// its numbers.
func (g *Graph) Fingerprint() string {
	h := sha256.New()
	io.WriteString(h, g.String())
	for _, p := range g.Params() {
		binary.Write(h, binary.LittleEndian, p.Tensor().Data)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

package scene

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

func TestDrawIsDeterministicAndInside(t *testing.T) {
	classes, small := [2]int{}, 0
	for seed := range uint64(40) {
		p, faces := Draw(rand.New(rand.NewPCG(seed, 0)), 320, 256)
		q, _ := Draw(rand.New(rand.NewPCG(seed, 0)), 320, 256)
		if !bytes.Equal(p.Pix, q.Pix) {
			t.Fatalf("seed %d draws two different pictures", seed)
		}
		for _, f := range faces {
			classes[f.Class]++
			if f.X2-f.X1 < 32 {
				small++
			}
			if f.X1 < 0 || f.Y1 < 0 || f.X2 > 320 || f.Y2 > 256 || f.X2-f.X1 < 4 {
				t.Errorf("seed %d: face %+v is not inside 320x256", seed, f)
			}
		}
	}
	if classes[0] < 20 || classes[1] < 20 || small < 20 {
		t.Errorf("40 scenes hold %v faces and masks, %d small: too few to learn from", classes, small)
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	path, err := Write(dir, Set{Train: 2, Val: 1, Width: 160, Height: 128, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{path, filepath.Join(dir, "images/train/0001.jpg"), filepath.Join(dir, "labels/val/0000.txt")} {
		if st, err := os.Stat(f); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

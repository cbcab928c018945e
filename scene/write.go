package scene

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// Set says what Write draws.
type Set struct {
	Train, Val    int // pictures
	Width, Height int
	Seed          uint64
}

// Write draws a data set in YOLO layout below dir (images/train, labels/train, the same
// for val, data.yaml) and returns the path of data.yaml, which is written last: where it
// is, the set is whole. Each picture depends on the seed and its own number only.
func Write(dir string, s Set) (string, error) {
	for part, split := range []struct {
		name  string
		count int
	}{{"train", s.Train}, {"val", s.Val}} {
		images, labels := filepath.Join(dir, "images", split.name), filepath.Join(dir, "labels", split.name)
		for _, d := range []string{images, labels} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				return "", err
			}
		}
		for i := range split.count {
			rng := rand.New(rand.NewPCG(s.Seed, uint64(i*2+part)))
			p, faces := Draw(rng, s.Width, s.Height)
			name := fmt.Sprintf("%04d", i)
			if err := p.SaveJPEG(filepath.Join(images, name+".jpg"), 92); err != nil {
				return "", err
			}
			var text strings.Builder
			w, h := float32(s.Width), float32(s.Height)
			for _, f := range faces {
				fmt.Fprintf(&text, "%d %.6f %.6f %.6f %.6f\n", f.Class, (f.X1+f.X2)/2/w, (f.Y1+f.Y2)/2/h, (f.X2-f.X1)/w, (f.Y2-f.Y1)/h)
			}
			if err := os.WriteFile(filepath.Join(labels, name+".txt"), []byte(text.String()), 0o644); err != nil {
				return "", err
			}
		}
	}
	path := filepath.Join(dir, "data.yaml")
	yaml := fmt.Sprintf("# Scenes drawn with seed %d.\ntrain: images/train\nval: images/val\nnames: [%s]\n", s.Seed, strings.Join(Names, ", "))
	return path, os.WriteFile(path, []byte(yaml), 0o644)
}

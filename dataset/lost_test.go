package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hundred opens a data set of a hundred pictures, whose files may be spoilt.
func hundred(t *testing.T) []Item {
	t.Helper()
	files := map[string]string{"data.yaml": "val: images\nnames: [a, b]\n"}
	for i := range 100 {
		files[fmt.Sprintf("images/%02d.png", i)] = "32x24"
		files[fmt.Sprintf("labels/%02d.txt", i)] = "0 0.5 0.5 0.5 0.25\n1 0.25 0.75 0.5 0.5\n"
	}
	d, err := Open(filepath.Join(tree(t, files), "data.yaml"), OpenOptions{Splits: []string{"val"}})
	if err != nil {
		t.Fatal(err)
	}
	return d.Val
}

// TestLost: pictures that go bad behind the loader's back are named once, and grey without
// boxes from then on; the others stay what they were, and too many are an error.
func TestLost(t *testing.T) {
	items := hundred(t)
	if err := os.Remove(items[3].Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(items[50].Path, 40); err != nil {
		t.Fatal(err)
	}
	writePNG(t, items[97].Path, "24x32")
	lost := []int{3, 50, 97}

	for name, o := range map[string]LoaderOptions{
		"validation": {}, "training": {Train: true}, "mosaics": {Train: true, Augment: Augment{Mosaic: 1, Scale: 0.5, FlipLR: 0.5}},
		"on disk": {Train: true, CacheDir: t.TempDir()},
	} {
		var told []string
		o.Size, o.Batch, o.CacheBytes = 32, 10, -1
		o.Lost = func(err error, n int) {
			if told = append(told, err.Error()); n != len(told) {
				t.Errorf("%s: loss %d is told as %d", name, len(told), n)
			}
		}
		l := newTestLoader(t, items, o)
		for epoch := range 2 {
			for b, err := range l.Epoch(t.Context(), epoch) {
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for i, k := range b.Items {
					boxes := 0
					for _, target := range b.Targets {
						if target.Image == i {
							boxes++
						}
					}
					want := 2
					if slices.Contains(lost, k) {
						want = 0
					}
					grey := b.X.Data[i*3*32*32+16*32+16] == float32(114)/255
					if name != "mosaics" && (boxes != want || grey != (want == 0)) || !o.Train && b.Lost[i] != (want == 0) {
						t.Errorf("%s, epoch %d: picture %d has %d boxes, is grey: %v", name, epoch, k, boxes, grey)
					}
				}
			}
		}
		slices.Sort(told)
		for i, text := range []string{"03.png: no such file", "50.png: ", "97.png: the picture was 32 x 24 pixels and is now 24 x 32"} {
			if len(told) != 3 || !strings.Contains(strings.Join(told, "\n"), text) {
				t.Errorf("%s: told %q, want %d to be %s", name, told, i, text)
			}
		}
		o.Lost = func(error, int) {}
		if !slices.Equal(sum(t, newTestLoader(t, items, o), 1), sum(t, l, 1)) {
			t.Errorf("%s: another loader makes other batches", name)
		}
	}

	// The fourth of a hundred is one too many; where nobody is told the first one is.
	if err := os.Remove(items[4].Path); err != nil {
		t.Fatal(err)
	}
	fails := func(o LoaderOptions, want string) {
		o.Size, o.CacheBytes = 32, -1
		for _, err := range newTestLoader(t, items, o).Epoch(t.Context(), 0) {
			if err == nil {
				continue
			}
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			return
		}
		t.Errorf("no error, want %s", want)
	}
	fails(LoaderOptions{Lost: func(error, int) {}}, "more than 3 pictures can no longer be read: see whether the disk is still there")
	fails(LoaderOptions{Workers: 1}, "03.png: no such file")
}

package train

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ultrafast/safetensors"
)

// fill writes until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, block := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, block))
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// tinyDisk mounts a file system of that many kilobytes, for whoever may.
func tinyDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A disk that is full in the middle of a run ends it with an error; the last good weights
// are whole, and with room again the run goes on as if nothing had been.
func TestFullDisk(t *testing.T) {
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	disk := tinyDisk(t, "size=512k")
	c := tinyConfig(filepath.Join(disk, "exp"))
	c.Progress = func(p Progress) {
		if p.Epoch == 3 && p.Step == 1 && !p.Validating {
			fill(t, filepath.Join(disk, "full"))
		}
	}
	_, err := Run(t.Context(), Drift(), tinyNet(), data, c)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "up to epoch 2") {
		t.Fatalf("got %v", err)
	}
	for name, epochs := range map[string]string{"last": "2", "best": "2", "state-2": "2"} {
		f, err := safetensors.Open(weightsFile(c.Dir, name))
		if err != nil || f.Meta[keyEpochs] != epochs {
			t.Errorf("%s is %v, %v", name, f, err)
		}
	}
	if err := os.Remove(filepath.Join(disk, "full")); err != nil {
		t.Fatal(err)
	}
	c = tinyConfig(c.Dir)
	c.Resume = true
	if _, err := Run(t.Context(), Drift(), nil, data, c); err != nil {
		t.Fatal(err)
	}
	sameRun(t, c.Dir, want)
}

// A cache of pictures on a disk that is full does not disturb a run.
func TestCacheOnFullDisk(t *testing.T) {
	data := tinyData(t)
	want, _ := undisturbed(t, data)
	disk := tinyDisk(t, "size=64k")
	c := tinyConfig(t.TempDir())
	c.Cache = filepath.Join(disk, "pictures")
	c.Progress = func(p Progress) {
		if p.Epoch == 1 && p.Step == 1 && !p.Validating {
			fill(t, filepath.Join(disk, "full"))
		}
	}
	if _, err := Run(t.Context(), Drift(), tinyNet(), data, c); err != nil {
		t.Fatal(err)
	}
	sameFile(t, filepath.Join(c.Dir, "weights/last.safetensors"), filepath.Join(want, "weights/last.safetensors"))
}

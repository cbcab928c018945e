// Package tuned keeps what engine.Tune has measured in the user's cache folder, one file
// for each kind of processor and number of threads. Anything that compiles a network looks
// there first.
package tuned

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/renameio/v2"

	"ultrafast/engine"
	"ultrafast/graph"
	"ultrafast/internal/cpuinfo"
)

// maxFile is the largest file that is read: some ten thousand convolutions.
const maxFile = 4 << 20

// Path returns the file for programs compiled with o. The error is about the user's cache
// folder.
func Path(o engine.Options) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cpu := o.CPU
	if cpus := engine.CPUs(); cpu == "" && len(cpus) > 0 {
		cpu = cpus[0]
	}
	threads := o.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	id := sha256.Sum256([]byte(processor()))
	return filepath.Join(dir, "ultrafast", "tuning", fmt.Sprintf("%s-%x-%d.json", cpu, id[:6], threads)), nil
}

// Load returns what is known for programs compiled with o; nothing where there is no file.
// The error names a file that cannot be read.
func Load(o engine.Options) (engine.Tuning, error) {
	path, err := Path(o)
	if err != nil {
		return nil, nil // no cache folder, nothing in it
	}
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && st.Size() > maxFile {
		err = fmt.Errorf("%d bytes, more than such a file can have", st.Size())
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	var t engine.Tuning
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; remove it and tune again", path, err)
	}
	return t, nil
}

// Compile is engine.Compile with what is known for o.
func Compile(g *graph.Graph, o engine.Options) (*engine.Program, error) {
	var err error
	if o.Tuning, err = Load(o); err != nil {
		return nil, err
	}
	return engine.Compile(g, o)
}

// Tune measures what is not known yet of g's convolutions, within the budget, and keeps
// it. It returns the file. What was measured before ctx ended is kept too.
func Tune(ctx context.Context, g *graph.Graph, o engine.Options, budget time.Duration, progress func(done float64)) (string, error) {
	path, err := Path(o)
	if err != nil {
		return "", err
	}
	known, err := Load(o)
	if err != nil {
		return "", err
	}
	o.Tuning = known
	found, stopped := engine.Tune(ctx, g, o, budget, progress)
	if len(found) == 0 {
		return path, stopped
	}
	if known == nil {
		known = engine.Tuning{}
	}
	maps.Copy(known, found)
	text, err := json.MarshalIndent(known, "", "\t")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := renameio.WriteFile(path, text, 0o644); err != nil {
		return "", err
	}
	return path, stopped
}

// processor says which kind of processor this is, as far as the system does.
func processor() string { return describe(cpuinfo.First()) }

// describe takes from the fields of a processor those that tell its kind.
func describe(fields map[string]string) string {
	s := runtime.GOOS + " " + runtime.GOARCH + "\n"
	for _, key := range []string{"vendor_id", "cpu family", "model", "model name", "stepping", "cache size",
		"CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision"} {
		if value, ok := fields[key]; ok {
			s += value + "\n"
		}
	}
	return s
}

package compress

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/safetensors"
)

// path is a file of the run.
func (r *run) path(name string) string { return filepath.Join(r.dir, name) }

// done reports whether a stage's output is in place.
func (r *run) done(output string) bool {
	_, err := os.Stat(r.path(output))
	return err == nil
}

// whole reports whether the output of a stage is in place with all that it tells of: the weights of
// a model, the other files that are written before it.
func (r *run) whole(output string) bool {
	if !r.done(output) {
		return false
	}
	var m struct {
		File string `json:"file"`
	}
	switch {
	case output == "report.json":
		return r.done("report.html")
	case output == "child.onnx":
		return r.done("child-int8.onnx") || !r.done(int8File)
	case filepath.Ext(output) == ".json" && r.readJSON(output, &m) == nil: // else whoever reads it says so
		return m.File == "" || r.done(m.File)
	}
	return true
}

// finished reports whether there is nothing left to do, by what this program or an older one, which
// knew fewer stages, had to.
func (r *run) finished() bool {
	for _, s := range r.way() {
		if r.done(s.output) && !r.whole(s.output) {
			return false
		}
	}
	return r.done("report.json") && r.done("choice.json") && r.done("child.safetensors") && r.done("child.onnx")
}

// Finished reports whether the run in a folder has nothing left to do.
func Finished(dir string, job Job) bool {
	limits, err := prune.ParseLimits(job.Target)
	r := &run{dir: dir, job: job, limits: limits}
	return err == nil && r.finished()
}

// write puts a file of the run in place, whole and on the disk.
func (r *run) write(name string, data []byte) error {
	return renameio.WriteFile(r.path(name), data, 0o644, renameio.WithTempDir(filepath.Dir(r.path(name))), renameio.WithStaticPermissions(0o644))
}

func (r *run) writeJSON(name string, v any) error {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return r.write(name, append(text, '\n'))
}

// largest is the most that a file of a run's JSON may have.
const largest = 64 << 20

func readJSON(path string, v any) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	if st.Size() > largest {
		return fmt.Errorf("%s: %d MB are no file of this program's", path, st.Size()>>20)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if string(bytes.TrimSpace(text)) == "null" { // which is good JSON for everything
		return fmt.Errorf("%s: nothing is in it", path)
	}
	return nil
}

func (r *run) readJSON(name string, v any) error { return readJSON(r.path(name), v) }

// readModel reads a measured model's numbers.
func (r *run) readModel(name string) (*Model, error) {
	m := &Model{}
	if err := r.readJSON(name, m); err != nil {
		return nil, err
	}
	return m, m.check(r.path(name))
}

// check refuses the numbers of a model that was not measured, which path has.
func (m *Model) check(path string) error {
	if m.Accuracy == nil {
		return fmt.Errorf("%s: no accuracy in it", path)
	}
	return nil
}

// check refuses a round, which path has, without the network that it came to.
func (v *Round) check(path string) error {
	switch {
	case v.Model != nil:
		return v.Model.check(path)
	case v.Kept:
		return fmt.Errorf("%s: a round was kept and no model is in it", path)
	}
	return nil
}

// save writes a network of the run.
func (r *run) save(name string, g *graph.Graph) error {
	return safetensors.Save(r.path(name), &safetensors.File{Graph: g})
}

// open reads a network of the run. Its name may come from one of the run's files, and no
// file may lead out of the folder.
func (r *run) open(name string) (*graph.Graph, error) {
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%s: names %q, which is no file of the run's", r.dir, name)
	}
	f, err := safetensors.Open(r.path(name))
	if err != nil {
		return nil, err
	}
	return f.Graph, nil
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

var errAtWork = errors.New("is at work in another process")

// lockFile is held by the process that a run is at work in.
const lockFile = ".lock"

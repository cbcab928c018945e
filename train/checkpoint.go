package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ultrafast/graph"
	"ultrafast/safetensors"
	"ultrafast/tensor"
)

// A run's folder holds weights/last.safetensors and best.safetensors, which are models like
// any other, and weights/state-N.safetensors, which is what epoch N+1 starts from. last
// names its state in its metadata. The state is written first and last takes effect when
// it is renamed into place; the former state goes after that. So whenever the program is
// killed, or the disk is full, last and its state are a pair.

// Keys of metadata.
const (
	keyState   = "train.state"      // in last: the file of the state; gone when the run is finished
	keyEpochs  = "train.epochs"     // whole epochs behind these weights
	keyFitness = "train.fitness"    // of these weights; in a state of the best
	keyBest    = "train.best_epoch" // in a state, as are those below
	keyUpdates = "train.updates"    // of the moving average
	keyAP      = "train.ap"         // of each class in the last validation, as JSON
	keyData    = "train.pictures"   // in the training split
	keyOptions = "train.options"    // opt.yaml, as JSON, which a hostile file cannot blow up
	keyHyp     = "train.hyp"        // hyp.yaml
)

// Prefixes of a state's tensors beside the live weights.
const (
	prefixAveraged = "averaged/"
	prefixMomentum = "momentum/"
)

// A position is how far a run has come.
type position struct {
	epochs    int // done
	updates   int
	bestEpoch int // counted from 1; 0 is none
	fitness   float64
	ap        []float64 // of each class in the last validation; nil before the first
}

// A snapshot is what a state file holds.
type snapshot struct {
	position
	pictures       int
	options        options
	hyp            string
	live, averaged *graph.Graph
	momentum       map[string]*tensor.Tensor
}

func weightsFile(dir, name string) string {
	return filepath.Join(dir, "weights", name+".safetensors")
}

func stateName(epochs int) string { return fmt.Sprintf("state-%d", epochs) }

// save writes what the network holds after an epoch, and the line of results in between:
// see the head of the file for the order.
func (r *run) save(fitness float64, best bool, line func()) error {
	live, err := r.net.Graph(Live)
	if err != nil {
		return err
	}
	averaged, err := r.net.Graph(Averaged)
	if err != nil {
		return err
	}
	momentum, err := r.net.Momentum()
	if err != nil {
		return err
	}
	s := snapshot{position: r.at, pictures: len(r.data.Train), live: live, averaged: averaged, momentum: momentum, options: r.c.options(), hyp: r.c.Hyp.String()}
	state := stateName(r.at.epochs)
	if err := s.write(weightsFile(r.c.Dir, state)); err != nil {
		return err
	}
	averaged = modelOf(averaged)
	meta := map[string]string{keyEpochs: strconv.Itoa(r.at.epochs), keyFitness: formatFloat(fitness)}
	if best {
		if err := safetensors.Save(weightsFile(r.c.Dir, "best"), &safetensors.File{Graph: averaged, Meta: meta}); err != nil {
			return err
		}
	}
	line()
	meta[keyState] = state
	if err := safetensors.Save(weightsFile(r.c.Dir, "last"), &safetensors.File{Graph: averaged, Meta: meta}); err != nil {
		return err
	}
	return dropStates(r.c.Dir, state)
}

// finish marks the run as finished: last names no state, and there is none.
func (r *run) finish() error {
	last := weightsFile(r.c.Dir, "last")
	f, err := safetensors.Open(last)
	if err != nil {
		return err
	}
	delete(f.Meta, keyState)
	if err := safetensors.Save(last, f); err != nil {
		return err
	}
	return dropStates(r.c.Dir, "")
}

// dropStates removes every state of a run but one.
func dropStates(dir, but string) error {
	return removeFrom(filepath.Join(dir, "weights"), func(name string) bool {
		return strings.HasPrefix(name, "state-") && (but == "" || name != but+".safetensors")
	})
}

// sweep removes what a killed program had begun to write: renameio's temporary files.
func sweep(dir string) error {
	return errors.Join(
		removeFrom(filepath.Join(dir, "weights"), func(name string) bool {
			return strings.HasPrefix(name, ".") && strings.Contains(name, ".safetensors")
		}),
		removeFrom(dir, func(name string) bool { return strings.HasPrefix(name, ".results.csv") }))
}

// removeFrom removes the files of a folder that are picked by name. The folder's own name
// may hold anything, so there is no pattern.
func removeFrom(dir string, picked func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if picked(e.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

func (s *snapshot) write(path string) error {
	options, err := json.Marshal(s.options)
	if err != nil {
		return err
	}
	ap, err := json.Marshal(s.ap)
	if err != nil {
		return err
	}
	f := &safetensors.File{
		Graph: s.live,
		Meta: map[string]string{
			keyEpochs: strconv.Itoa(s.epochs), keyUpdates: strconv.Itoa(s.updates),
			keyBest: strconv.Itoa(s.bestEpoch), keyFitness: formatFloat(s.fitness),
			keyData: strconv.Itoa(s.pictures), keyOptions: string(options), keyHyp: s.hyp,
			keyAP: string(ap),
		},
		Extra: map[string]*tensor.Tensor{},
	}
	for _, p := range s.averaged.Params() {
		if !p.EightBit() { // the momentum has what it is rounded from
			f.Extra[prefixAveraged+p.Name] = p.Tensor()
		}
	}
	for name, m := range s.momentum {
		f.Extra[prefixMomentum+name] = m
	}
	return safetensors.Save(path, f)
}

// ErrFinished is what a run that is finished cannot be resumed for.
var ErrFinished = errors.New("is finished")

// openRun reads the state that last names.
func openRun(dir string) (*snapshot, error) {
	last := weightsFile(dir, "last")
	f, err := safetensors.Open(last)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("train: %s holds no finished epoch to go on from: start the run again", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	name := f.Meta[keyState]
	if name == "" {
		if err := dropStates(dir, ""); err != nil { // finish may have been killed before it did
			return nil, fmt.Errorf("train: %w", err)
		}
		return nil, fmt.Errorf("train: the run in %s %w: start a new one from %s", dir, ErrFinished, last)
	}
	if name != filepath.Base(name) || !strings.HasPrefix(name, "state-") {
		return nil, fmt.Errorf("train: %s names %q as its state, which is no file of this program's", last, name)
	}
	path := weightsFile(dir, name)
	if f, err = safetensors.Open(path); err != nil {
		return nil, fmt.Errorf("train: the state that %s goes on from: %w", last, err)
	}
	s, err := readSnapshot(f)
	if err != nil {
		return nil, fmt.Errorf("train: %s: %w", path, err)
	}
	return s, nil
}

func readSnapshot(f *safetensors.File) (*snapshot, error) {
	s := &snapshot{hyp: f.Meta[keyHyp], live: f.Graph, momentum: map[string]*tensor.Tensor{}}
	for key, to := range map[string]*int{keyEpochs: &s.epochs, keyUpdates: &s.updates, keyBest: &s.bestEpoch, keyData: &s.pictures} {
		n, err := strconv.Atoi(f.Meta[key])
		if err != nil || n < 0 {
			return nil, fmt.Errorf("metadata %s is %q, want a count", key, f.Meta[key])
		}
		*to = n
	}
	err := json.Unmarshal([]byte(f.Meta[keyOptions]), &s.options)
	if err != nil {
		return nil, fmt.Errorf("metadata %s: %w", keyOptions, err)
	}
	if text := f.Meta[keyAP]; text != "" { // states of before have none
		if err := json.Unmarshal([]byte(text), &s.ap); err != nil {
			return nil, fmt.Errorf("metadata %s: %w", keyAP, err)
		}
	}
	if s.ap != nil && len(s.ap) != len(f.Graph.Names) {
		return nil, fmt.Errorf("metadata %s has %d classes, the model %d", keyAP, len(s.ap), len(f.Graph.Names))
	}
	if s.fitness, err = strconv.ParseFloat(f.Meta[keyFitness], 64); err != nil {
		return nil, fmt.Errorf("metadata %s is %q, want a number", keyFitness, f.Meta[keyFitness])
	}
	for name, t := range f.Extra {
		if name, ok := strings.CutPrefix(name, prefixMomentum); ok {
			s.momentum[name] = t
		}
	}
	s.averaged = f.Graph.Clone()
	if err := latents(s.averaged, s.momentum, LatentAverage); err != nil {
		return nil, err
	}
	if err := s.averaged.EightBits(); err != nil {
		return nil, err
	}
	for _, p := range s.averaged.Params() {
		if p.EightBit() {
			continue
		}
		t := f.Extra[prefixAveraged+p.Name]
		if t == nil || t.Len() != p.Tensor().Len() {
			return nil, fmt.Errorf("no average of %s", p.Name)
		}
		*p.At = t
	}
	return s, nil
}

// ReadConfig returns the recipe of the run in a folder, ready for Run to go on with: the
// caller opens the data that it names and adds what concerns the machine.
func ReadConfig(dir string) (Config, error) {
	s, err := openRun(dir)
	if err != nil {
		return Config{}, err
	}
	return s.config(Config{Dir: dir, Resume: true})
}

// config returns c with the recipe of the run.
func (s *snapshot) config(c Config) (Config, error) {
	c.setOptions(s.options)
	var err error
	if c.Hyp, err = ReadHyp(strings.NewReader(s.hyp)); err != nil {
		return c, fmt.Errorf("train: the state of %s: %w", c.Dir, err)
	}
	return c, nil
}

func formatFloat(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

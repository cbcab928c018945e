package compress

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"time"

	"ultrafast/train"
)

// stateVersion is that of all files of a run: one that another version began is not gone on
// with.
const stateVersion = 2

// A State is what state.json holds: the job, and how far it is. What is done, the outputs
// say; this says it to people.
type State struct {
	Version int       `json:"version"` // stateVersion
	Job     Job       `json:"job"`
	Device  string    `json:"device,omitempty"` // that trains, which a run that goes on may change; empty is cpu
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
	Doing   string    `json:"doing"` // the stage at work, or that was when the run was stopped
	Epoch   int       `json:"epoch"` // of the training at work, the last one that is whole
	Epochs  int       `json:"epochs"`
	Left    float64   `json:"left_seconds"` // until the end, as far as can be told
	Stages  []Stage   `json:"stages"`       // that have begun, in order
}

// A Stage is one that has begun.
type Stage struct {
	Name    string  `json:"name"`
	Done    bool    `json:"done"`
	Seconds float64 `json:"seconds"` // of all sessions, as far as they were not killed
}

func newState(job Job) State {
	now := time.Now().UTC().Truncate(time.Second)
	return State{Version: stateVersion, Job: job, Started: now, Updated: now}
}

// ReadState reads the state of the run in a folder. The error is fs.ErrNotExist's where
// there is none.
func ReadState(dir string) (State, error) {
	var s State
	path := filepath.Join(dir, "state.json")
	if err := readJSON(path, &s); err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = fmt.Errorf("%s: holds no run of compress that can be read: state.json: %w", dir, pe.Err)
		}
		return s, err
	}
	if s.Version != stateVersion {
		return s, fmt.Errorf("%s: of version %d, and this program knows %d: go on with the program that began the run", path, s.Version, stateVersion)
	}
	return s, nil
}

func (r *run) saveState() error {
	r.state.Updated = time.Now().UTC().Truncate(time.Second)
	return r.writeJSON("state.json", r.state)
}

// stage is the entry of a name, which is made.
func (s *State) stage(name string) *Stage {
	for i := range s.Stages {
		if s.Stages[i].Name == name {
			return &s.Stages[i]
		}
	}
	s.Stages = append(s.Stages, Stage{Name: name})
	return &s.Stages[len(s.Stages)-1]
}

// note changes the state and writes it. It is for people: a disk that takes no more is
// found out by the stages, which say so.
func (r *run) note(change func(*State)) {
	change(&r.state)
	if err := r.saveState(); err != nil {
		r.o.Log.Warn("state.json could not be written, the rest goes on", "error", err)
	}
}

// begin and end note a stage.
func (r *run) begin(name string) {
	r.note(func(s *State) {
		s.Doing, s.Epoch, s.Epochs = name, 0, 0
		s.stage(name)
	})
}

func (r *run) end(name string, took time.Duration, whole bool) {
	r.note(func(s *State) {
		e := s.stage(name)
		e.Done, e.Seconds = whole, math.Round(10*(e.Seconds+took.Seconds()))/10
	})
}

// Progress is how far a run is.
type Progress struct {
	Doing    string // "round 2, statistics"
	Done, Of int    // steps of it

	Training *train.Progress // where one is at work; Done and Of are its
	Left     time.Duration   // until the end of the whole run; 0 is not known
}

func (r *run) tell(p Progress) {
	p.Left = time.Duration(r.state.Left * float64(time.Second))
	r.o.Progress(p)
}

// tellTraining tells how far a training is, and notes each of its epochs.
func (r *run) tellTraining(name string, p train.Progress) {
	if p.Left > 0 {
		r.state.Left = r.left(name, p)
	}
	if p.Validated != nil {
		r.note(func(s *State) { s.Epoch, s.Epochs = p.Epoch, p.Epochs })
		r.file.Info("epoch", "of", name, "epoch", p.Epoch, "epochs", p.Epochs, "mAP50", round4(p.Validated.Report.MAP50), "mAP50-95", round4(p.Validated.Report.MAP5095),
			"box", round4(p.Loss.Box), "obj", round4(p.Loss.Obj), "cls", round4(p.Loss.Cls), "left", seconds(r.state.Left))
	}
	r.o.Progress(Progress{Doing: name, Done: p.Step, Of: p.Steps, Training: &p, Left: time.Duration(r.state.Left * float64(time.Second))})
}

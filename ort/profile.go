package ort

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"
)

// A NodeTime is how long an operator of the model, as ONNX Runtime has rewritten it, took
// in each run, in whole microseconds.
type NodeTime struct {
	Name, Op string
	Times    []time.Duration
}

// startProfile has the session keep its profile in a folder of its own, which Close removes.
func (s *Session) startProfile(options unsafe.Pointer) error {
	dir, err := os.MkdirTemp("", "ultrafast-profile-")
	if err != nil {
		return err
	}
	s.profile = dir
	return s.runtime.api.check("set profile", s.runtime.api.enableProfiling(options, fileName(filepath.Join(dir, "run"))))
}

// EndProfile ends what Options.Profile began and returns the operators in order of
// execution. It may be called once.
func (s *Session) EndProfile() ([]NodeTime, error) {
	if s.handle == nil || s.profile == "" {
		return nil, errors.New("ONNX Runtime: no profile is being taken")
	}
	a := &s.runtime.api
	var name *byte
	if err := a.check("end profile", a.endProfiling(s.handle, s.runtime.allocator, &name)); err != nil {
		return nil, err
	}
	path, err := a.take(s.runtime.allocator, name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: profile: %w", err)
	}
	defer f.Close()
	var events []event
	if err := json.NewDecoder(f).Decode(&events); err != nil {
		return nil, fmt.Errorf("ONNX Runtime: profile: %w", err)
	}
	return nodeTimes(events), nil
}

// An event is one line of a profile, in the format of Chrome's traces.
type event struct {
	Cat  string
	Name string
	Dur  int64 // microseconds
	Args struct {
		Op string `json:"op_name"`
	}
}

func nodeTimes(events []event) []NodeTime {
	var all []NodeTime
	at := map[string]int{}
	for _, e := range events {
		name, ok := strings.CutSuffix(e.Name, "_kernel_time")
		if !ok || e.Cat != "Node" {
			continue
		}
		i, known := at[name]
		if !known {
			i = len(all)
			at[name] = i
			all = append(all, NodeTime{Name: name, Op: e.Args.Op})
		}
		all[i].Times = append(all[i].Times, time.Duration(e.Dur)*time.Microsecond)
	}
	return all
}

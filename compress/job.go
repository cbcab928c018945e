package compress

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/train"
)

// A Job is what is asked for. It decides the result, up to what a machine rounds and how
// long it takes: a run can only go on with the Job that it was started with.
type Job struct {
	Weights     string  `json:"weights"`      // file of the model, absolute; empty is none, so that one is trained
	WeightsHash string  `json:"weights_hash"` // SHA-256 of the file
	Cfg         string  `json:"cfg"`          // what a model that has to be trained is like, absolute where it is a file; empty with Weights
	CfgHash     string  `json:"cfg_hash"`     // SHA-256 of that file
	Data        string  `json:"data"`         // absolute
	DataHash    string  `json:"data_hash"`    // see HashData
	Target      string  `json:"target"`       // as prune.ParseLimits reads it
	Runtime     string  `json:"runtime"`      // what milliseconds are measured in; empty with Table
	Table       string  `json:"table"`        // a latency table of another device, absolute; empty measures here
	TableHash   string  `json:"table_hash"`
	Threads     int     `json:"threads"`  // that milliseconds are measured with; 0 is all cores, or with Table
	MaxDrop     float64 `json:"max_drop"` // points of mAP50-95 that it may cost
	Width       int     `json:"width"`    // of the network's input on the device
	Height      int     `json:"height"`
	Size        int     `json:"size"`   // side of the squares that training and validation see
	Epochs      int     `json:"epochs"` // of a full training; a round's are a part of it
	Batch       int     `json:"batch"`
	Precision   string  `json:"precision"` // of training
	Hyp         string  `json:"hyp"`       // hyperparameters as YAML, as train.ReadHyp takes them
	Seed        uint64  `json:"seed"`
}

func (j Job) check() error {
	switch {
	case j.Width < 1 || j.Height < 1 || j.Size < 1:
		return fmt.Errorf("compress: an input of %dx%d pixels, and %d in training", j.Width, j.Height, j.Size)
	case j.Epochs < 1 || j.Batch < 1:
		return fmt.Errorf("compress: %d epochs of batches of %d: want at least 1 of each", j.Epochs, j.Batch)
	case !(j.MaxDrop >= 0 && j.MaxDrop <= 100):
		return fmt.Errorf("compress: a drop of %v points of mAP50-95: want 0 to 100", j.MaxDrop)
	}
	return nil
}

// Differences says in which fields two jobs differ, and how: "epochs is 20 and was 10". A file
// that lies elsewhere and has the same contents is no difference.
func (j Job) Differences(was Job) []string {
	a, b := reflect.ValueOf(j), reflect.ValueOf(was)
	var all []string
	for i := range a.NumField() {
		now, before := a.Field(i).Interface(), b.Field(i).Interface()
		if now == before {
			continue
		}
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		if hash := hashOf(a, name); hash != "" && hash == hashOf(b, name) && now != "" && before != "" {
			continue
		}
		switch name {
		case "weights_hash":
			all = append(all, fmt.Sprintf("the model in %s is another one than it was", j.Weights))
		case "cfg_hash":
			all = append(all, fmt.Sprintf("the description in %s is another one than it was", j.Cfg))
		case "table_hash":
			all = append(all, fmt.Sprintf("the latencies in %s are others than they were", j.Table))
		case "data_hash":
			all = append(all, fmt.Sprintf("the pictures or labels of %s are others than they were", j.Data))
		case "hyp":
			all = append(all, "hyp has other numbers: "+otherLines(j.Hyp, was.Hyp))
		default:
			all = append(all, fmt.Sprintf("%s is %v and was %v", name, orNone(now), orNone(before)))
		}
	}
	return all
}

// hashOf is the field of a job that says what is in the file that another field names; "" is none.
func hashOf(job reflect.Value, field string) string {
	for i := range job.NumField() {
		if job.Type().Field(i).Tag.Get("json") == field+"_hash" {
			return job.Field(i).String()
		}
	}
	return ""
}

func orNone(v any) any {
	if v == "" {
		return "none"
	}
	return v
}

// otherLines are the lines of a text that another one does not have.
func otherLines(text, other string) string {
	has := map[string]bool{}
	for line := range strings.Lines(other) {
		has[strings.TrimSpace(line)] = true
	}
	var new []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !has[line] {
			new = append(new, line)
		}
	}
	return strings.Join(new, ", ")
}

// hyp returns the hyperparameters.
func (j Job) hyp() (train.Hyp, error) {
	h, err := train.ReadHyp(strings.NewReader(j.Hyp))
	if err != nil {
		return h, fmt.Errorf("compress: the hyperparameters of the run: %w", err)
	}
	return h, nil
}

// HashFile returns the SHA-256 of a file.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// HashData returns a SHA-256 of what training and validation see of a data set: classes,
// and by split the names, sizes and labels of the pictures. Their pixels do not count.
func HashData(d *dataset.Data) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	e.Encode(d.Names)
	for _, items := range [][]dataset.Item{d.Train, d.Val} {
		e.Encode(len(items))
		for _, item := range items {
			e.Encode([]any{filepath.Base(item.Path), item.W, item.H, item.Labels})
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// detectOf is the head of a model.
func detectOf(g *graph.Graph) (*graph.Detect, error) {
	n := g.Detect()
	if n == nil {
		return nil, fmt.Errorf("compress: the model has no detection head")
	}
	return n.Op.(*graph.Detect), nil
}

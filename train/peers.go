package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"ultrafast/dataset"
	"ultrafast/graph"
	"ultrafast/tensor"
)

// Peers are the processes that train one network together, each on its block of every
// batch. All make the same calls in the same order. train/peers implements it; what is
// summed of the network itself, gradients and statistics, is the Backend's business.
type Peers interface {
	Rank() int // 0 to Size-1; process 0 decides, validates, and writes the run's folder
	Size() int
	// Sum replaces numbers by their sums over the group, the same to the last bit everywhere.
	Sum(numbers []float64) error
	// Gather gives every process the data of all, by rank.
	Gather(data []byte) ([][]byte, error)
	// Broadcast gives every process the data of process 0.
	Broadcast(data []byte) ([]byte, error)
	// Lost is closed when the group has ended, because a process has gone for instance; Err
	// says why then.
	Lost() <-chan struct{}
	Err() error
}

// alone is the group of one process.
type alone struct{}

func (alone) Rank() int                             { return 0 }
func (alone) Size() int                             { return 1 }
func (alone) Sum([]float64) error                   { return nil }
func (alone) Gather(data []byte) ([][]byte, error)  { return [][]byte{data}, nil }
func (alone) Broadcast(data []byte) ([]byte, error) { return data, nil }
func (alone) Lost() <-chan struct{}                 { return nil }
func (alone) Err() error                            { return nil }

// watched returns a context that ends with the group too.
func watched(ctx context.Context, g Peers) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-g.Lost():
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// leads reports whether this process is the one that validates and writes.
func (c Config) leads() bool { return c.Peers.Rank() == 0 }

// Share returns c with the recipe of process 0, and its folder: what the others need not
// know when they start, as where a run goes on.
func (c Config) Share(g Peers) (Config, error) {
	c.Peers = g
	text, err := share(g, shared{Options: c.options(), Hyp: c.Hyp.String(), Dir: c.Dir})
	if err != nil || g.Rank() == 0 {
		return c, err
	}
	c.setOptions(text.Options)
	c.Dir = text.Dir
	c.Hyp, err = ReadHyp(strings.NewReader(text.Hyp))
	return c, err
}

type shared struct {
	Options options
	Hyp     string
	Dir     string
}

// share gives every process what process 0 has.
func share[T any](g Peers, v T) (T, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	if data, err = g.Broadcast(data); err != nil || g.Rank() == 0 {
		return v, err
	}
	var theirs T
	return theirs, json.Unmarshal(data, &theirs)
}

// A place is a position as JSON.
type place struct {
	Epochs, Updates, BestEpoch int
	Fitness                    float64
	AP                         []float64
}

// sharePosition gives every process the position of process 0.
func (r *run) sharePosition() error {
	p := r.at
	at, err := share(r.c.Peers, place{p.epochs, p.updates, p.bestEpoch, p.fitness, p.ap})
	if err == nil && !r.c.leads() {
		r.at = position{at.Epochs, at.Updates, at.BestEpoch, at.Fitness, at.AP}
	}
	return err
}

// shareGraph gives every process the network of process 0, with numbers of its own: they
// come when the Backend loads it.
func shareGraph(p Peers, g *graph.Graph) (*graph.Graph, error) {
	text := ""
	if p.Rank() == 0 {
		text = g.String()
	}
	text, err := share(p, text)
	if err != nil || p.Rank() == 0 {
		return g, err
	}
	if g, err = graph.Parse(text); err != nil {
		return nil, fmt.Errorf("train: the model of process 0: %w", err)
	}
	for _, p := range g.Params() {
		*p.At = tensor.New(p.Tensor().Shape...)
	}
	return g, g.EightBits() // zeros have scales too
}

// share gives every process recipe, networks and position of process 0, of which the others
// make what their epochs need. g is process 0's.
func (r *run) share(g *graph.Graph) (*graph.Graph, error) {
	var err error
	if r.c, err = r.c.Share(r.c.Peers); err != nil {
		return nil, err
	}
	if err := r.sharePosition(); err != nil {
		return nil, err
	}
	if g, err = shareGraph(r.c.Peers, g); err != nil {
		return nil, err
	}
	if d := r.c.Distill; d != nil {
		if d.Teacher, err = shareGraph(r.c.Peers, d.Teacher); err != nil {
			return nil, err
		}
	}
	if !r.c.leads() {
		if err := r.prepare(g); err != nil {
			return nil, err
		}
	}
	return g, r.agree()
}

// restore puts the network where the snapshot of a resumed run was; the others have none,
// and get process 0's numbers.
func (r *run) restore(s *snapshot, g *graph.Graph) error {
	var scale []float32 // of the loss, which is no tensor of the Backend's
	if s != nil && s.momentum[LossScale] != nil {
		scale = s.momentum[LossScale].Data
	}
	scale, err := share(r.c.Peers, scale)
	if err != nil {
		return err
	}
	switch {
	case s != nil:
		return r.net.SetState(s.live, s.averaged, s.momentum)
	case r.c.leads() || r.at.epochs == 0:
		return nil
	}
	zero, err := r.net.Momentum()
	if err != nil {
		return err
	}
	if scale != nil {
		zero[LossScale] = &tensor.Tensor{Shape: []int{len(scale)}, Data: scale}
	}
	return r.net.SetState(g, g, zero)
}

// agree checks that all processes have the same training pictures, which all draw from.
func (r *run) agree() error {
	sum := fmt.Sprintf("%d pictures, digest %s", len(r.data.Train), digest(r.data))
	all, err := r.c.Peers.Gather([]byte(sum))
	if err != nil {
		return err
	}
	var differ []string
	for rank, theirs := range all {
		if string(theirs) != string(all[0]) {
			differ = append(differ, fmt.Sprintf("process %d has %s", rank, theirs))
		}
	}
	if differ != nil {
		return fmt.Errorf("train: the training data differ: process 0 has %s; %s: give all the same pictures, labels and classes", all[0], strings.Join(differ, "; "))
	}
	return nil
}

// digest names classes, training pictures, by their place below the folder of all, and
// labels.
func digest(d *dataset.Data) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", d.Names)
	root := ""
	for i, item := range d.Train {
		dir := filepath.Dir(item.Path) + string(filepath.Separator)
		if i == 0 {
			root = dir
		}
		for !strings.HasPrefix(dir, root) {
			root = filepath.Dir(strings.TrimSuffix(root, string(filepath.Separator)))
			if !strings.HasSuffix(root, string(filepath.Separator)) {
				root += string(filepath.Separator)
			}
		}
	}
	for _, item := range d.Train {
		fmt.Fprintf(h, "%q %d %d\n", strings.TrimPrefix(item.Path, root), item.W, item.H)
		for _, l := range item.Labels {
			writeLabel(h, l)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

func writeLabel(w io.Writer, l dataset.Label) {
	line := binary.LittleEndian.AppendUint64(nil, uint64(l.Class))
	for _, v := range []float32{l.CX, l.CY, l.W, l.H} {
		line = binary.LittleEndian.AppendUint32(line, math.Float32bits(v))
	}
	w.Write(line)
}

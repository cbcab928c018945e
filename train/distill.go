package train

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ultrafast/graph"
)

// A Distill is a teacher, and what a run learns from it beside the labels.
//
// Levels meet by stride, so a student may lack some of the teacher's. PKD and CWD need no
// more than that. Outputs meet by anchors of equal size and classes of equal name; what
// the teacher has no like of is learned from the labels alone. A term that finds nothing is
// an error.
//
// All terms count fully until the last tenth of the run, where they fall to nothing in a
// straight line: a student ends on the labels.
type Distill struct {
	Teacher *graph.Graph // is not changed; only process 0 of a group needs it
	Terms   Terms        // the zero Terms are DefaultTerms
	Source  string       // where the teacher came from: written down, not read

	hash string // the teacher's fingerprint; of a resumed run the one that it was started with
}

// Terms are the weights of what is learned from a teacher, 0 leaving a term out. A weight is
// in units of YOLOv5's loss, whose sum Parts reports; see moments.pkd, cwd and
// pairing.output for the formulas.
type Terms struct {
	PKD     float64 // maps of the neck, by correlation
	CWD     float64 // maps of the neck, by where each channel looks
	Outputs float64 // boxes, objectness and classes; at 1 the teacher counts as much as the labels
}

// DefaultTerms is what is learned where nobody says, and termWeights the weight of a term that
// is named without one. A thin network of 454,000 parameters, cut to 40 % and trained on 480
// photographs of 160 pixels for 6 epochs, had 0.059 of mAP50-95 without a teacher, 0.091 with
// pkd at 1, 0.080 with outputs at 1, and 0.071 with pkd at 0.1 and outputs at 1 (one seed).
var (
	DefaultTerms = Terms{PKD: termWeights.PKD, Outputs: termWeights.Outputs}
	termWeights  = Terms{PKD: 1, CWD: 1, Outputs: 1}
)

// maxTerm bounds a weight, as gains are bounded.
const maxTerm = 1e6

// parts lists the terms under their names.
func (t *Terms) parts() []hypField {
	return []hypField{{"pkd", &t.PKD, 0, maxTerm}, {"cwd", &t.CWD, 0, maxTerm}, {"outputs", &t.Outputs, 0, maxTerm}}
}

// String gives the terms as UnmarshalText takes them: "pkd=1,outputs=1".
func (t Terms) String() string {
	var all []string
	for _, p := range t.parts() {
		if *p.at != 0 {
			all = append(all, p.name+"="+formatFloat(*p.at))
		}
	}
	return strings.Join(all, ",")
}

// MarshalText is String.
func (t Terms) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads terms with or without weights: "pkd,outputs=0.5". The empty text is
// the zero Terms.
func (t *Terms) UnmarshalText(text []byte) error {
	*t = Terms{}
	if len(text) == 0 {
		return nil
	}
	usual := termWeights
	for term := range strings.SplitSeq(string(text), ",") {
		name, weight, given := strings.Cut(term, "=")
		i := slices.IndexFunc(t.parts(), func(p hypField) bool { return p.name == name })
		if i < 0 {
			return fmt.Errorf("%q is no term of distillation: there are pkd, cwd and outputs, with a weight if one likes: pkd=0.1", name)
		}
		p := t.parts()[i]
		if *p.at != 0 {
			return fmt.Errorf("%s is given twice", name)
		}
		*p.at = *usual.parts()[i].at
		if given {
			var err error
			if *p.at, err = strconv.ParseFloat(weight, 64); err != nil || *p.at == 0 {
				return fmt.Errorf("%s=%s: want a weight above 0", name, weight)
			}
		}
		if err := p.check(); err != nil {
			return err
		}
	}
	return nil
}

func (t Terms) check() error {
	for _, p := range t.parts() {
		if err := p.check(); err != nil {
			return fmt.Errorf("train: distillation: %w", err)
		}
	}
	return nil
}

// check is for process 0, which has the teacher.
func (d *Distill) check() error {
	switch {
	case d.Teacher == nil && d.Source != "":
		return fmt.Errorf("train: the run learns from the teacher %s, which is not given", d.Source)
	case d.Teacher == nil:
		return fmt.Errorf("train: distillation needs a teacher")
	}
	return d.Terms.check()
}

// identify notes the teacher's fingerprint, and refuses another than a resumed run had.
func (d *Distill) identify() error {
	if d.Teacher == nil {
		return d.check()
	}
	hash := d.Teacher.Fingerprint()
	if d.hash != "" && d.hash != hash {
		return fmt.Errorf("train: the run was started with another teacher than %s now is: its fingerprint was %s and is %s; put the old file back, or start a new run from the last weights",
			d.Source, d.hash, hash)
	}
	d.hash = hash
	return nil
}

// fade is the share of a run at whose end the teacher is silent.
const fade = 0.1

// strength is what the terms are multiplied by at a step, both counted from 0: 1, and in
// the last tenth of the run what is left of it.
func (s schedule) strength(epoch, step int) float64 {
	done := (float64(epoch) + float64(step)/float64(s.steps)) / float64(s.epochs)
	return min(1, (1-done)/fade)
}

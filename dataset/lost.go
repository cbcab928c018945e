package dataset

import (
	"fmt"
	"sync"

	"ultrafast/picture"
)

// lostShare is the share of a loader's pictures that may be lost before something is wrong
// with more than pictures; one may always be that is not the last.
const lostShare = 0.03

// losses are the pictures of a loader that could be read when the data set was opened and no
// longer can. A grey picture without boxes stands in for each, from then on to the end,
// so that all others make the samples that they would have made.
type losses struct {
	tell func(err error, lost int) // nil makes every loss an error
	most int

	mu   sync.Mutex
	grey map[int]*picture.RGB // by item
}

func newLosses(items int, tell func(err error, lost int)) *losses {
	return &losses{tell: tell, most: min(max(1, int(lostShare*float64(items))), items-1), grey: make(map[int]*picture.RGB)}
}

// standIn returns what stands in for an item that was lost before; nil if it was not.
func (l *losses) standIn(i int) *picture.RGB {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grey[i]
}

// add loses an item, because of err, for which a picture of w x h pixels stands in.
func (l *losses) add(i, w, h int, err error) (*picture.RGB, error) {
	if l.tell == nil || l.most == 0 {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.grey[i]; p != nil { // another worker was faster
		return p, nil
	}
	if len(l.grey) == l.most {
		return nil, fmt.Errorf("more than %d pictures can no longer be read: see whether the disk is still there, and start again without them: %w", l.most, err)
	}
	p := picture.New(w, h)
	fill(p.Pix)
	l.grey[i] = p
	l.tell(err, len(l.grey))
	return p, nil
}

// labels are those of an item whose picture was loaded as p: none of a stand-in.
func (l *Loader) labels(i int, p *picture.RGB) []Label {
	if l.lost.standIn(i) == p {
		return nil
	}
	return l.items[i].Labels
}

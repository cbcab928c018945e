package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows how far something is and how long it will take: a bar on a terminal,
// and a line twice a minute elsewhere, so that logs stay short and never look dead.
type progress struct {
	out   io.Writer
	bar   *progressbar.ProgressBar // nil where out is no terminal
	start time.Time
	said  time.Time
}

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, start: time.Now(), said: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = newBar(out)
	}
	return p
}

func newBar(out io.Writer) *progressbar.ProgressBar {
	return progressbar.NewOptions(1,
		progressbar.OptionSetWriter(out),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(30))
}

// set says that done of steps are behind. It may be called as often as one likes.
func (p *progress) set(what string, done, steps int) {
	if p.bar != nil {
		progressbar.OptionSetDescription(what)(p.bar) // without drawing, which keeps what follows from being drawn
		progressbar.OptionSetPredictTime(false)(p.bar)
		if p.bar.GetMax() != steps { // counts for the rate, as a step of no result
			p.bar.ChangeMax(steps)
		}
		progressbar.OptionSetPredictTime(done > 0)(p.bar) // before, it says 0 s
		if p.bar.State().CurrentNum != int64(done) {
			p.bar.Set(done)
		} else {
			p.bar.Describe(what)
		}
		return
	}
	if done < steps && time.Since(p.said) > 30*time.Second {
		p.said = time.Now()
		left := ""
		if done > 0 {
			left = fmt.Sprintf(", %s to go", (time.Since(p.start) / time.Duration(done) * time.Duration(steps-done)).Round(time.Second))
		}
		fmt.Fprintf(p.out, "%s: %d/%d%s\n", what, done, steps, left)
	}
}

// hide makes room for ordinary output.
func (p *progress) hide() {
	if p.bar != nil {
		p.bar.Clear()
	}
}

// clear makes room and starts again.
func (p *progress) clear() {
	p.hide()
	if p.bar != nil {
		p.bar.Reset()
	}
	p.start = time.Now()
}

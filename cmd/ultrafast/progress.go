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
		p.bar = progressbar.NewOptions(1,
			progressbar.OptionSetWriter(out),
			progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionSetWidth(30))
	}
	return p
}

// set says that done of steps are behind. It may be called as often as one likes.
func (p *progress) set(what string, done, steps int) {
	if p.bar != nil {
		p.bar.ChangeMax(steps)
		p.bar.Describe(what)
		p.bar.Set(done)
		return
	}
	if done < steps && time.Since(p.said) > 30*time.Second {
		p.said = time.Now()
		left := time.Since(p.start) / time.Duration(max(done, 1)) * time.Duration(steps-done)
		fmt.Fprintf(p.out, "%s: %d/%d, %s to go\n", what, done, steps, left.Round(time.Second))
	}
}

// clear makes room for ordinary output and starts again.
func (p *progress) clear() {
	if p.bar != nil {
		p.bar.Clear()
		p.bar.Reset()
	}
	p.start = time.Now()
}

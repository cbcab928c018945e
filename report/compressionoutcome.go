package report

import (
	"fmt"
	"strings"
)

// find is the first model of a role, or nil.
func (c *Compression) find(role string) *Model {
	for i := range c.Models {
		if c.Models[i].Role == role {
			return &c.Models[i]
		}
	}
	return nil
}

// result is the model that is handed out, or nil.
func (c *Compression) result() *Model {
	for i := range c.Models {
		if c.Models[i].HandedOut {
			return &c.Models[i]
		}
	}
	return c.find(Child)
}

// A timed is what two Times have to share to be compared.
type timed struct {
	runtime   string
	threads   int
	precision string
}

func (t Time) as() timed { return timed{t.Runtime, t.Threads, t.Precision} }

func (t timed) String() string {
	s := clip(t.runtime, maxName)
	if t.threads > 0 {
		s += ", " + inThreads(t.threads)
	}
	if t.precision != "" {
		s += ", " + clip(t.precision, maxName)
	}
	return s
}

func inThreads(n int) string {
	if n == 1 {
		return "1 thread"
	}
	return fmt.Sprintf("%d threads", n)
}

// time is the model's time of that kind, Unknown where there is none.
func (m *Model) time(t timed) Number {
	for _, have := range m.Times {
		if have.as() == t {
			return positive(have.Milliseconds)
		}
	}
	return Unknown()
}

// headline is what the large print compares; false where parent and result share no time.
func (c *Compression) headline() (timed, bool) {
	if parent, result := c.find(Parent), c.result(); parent != nil && result != nil {
		for _, t := range parent.Times {
			if parent.time(t.as()).Known() && result.time(t.as()).Known() {
				return t.as(), true
			}
		}
	}
	return timed{}, false
}

// accuracy is one of the model's numbers, Unknown where it was not validated.
func (m *Model) accuracy(of func(*Accuracy) Number) Number {
	if m == nil || m.Accuracy == nil {
		return Unknown()
	}
	return of(m.Accuracy)
}

func map5095(a *Accuracy) Number { return a.MAP5095 }

// Outcome says in a sentence what the compression came to, as far as it is known: how much
// smaller and faster the model that is handed out is than the parent, what that cost, and
// what a control reached.
func (c *Compression) Outcome() string {
	parent, result := c.find(Parent), c.result()
	if parent == nil || result == nil {
		return "There is no parent and child to compare."
	}
	var gains []string
	if before, after := positive(parent.Bytes), positive(result.Bytes); (before / after).Known() {
		gains = append(gains, fmt.Sprintf("%s (%s to %s)", factor(before, after, "smaller", "larger"), inBytes(parent.Bytes), inBytes(result.Bytes)))
	} else if before, after := positive(parent.Parameters), positive(result.Parameters); (before / after).Known() {
		gains = append(gains, fmt.Sprintf("%s (%s to %s parameters)", factor(before, after, "smaller", "larger"), count(parent.Parameters), count(result.Parameters)))
	}
	if t, ok := c.headline(); ok {
		before, after := parent.time(t), result.time(t)
		gains = append(gains, fmt.Sprintf("%s (%s ms to %s ms, %s)", factor(before, after, "faster", "slower"), digits(before), digits(after), t))
	}
	cost := ""
	if before, after := parent.accuracy(map5095), result.accuracy(map5095); (before - after).Known() {
		cost = fmt.Sprintf("mAP50-95 went from %s to %s", rate(before), rate(after))
	}
	switch {
	case len(gains) == 0 && cost == "":
		return "Nothing was measured."
	case len(gains) == 0:
		return upper(cost) + "."
	case cost != "":
		cost = "; " + cost
	}
	return upper(strings.Join(gains, " and ")) + cost + "." + c.beside(result)
}

// beside says what the best of the controls reached, where the result is none of them.
func (c *Compression) beside(result *Model) string {
	best := -1
	for i, m := range c.Models {
		if v := m.accuracy(map5095); m.Role == Control && v.Known() && (best < 0 || v > c.Models[best].accuracy(map5095)) {
			best = i
		}
	}
	if best < 0 || result.Role == Control {
		return ""
	}
	return fmt.Sprintf(" The best control, %s, reached %s.", clip(c.Models[best].Name, maxName), rate(c.Models[best].accuracy(map5095)))
}

// compared says how much less after is than before, as a factor and its name, or how much more.
func compared(before, after Number, less, more string) (factor, name string) {
	if after > before {
		return times(after, before), more
	}
	return times(before, after), less
}

// factor is compared as words: "17.2 times smaller".
func factor(before, after Number, less, more string) string {
	value, name := compared(before, after, less, more)
	return strings.TrimSuffix(value, "×") + " times " + name
}

// upper begins a sentence.
func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// bigFigures are the numbers in large print: how much smaller, how much faster, at what cost.
func (c *Compression) bigFigures() []bigFigure {
	smaller := bigFigure{Value: unknown, Unit: "smaller", Note: "no size known"}
	faster := bigFigure{Value: unknown, Unit: "faster", Note: "no time measured for both"}
	cost := bigFigure{Value: unknown, Unit: "points of mAP50-95", Note: "not validated"}
	parent, result := c.find(Parent), c.result()
	if parent == nil || result == nil {
		return []bigFigure{smaller, faster, cost}
	}
	if before, after := positive(parent.Bytes), positive(result.Bytes); (before / after).Known() {
		value, unit := compared(before, after, "smaller", "larger")
		smaller = bigFigure{value, unit, inBytes(parent.Bytes), inBytes(result.Bytes), "the file"}
		if p := times(positive(parent.Parameters), positive(result.Parameters)); p != unknown {
			smaller.Note += "; " + p + " fewer parameters"
		}
	}
	if t, ok := c.headline(); ok {
		before, after := parent.time(t), result.time(t)
		value, unit := compared(before, after, "faster", "slower")
		faster = bigFigure{value, unit, digits(before) + " ms", digits(after) + " ms", t.String()}
	}
	if before, after := parent.accuracy(map5095), result.accuracy(map5095); (before - after).Known() {
		cost = bigFigure{signed(100*(after-before), "%.1f"), "points of mAP50-95", rate(before), rate(after), ""}
		if n := result.Accuracy.Pictures; n > 0 {
			cost.Note = "on " + thousands(int64(n)) + " pictures"
		}
	}
	return []bigFigure{smaller, faster, cost}
}

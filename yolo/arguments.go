package yolo

import "fmt"

// arguments reads a layer's args in order, keeping the first mistake.
type arguments struct {
	list []any
	at   int
	err  error
}

func (a *arguments) next() (any, bool) {
	if a.at >= len(a.list) {
		return nil, false
	}
	v := a.list[a.at]
	a.at++
	return v, true
}

func (a *arguments) fail(v any, want string) {
	if a.err == nil {
		a.err = fmt.Errorf("argument %d is %s, want %s", a.at-1, brief(v), want)
	}
}

// again reports whether the next argument is that number.
func (a *arguments) again(n int) bool {
	if a.at >= len(a.list) {
		return false
	}
	next, ok := whole(a.list[a.at])
	return ok && next == n
}

func (a *arguments) int(usual int) int {
	v, ok := a.next()
	if !ok {
		return usual
	}
	n, ok := whole(v)
	if !ok || n < 0 || n > 1<<16 {
		a.fail(v, "a whole number")
		return usual
	}
	return n
}

// done returns the first mistake; an argument that nothing has read is one.
func (a *arguments) done() error {
	if v, more := a.next(); more {
		a.fail(v, "nothing: this program reads no more of them here")
	}
	return a.err
}

// optional is a number that may be None; then it is -1.
func (a *arguments) optional() int {
	if a.at < len(a.list) {
		if v := a.list[a.at]; v == nil || v == "None" {
			a.at++
			return -1
		}
	}
	return a.int(-1)
}

func (a *arguments) float(usual float64) float64 {
	v, ok := a.next()
	if !ok {
		return usual
	}
	f, ok := float(v)
	if !ok || !(f > 0 && f <= 8) {
		a.fail(v, "a factor")
		return usual
	}
	return f
}

func (a *arguments) bool(usual bool) bool {
	v, ok := a.next()
	if !ok {
		return usual
	}
	if s, is := v.(string); is && (s == "False" || s == "True") { // Python's spelling
		return s == "True"
	}
	b, ok := v.(bool)
	if !ok {
		a.fail(v, "true or false")
	}
	return b
}

func (a *arguments) text(usual string) string {
	v, ok := a.next()
	if !ok {
		return usual
	}
	s, ok := v.(string)
	if !ok {
		a.fail(v, "a word")
	}
	return s
}

func (a *arguments) ints(usual ...int) []int {
	v, ok := a.next()
	if !ok {
		return usual
	}
	list, ok := v.([]any)
	if !ok || len(list) > 8 {
		a.fail(v, "a list of whole numbers")
		return usual
	}
	var out []int
	for _, e := range list {
		n, ok := whole(e)
		if !ok || n < 1 || n > 99 {
			a.fail(v, "a list of kernel sizes")
			return usual
		}
		out = append(out, n)
	}
	return out
}

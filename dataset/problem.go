package dataset

import (
	"errors"
	"fmt"
)

// A Kind is a sort of thing that is wrong with a data set.
type Kind string

const (
	// A picture is left out for these.
	Missing    Kind = "missing picture"
	Corrupt    Kind = "corrupt picture" // cannot be decoded, or ends too early
	Unfit      Kind = "picture too small"
	Malformed  Kind = "malformed label"
	WrongClass Kind = "class out of range"
	Outside    Kind = "box outside the picture"

	// A whole split is of no use for this.
	BadSplit Kind = "empty or missing split"

	// These are kept, and only noted.
	NoLabel      Kind = "picture without a label file"
	ZeroArea     Kind = "box without an area"
	DuplicateRow Kind = "label given twice"
	Stray        Kind = "label of no picture"
)

// A Problem is one thing that is wrong.
type Problem struct {
	Kind    Kind
	Split   string // train, val or test
	Picture string // path of the picture that it concerns; empty for a whole split
	Path    string // file that is to be looked at
	Line    int    // in Path, from 1; 0 where there are no lines
	Reason  string
}

// String is the path, the line and the reason, as compilers write them.
func (p Problem) String() string {
	switch {
	case p.Path == "":
		return p.Reason
	case p.Line == 0:
		return p.Path + ": " + p.Reason
	}
	return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Reason)
}

// Skipped returns the number of pictures that were left out.
func (d *Data) Skipped() int {
	seen := make(map[[2]string]bool)
	for _, p := range d.Problems {
		if p.Picture != "" {
			seen[[2]string{p.Split, p.Picture}] = true
		}
	}
	return len(seen)
}

// A kindError is an error of a label that is more than malformed text.
type kindError struct {
	kind Kind
	text string
}

func (e *kindError) Error() string { return e.text }

func kindOf(err error) Kind {
	if e, ok := errors.AsType[*kindError](err); ok {
		return e.kind
	}
	return Malformed
}

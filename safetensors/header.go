package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// Limits of a header. The first is the format's own; YOLOv5x has about 500 tensors.
const (
	maxHeader = 100_000_000
	maxKeys   = 200_000 // of one object: tensors, metadata
	maxRank   = 16
)

// An entry is what the header says of one tensor.
type entry struct {
	name       string
	dtype      string
	shape      []int
	begin, end int64 // bytes from where the tensors begin
	at         int64 // where in the file the entry stands
}

// A scanner reads a header token by token. It accepts the format's shape and nothing
// else, so nesting is bounded by it, and no key may come twice.
type scanner struct {
	*json.Decoder
	meta    map[string]string // nil until __metadata__ has been read
	entries []entry
}

// parseHeader reads the JSON of a header, which begins at byte 8 of the file.
func parseHeader(text []byte) (map[string]string, []entry, error) {
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, &FormatError{8, "the header does not begin with {"}
	}
	if !utf8.Valid(text) {
		return nil, nil, &FormatError{8, "the header is not UTF-8"}
	}
	s := scanner{Decoder: json.NewDecoder(bytes.NewReader(text))}
	s.UseNumber()
	err := s.header()
	if err == nil {
		if _, end := s.Token(); end != io.EOF {
			err = errors.New("the header goes on behind its last brace")
		}
	}
	if err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the header ends early")
		}
		return nil, nil, &FormatError{8 + s.InputOffset(), err.Error()}
	}
	return s.meta, s.entries, nil
}

func (s *scanner) header() error {
	return s.object(func(key string) error {
		if key == metadataKey {
			return s.metadata()
		}
		e := entry{name: key, at: 8 + s.InputOffset()}
		if err := s.entry(&e); err != nil {
			return fmt.Errorf("tensor %.200q: %w", key, err)
		}
		s.entries = append(s.entries, e)
		return nil
	})
}

func (s *scanner) metadata() error {
	s.meta = map[string]string{}
	return s.object(func(key string) error {
		v, err := s.string()
		if err != nil {
			return fmt.Errorf("metadata %.200q: %w", key, err)
		}
		s.meta[key] = v
		return nil
	})
}

func (s *scanner) entry(e *entry) error {
	fields := 0
	err := s.object(func(key string) (err error) {
		fields++
		switch key {
		case "dtype":
			e.dtype, err = s.string()
		case "shape":
			var dims []int64
			dims, err = s.numbers(maxRank)
			e.shape = make([]int, len(dims))
			for i, d := range dims {
				e.shape[i] = int(d)
				if int64(e.shape[i]) != d { // 32-bit machines
					return fmt.Errorf("dimension %d is too large", d)
				}
			}
		case "data_offsets":
			var o []int64
			if o, err = s.numbers(2); err == nil && len(o) != 2 {
				err = fmt.Errorf("data_offsets has %d numbers, want 2", len(o))
			}
			if err == nil {
				e.begin, e.end = o[0], o[1]
			}
		default:
			err = fmt.Errorf("unknown field %.200q", key)
		}
		return err
	})
	if err == nil && fields != 3 {
		err = errors.New("want the fields dtype, shape and data_offsets")
	}
	return err
}

// object reads {"key": value, …} and calls value to read each value.
func (s *scanner) object(value func(key string) error) error {
	if err := s.delim('{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for s.More() {
		key, err := s.string()
		if err != nil {
			return err
		}
		if seen[key] {
			return fmt.Errorf("%.200q comes twice", key)
		}
		if len(seen) == maxKeys {
			return fmt.Errorf("more than %d keys", maxKeys)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return s.delim('}')
}

// numbers reads an array of whole numbers, at most that many.
func (s *scanner) numbers(most int) ([]int64, error) {
	if err := s.delim('['); err != nil {
		return nil, err
	}
	var all []int64
	for s.More() {
		t, err := s.Token()
		if err != nil {
			return nil, err
		}
		n, ok := t.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%.50v, want a number", t)
		}
		v, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%.50s, want a whole number from 0 to 2^63-1", n)
		}
		if len(all) == most {
			return nil, fmt.Errorf("more than %d numbers", most)
		}
		all = append(all, v)
	}
	return all, s.delim(']')
}

func (s *scanner) string() (string, error) {
	t, err := s.Token()
	if err != nil {
		return "", err
	}
	v, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("%.50v, want a string", t)
	}
	return v, nil
}

func (s *scanner) delim(want json.Delim) error {
	t, err := s.Token()
	if err != nil {
		return err
	}
	if t != want {
		return fmt.Errorf("%.50v, want %v", t, want)
	}
	return nil
}

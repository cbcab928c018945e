package report

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Events is a file that TensorBoard reads. It is for one goroutine.
//
// The file is a row of records, each a length of 8 bytes, a checksum of that in 4, the data
// and its checksum in 4, little-endian. The data is a protobuf message, Event:
// wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5, of
// which each value = 1 has a tag = 1 and a simple_value = 2 (float).
type Events struct {
	f    *os.File
	size int64 // of the whole records
}

// A Scalar is one number of an epoch: "train/box_loss".
type Scalar struct {
	Tag   string
	Value float64
}

// CreateEvents makes a new file in a folder, beside those that are there: TensorBoard
// joins them, so a run that goes on begins another one.
func CreateEvents(dir string) (*Events, error) {
	host, err := os.Hostname()
	if err != nil || host != filepath.Base(host) {
		host = "localhost"
	}
	now := time.Now()
	for i := range 1000 {
		name := fmt.Sprintf("events.out.tfevents.%010d.%s", now.Unix(), host)
		if i > 0 {
			name += fmt.Sprintf(".%d", i)
		}
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		e := &Events{f: f}
		if err := e.write(protowire.AppendString(event(now, 0, 3), "brain.Event:2")); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return e, nil
	}
	return nil, fmt.Errorf("%s: more than a thousand event files in a second", dir)
}

// Add writes the numbers of a step, an epoch here. After an error the file is as it was
// before, so that the next step can be tried.
func (e *Events) Add(step int, scalars []Scalar) error {
	var summary []byte
	for _, s := range scalars {
		var v []byte
		v = protowire.AppendString(protowire.AppendTag(v, 1, protowire.BytesType), s.Tag)
		v = protowire.AppendFixed32(protowire.AppendTag(v, 2, protowire.Fixed32Type), math.Float32bits(float32(s.Value)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, 1, protowire.BytesType), v)
	}
	return e.write(protowire.AppendBytes(event(time.Now(), step, 5), summary))
}

// event begins an Event, up to the tag of its last field, which is of bytes.
func event(at time.Time, step int, field protowire.Number) []byte {
	b := protowire.AppendTag(nil, 1, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(float64(at.UnixMicro())/1e6))
	if step != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(step))
	}
	return protowire.AppendTag(b, field, protowire.BytesType)
}

func (e *Events) write(data []byte) error {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = binary.LittleEndian.AppendUint32(b, masked(b))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, masked(data))
	if _, err := e.f.WriteAt(b, e.size); err != nil {
		return errors.Join(err, e.f.Truncate(e.size))
	}
	e.size += int64(len(b))
	return nil
}

// Close ends the file.
func (e *Events) Close() error { return e.f.Close() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the checksum, turned and shifted as TensorFlow does it.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

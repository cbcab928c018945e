package report

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// crc is CRC32C bit by bit, and then the mask.
func crc(b []byte) uint32 {
	c := ^uint32(0)
	for _, v := range b {
		c ^= uint32(v)
		for range 8 {
			c = c>>1 ^ 0x82f63b78&-(c&1)
		}
	}
	c = ^c
	return (c>>15 | c<<17) + 0xa282ead8
}

// fields splits a protobuf message whose numbers and lengths are all below 128.
func fields(t *testing.T, b []byte) (text []string) {
	t.Helper()
	for len(b) > 0 {
		number, kind := b[0]>>3, b[0]&7
		switch b = b[1:]; kind {
		case 0:
			text, b = append(text, fmt.Sprintf("%d:%d", number, b[0])), b[1:]
		case 1:
			text, b = append(text, fmt.Sprintf("%d:double", number)), b[8:]
		case 5:
			v := math.Float32frombits(binary.LittleEndian.Uint32(b))
			text, b = append(text, fmt.Sprintf("%d:%v", number, v)), b[4:]
		case 2:
			n := int(b[0])
			text, b = append(text, fmt.Sprintf("%d:%s", number, b[1:1+n])), b[1+n:]
		default:
			t.Fatalf("field %d of kind %d", number, kind)
		}
	}
	return text
}

// records splits an event file and checks its sums.
func records(t *testing.T, path string) (all [][]byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := binary.LittleEndian.Uint64(b)
		data := b[12 : 12+n]
		if binary.LittleEndian.Uint32(b[8:]) != crc(b[:8]) || binary.LittleEndian.Uint32(b[12+n:]) != crc(data) {
			t.Fatalf("record %d: wrong checksum", len(all))
		}
		all, b = append(all, data), b[16+n:]
	}
	return all
}

func TestEvents(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // twice in a second, as after a resume
		e, err := CreateEvents(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Add(0, []Scalar{{"x/lr0", 0.5}}); err != nil {
			t.Fatal(err)
		}
		if err := e.Add(7, []Scalar{{"train/box_loss", 1.5}, {"metrics/mAP_0.5", 0.25}}); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "events.out.tfevents.*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range files {
		r := records(t, f)
		if len(r) != 3 {
			t.Fatalf("%d records", len(r))
		}
		for i, want := range [][]string{
			{"1:double", "3:brain.Event:2"},
			{"1:double", "5:\n\x0c\n\x05x/lr0\x15\x00\x00\x00?"},
			{"1:double", "2:7", "5:" + "\n\x15\n\x0etrain/box_loss\x15\x00\x00\xc0?" + "\n\x16\n\x0fmetrics/mAP_0.5\x15\x00\x00\x80>"},
		} {
			if got := fields(t, r[i]); !slices.Equal(got, want) {
				t.Errorf("record %d is %q, want %q", i, got, want)
			}
		}
		value := fields(t, []byte(strings.TrimPrefix(fields(t, r[1])[1], "5:")))
		if want := "1:\n\x05x/lr0\x15\x00\x00\x00?"; value[0] != want {
			t.Errorf("the value is %q, want %q", value, want)
		}
	}
}

// Known sums of CRC32C, from RFC 3720.
func TestMasked(t *testing.T) {
	for text, want := range map[string]uint32{
		strings.Repeat("\x00", 32): 0x8a9136aa,
		strings.Repeat("\xff", 32): 0x62a8ab43,
	} {
		if got := masked([]byte(text)); got != (want>>15|want<<17)+0xa282ead8 {
			t.Errorf("%q: %08x", text, got)
		}
	}
}

package ultrafast

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ultrafast/safetensors"
	"ultrafast/yolo"
)

// TestLoadTellsFormatsApart goes through lengths of a header until its first byte is that
// of a pickle, which it must not be taken for.
func TestLoadTellsFormatsApart(t *testing.T) {
	cfg, err := yolo.Standard("yolov5n")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Width = 0.02
	g, err := yolo.New(cfg, []string{"a"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model")
	for n := 0; ; n += 8 { // a header's length is a multiple of 8
		f := &safetensors.File{Graph: g, Meta: map[string]string{"padding": fmt.Sprintf("%0*d", n, 0)}}
		var b bytes.Buffer
		if err := safetensors.Write(&b, f); err != nil {
			t.Fatal(err)
		}
		if b.Bytes()[0] != 0x80 {
			continue
		}
		if err := safetensors.Save(path, f); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err != nil {
			t.Errorf("a header of %d bytes: %v", b.Bytes()[0], err)
		}
		return
	}
}

func TestLoadKnowsWhatIsTooShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model")
	for _, text := range []string{"", "P", "PK", "\x80", "\x08\x07\x12\x00", "0123456789abcde"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.HasSuffix(err.Error(), fmt.Sprintf("has %d bytes: not a model", len(text))) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestLoadKnowsText is of descriptions and data.yaml, whose first letters may be a protobuf's.
func TestLoadKnowsText(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model")
	for _, text := range []string{"path: ../data/mask\n", "nc: 2\r\nbackbone: []\n", "\tnames: [face, mask]\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), "is no model") && !strings.Contains(err.Error(), "is text") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

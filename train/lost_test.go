package train

import (
	"log/slog"
	"os"
	"strings"
	"testing"
)

// TestPicturesAreLost: a picture of each split that goes while a run is at work is named
// and left out; a second one of eight ends the run.
func TestPicturesAreLost(t *testing.T) {
	data, log := tinyData(t), &strings.Builder{}
	c := tinyConfig(t.TempDir())
	c.CacheBytes = -8 // none of either split
	c.Log = slog.New(slog.NewTextHandler(log, nil))
	c.Progress = func(p Progress) {
		if p.Validated == nil {
			return
		}
		switch p.Epoch {
		case 1:
			for _, path := range []string{data.Train[2].Path, data.Val[1].Path} {
				if err := os.Remove(path); err != nil {
					t.Error(err)
				}
			}
		case 3:
			if p.Validated.Report.Pictures != 2 {
				t.Errorf("%d pictures are measured, want 2 of 3", p.Validated.Report.Pictures)
			}
			if err := os.Truncate(data.Train[5].Path, 30); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := Run(t.Context(), Drift(), tinyNet(), data, c)
	if err == nil || !strings.Contains(err.Error(), "stopped in epoch 4 of 5") || !strings.Contains(err.Error(), "more than 1 pictures can no longer be read") ||
		!strings.Contains(err.Error(), data.Train[5].Path) {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{`of=training "so far"=1 error="open ` + data.Train[2].Path, `of=validation "so far"=1 error="open ` + data.Val[1].Path} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log has not once %s:\n%s", want, log)
		}
	}
}

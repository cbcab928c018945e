package train

import (
	"context"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/tensor"
)

// silent predicts value everywhere.
func silent(value float32) func(g *graph.Graph) (Predict, error) {
	return func(*graph.Graph) (Predict, error) {
		return func(x *tensor.Tensor) ([]*tensor.Tensor, error) {
			m := tensor.New(x.Shape[0], 14, x.Shape[2]/8, x.Shape[3]/8)
			for i := range m.Data {
				m.Data[i] = value
			}
			return []*tensor.Tensor{m}, nil
		}, nil
	}
}

func TestJudge(t *testing.T) {
	data, pictures := tinyData(t), 0
	var lost []string
	be := counting{Drift(), &pictures}
	o := JudgeOptions{Size: 64, Statistics: 5, Pictures: 2, Predictor: silent(0)}
	j, err := NewJudge(t.Context(), be, data.Train, data.Val, o)
	if err != nil {
		t.Fatal(err)
	}
	first, err := j.Judge(t.Context(), tinyNet())
	if err != nil || j.Pictures() != 2 || pictures != 5 || !(first.Loss.Box > 0) {
		t.Errorf("%v; %d statistics, %d validation pictures, loss %+v", err, pictures, j.Pictures(), first.Loss)
	}
	again, err := j.Judge(t.Context(), tinyNet())
	if err != nil || pictures != 10 || again.Loss.Box != first.Loss.Box || again.Report.MAP5095 != first.Report.MAP5095 {
		t.Errorf("a second time: %v, %d pictures, %+v, want %+v", err, pictures, again.Loss, first.Loss)
	}

	// A picture of each split that goes before it is read is left out.
	data = tinyData(t)
	for _, path := range []string{data.Train[0].Path, data.Val[0].Path} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := NewJudge(t.Context(), be, data.Train, data.Val, o); err == nil {
		t.Error("a lost picture that nobody is told of is no error")
	}
	o.Lost = func(err error, n int) { lost = append(lost, err.Error()) }
	if j, err = NewJudge(t.Context(), be, data.Train, data.Val, o); err != nil {
		t.Fatal(err)
	}
	left, err := j.Judge(t.Context(), tinyNet())
	if err != nil || left.Report.Pictures != 1 || len(lost) != 2 || !strings.Contains(lost[0], data.Train[0].Path) || !strings.Contains(lost[1], data.Val[0].Path) {
		t.Errorf("%v: %d pictures are measured, want 1 of 2; lost %q", err, left.Report.Pictures, lost)
	}
	data = tinyData(t)

	headless := &graph.Graph{}
	headless.Outputs = append(headless.Outputs, headless.Add("images", &graph.Input{Shape: [4]int{1, 3, 64, 64}}))
	if _, err := j.Validate(t.Context(), headless); err == nil || !strings.Contains(err.Error(), "no detection head") {
		t.Errorf("without a head: %v", err)
	}
	o.Predictor = silent(float32(math.NaN()))
	if j, err = NewJudge(t.Context(), be, data.Train, data.Val, o); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Validate(t.Context(), tinyNet()); err == nil || !strings.Contains(err.Error(), "not finite") {
		t.Errorf("NaN: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Judge(ctx, tinyNet()); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if _, err := NewJudge(ctx, be, data.Train, data.Val, o); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped while reading: %v", err)
	}
}

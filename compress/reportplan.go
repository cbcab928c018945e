package compress

import (
	"fmt"
	"os"
	"path/filepath"

	"ultrafast/graph"
	"ultrafast/prune"
	"ultrafast/report"
)

// widths compares the channels of the parent's groups with what the rounds left of them.
func (r *run) widths(found *Result) ([]report.PlanRow, error) {
	var graphs [2]*graph.Graph
	for i, file := range []string{"parent.safetensors", found.End.File} {
		var err error
		if graphs[i], err = r.open(file); err != nil {
			return nil, err
		}
	}
	groups, err := prune.Groups(graphs[0])
	if err != nil {
		return nil, err
	}
	left, err := prune.Groups(graphs[1])
	if err != nil {
		return nil, err
	}
	to := map[string]int{}
	for _, g := range left {
		to[g.Name] = g.Width()
	}
	saved, cost, err := r.planned(found)
	if err != nil {
		return nil, err
	}
	var rows []report.PlanRow
	for _, g := range groups {
		rows = append(rows, report.PlanRow{Group: g.Name, From: g.Width(), To: to[g.Name], Saved: sumOf(saved[g.Name]), Cost: sumOf(cost[g.Name])})
	}
	return rows, nil
}

// planned is what the plans of the rounds that were kept say of each group: the milliseconds
// that its cut saves and the mAP50-95 that it costs.
func (r *run) planned(found *Result) (saved, cost map[string][]float64, err error) {
	saved, cost = map[string][]float64{}, map[string][]float64{}
	for _, v := range found.Rounds {
		if !v.Kept {
			continue
		}
		path := r.path(filepath.Join(v.Folder, "plan.yaml"))
		text, err := os.Open(path)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		f, err := prune.ReadFile(text)
		text.Close()
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, g := range f.Groups {
			if g.Saves.Ms != 0 {
				saved[g.Group] = append(saved[g.Group], g.Saves.Ms)
			}
			if g.MAP != 0 {
				cost[g.Group] = append(cost[g.Group], -g.MAP)
			}
		}
	}
	return saved, cost, nil
}

// sumOf is not known without numbers.
func sumOf(values []float64) report.Number {
	if len(values) == 0 {
		return report.Unknown()
	}
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return report.Number(sum)
}

// curves are the trainings, in order.
func (r *run) curves(found *Result) ([]report.LearningCurve, error) {
	trainings := [][2]string{{"baseline", "baseline"}}
	for _, v := range found.Rounds {
		trainings = append(trainings, [2]string{v.Name() + preparing, filepath.Join(v.Folder, "regularisation")}, [2]string{v.Name(), filepath.Join(v.Folder, "training")},
			[2]string{v.Name() + longer, filepath.Join(v.Folder, "training-on")})
	}
	for back := range found.Rounds { // those that lost too much
		name, folder := finalTraining(back)
		if folder == found.End.Folder {
			break
		}
		trainings = append(trainings, [2]string{name + ", given up", folder})
	}
	trainings = append(trainings, [2]string{contestants[0].name, found.End.Folder})
	if m := found.Scratch; m != nil && m.Accuracy != nil { // else it diverged, perhaps
		trainings = append(trainings, [2]string{contestants[1].name, "scratch"})
	}
	if m := found.Thin; m != nil && m.Accuracy != nil {
		trainings = append(trainings, [2]string{contestants[2].name, "thin"})
	}
	trainings = append(trainings, [2]string{int8Training, int8Folder})
	var all []report.LearningCurve
	for _, t := range trainings {
		c, err := readCurve(t[0], r.path(filepath.Join(t[1], "results.csv")))
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func readCurve(name, path string) (report.LearningCurve, error) {
	c := report.LearningCurve{Name: name}
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	t, err := report.ReadRun(name, f)
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	for _, column := range []struct {
		name string
		to   *[]report.Number
	}{{"metrics/mAP_0.5", &c.MAP50}, {"metrics/mAP_0.5:0.95", &c.MAP5095}} {
		for _, v := range t.Columns[column.name] {
			*column.to = append(*column.to, report.Number(v))
		}
	}
	return c, nil
}

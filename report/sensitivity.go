package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"ultrafast/prune"
)

//go:embed page/sensitivity.html
var sensitivityText string

var sensitivityPage = template.Must(template.New("sensitivity").Parse(sensitivityText))

// Sensitivity writes a pruning table as one HTML page that needs nothing else: a heat map of
// groups and ratios, and a curve for each group. model is what it calls the network.
func Sensitivity(w io.Writer, model string, t *prune.Table) error {
	p := tablePage{Model: model, Table: t}
	for _, r := range prune.Ratios {
		p.Ratios = append(p.Ratios, fmt.Sprintf("%.0f %%", 100*r))
	}
	at := map[string]int{}
	for _, r := range t.Rows {
		i, ok := at[r.Group]
		if !ok {
			i = len(p.Groups)
			at[r.Group] = i
			p.Groups = append(p.Groups, tableGroup{Name: r.Group, Order: i, Width: r.From, Block: r.Ratio == 1, Cells: make([]tableCell, len(prune.Ratios))})
		}
		g := &p.Groups[i]
		k := slices.IndexFunc(prune.Ratios, func(v float64) bool { return math.Abs(v-r.Ratio) < 1e-9 })
		if k < 0 {
			k = len(prune.Ratios) - 1
		}
		loss := 0.0
		if t.Base.MAP > 0 {
			loss = max(0, min(1, -r.Change.MAP/t.Base.MAP))
		}
		g.Cells[k] = tableCell{Known: true, Row: r, Text: fmt.Sprintf("%.1f", math.Round(1000*r.Change.MAP)/10+0), Loss: loss,
			Colour: template.CSS(fmt.Sprintf("--heat:%.0f%%", 100*math.Sqrt(loss)))}
		if g.Worst = max(g.Worst, loss); r.Ratio == 1 || r.Ratio == 0.5 {
			g.Half = loss
		}
		g.Params = max(g.Params, -r.Params)
	}
	for i := range p.Groups {
		g := &p.Groups[i]
		g.HalfText = fmt.Sprintf("%.0f %%", 100*g.Half)
		g.Curve = spark(g.Cells, func(r prune.Row) float64 { return r.Change.MAP }, t.Base.MAP)
		g.Losses = []template.HTML{
			spark(g.Cells, func(r prune.Row) float64 { return -r.Change.Box }, t.Base.Box),
			spark(g.Cells, func(r prune.Row) float64 { return -r.Change.Obj }, t.Base.Obj),
			spark(g.Cells, func(r prune.Row) float64 { return -r.Change.Cls }, t.Base.Cls),
		}
	}
	return sensitivityPage.Execute(w, p)
}

type tablePage struct {
	Model  string
	Table  *prune.Table
	Ratios []string
	Groups []tableGroup
}

type tableGroup struct {
	Name     string
	Order    int
	Width    int
	Block    bool
	Cells    []tableCell
	Half     float64 // share of mAP that is lost with half of it, or all of a block
	HalfText string
	Worst    float64
	Params   int
	Curve    template.HTML
	Losses   []template.HTML // box, objectness, class
}

type tableCell struct {
	Known  bool
	Row    prune.Row
	Text   string
	Loss   float64
	Colour template.CSS
}

// Tip is what a cell tells when it is pointed at.
func (c tableCell) Tip() string {
	r := c.Row
	s := fmt.Sprintf("%d of %d stay: mAP50-95 %+.4f; loss of boxes %+.4f, objectness %+.4f, classes %+.4f; %d parameters, %.3f GFLOP",
		r.To, r.From, r.Change.MAP, r.Change.Box, r.Change.Obj, r.Change.Cls, r.Params, r.GFLOP)
	if r.Ms != 0 {
		s += fmt.Sprintf(", %.3f ms", r.Ms)
	}
	return s
}

// spark draws values, a change each, from 0 at the top to minus all at the bottom.
func spark(cells []tableCell, value func(prune.Row) float64, all float64) template.HTML {
	const w, h = 150.0, 44.0
	points := []string{"2,2"}
	for k, c := range cells {
		if !c.Known {
			continue
		}
		share := 0.0
		if all > 0 {
			share = max(0, min(1, -value(c.Row)/all))
		}
		points = append(points, fmt.Sprintf("%.1f,%.1f", 2+(w-4)*float64(k+1)/float64(len(cells)+1), 2+(h-4)*share))
	}
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" aria-hidden="true"><line x1="2" y1="2" x2="%.0f" y2="2"/><polyline points="%s"/></svg>`,
		w, h, w, h, w-2, strings.Join(points, " ")))
}

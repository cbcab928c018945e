package prune

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"ultrafast/graph"
)

// A Table says what was measured of cuts of a network: for each group and ratio, for each
// block, and for all groups at once, how accuracy and losses changed.
type Table struct {
	Model     string // the network's Fingerprint
	Size      int    // side of the network's input
	Pictures  int    // for validation that it was measured on
	Score     Score  // by which channels left
	Data      string // a hash of the data set, without spaces; with Precision, empty where a table does not say
	Precision string // that networks were judged in, as "bf16"
	Width     int    // with Height, of the input that milliseconds are for; 0 where it is Size on both sides
	Height    int
	Base      Worth // of the uncut network
	Cost      Cost  // of the uncut network
	Rows      []Row
}

// A Worth is how good a network is on some pictures: mAP50-95 and the mean losses.
type Worth struct{ MAP, Box, Obj, Cls float64 }

func (w Worth) minus(b Worth) Worth {
	return Worth{w.MAP - b.MAP, w.Box - b.Box, w.Obj - b.Obj, w.Cls - b.Cls}
}

// AllGroups is the Group of a row in which every group loses the same ratio.
const AllGroups = "all groups"

// A Row is one cut: Ratio of a group's channels, which leaves To of From; with Ratio 1 a
// block, of one that is there and none that stays. Changes are those from the uncut network,
// Ms 0 where milliseconds are not known.
type Row struct {
	Group    string
	Ratio    float64
	From, To int
	Change   Worth
	Params   int
	GFLOP    float64
	Ms       float64
}

// timed is the input that milliseconds are for.
func (t *Table) timed() (w, h int) {
	if t.Width > 0 {
		return t.Width, t.Height
	}
	return t.Size, t.Size
}

// check refuses a table of another network, and says what differs.
func (t *Table) check(g *graph.Graph) error {
	if t.Model == g.Fingerprint() {
		return nil
	}
	groups, err := Groups(g)
	if err != nil {
		return err
	}
	for _, r := range t.Rows {
		if r.Ratio < 1 && r.Group != AllGroups {
			at := slices.IndexFunc(groups, func(g *Group) bool { return g.Name == r.Group })
			if at < 0 {
				return fmt.Errorf("prune: the table was made for another network: this one has no group %s", r.Group)
			}
			if w := groups[at].Width(); w != r.From {
				return fmt.Errorf("prune: the table was made for another network: group %s has %d channels there and %d here", r.Group, r.From, w)
			}
		}
	}
	return errors.New("prune: the table was made for another network: groups are alike, other weights or layers are not; measure this one")
}

const tableHead = "# ultrafast sensitivity 1"

// tableOf, tableOn and tableMs are a table's second line; the latter two need not be there.
const (
	tableOf = "# model=%s img=%d pictures=%d score=%s"
	tableOn = " data=%s precision=%s"
	tableMs = " ms_at=%dx%d"
)

var tableColumns = []string{"group", "ratio", "from", "to", "map50_95", "box_loss", "obj_loss", "cls_loss", "parameters", "gflop", "ms"}

// WriteTo writes the table as CSV, behind lines with # that say of what it is.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	fmt.Fprintf(&b, tableHead+"\n"+tableOf, t.Model, t.Size, t.Pictures, t.Score)
	if t.Data != "" {
		fmt.Fprintf(&b, tableOn, t.Data, t.Precision)
	}
	if t.Width > 0 {
		fmt.Fprintf(&b, tableMs, t.Width, t.Height)
	}
	fmt.Fprintf(&b, "\n# uncut: map50_95=%v box_loss=%v obj_loss=%v cls_loss=%v parameters=%d bytes=%d gflop=%v ms=%v\n",
		t.Base.MAP, t.Base.Box, t.Base.Obj, t.Base.Cls, t.Cost.Params, t.Cost.Bytes, t.Cost.GFLOP, t.Cost.Ms)
	c := csv.NewWriter(&b)
	c.Write(tableColumns)
	for _, r := range t.Rows {
		f := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
		c.Write([]string{r.Group, f(r.Ratio), strconv.Itoa(r.From), strconv.Itoa(r.To), f(r.Change.MAP), f(r.Change.Box), f(r.Change.Obj), f(r.Change.Cls),
			strconv.Itoa(r.Params), f(r.GFLOP), f(r.Ms)})
	}
	c.Flush()
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// maxTable bounds a table.
const maxTable = 16 << 20

// ReadTable reads what WriteTo has written. Errors name the line.
func ReadTable(r io.Reader) (*Table, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTable+1))
	if err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	if len(text) > maxTable {
		return nil, fmt.Errorf("table: more than %d bytes", maxTable)
	}
	in := bufio.NewReader(bytes.NewReader(text))
	t := &Table{}
	var score string
	for i, format := range []struct {
		line string
		to   []any
	}{
		{tableHead, nil},
		{tableOf, []any{&t.Model, &t.Size, &t.Pictures, &score}},
		{"# uncut: map50_95=%g box_loss=%g obj_loss=%g cls_loss=%g parameters=%d bytes=%d gflop=%g ms=%g",
			[]any{&t.Base.MAP, &t.Base.Box, &t.Base.Obj, &t.Base.Cls, &t.Cost.Params, &t.Cost.Bytes, &t.Cost.GFLOP, &t.Cost.Ms}},
	} {
		line, err := in.ReadString('\n')
		if format.line == tableOf && strings.Contains(line, " data=") {
			format.line += tableOn
			format.to = append(format.to, &t.Data, &t.Precision)
		}
		if strings.HasPrefix(format.line, tableOf) && strings.Contains(line, " ms_at=") {
			format.line += tableMs
			format.to = append(format.to, &t.Width, &t.Height)
		}
		if err == nil {
			_, err = fmt.Sscanf(strings.TrimRight(line, "\r\n"), format.line, format.to...)
		}
		if err != nil {
			return nil, fmt.Errorf("table line %d: want %q as ultrafast sensitivity writes it", i+1, format.line)
		}
	}
	t.Score = Score(score)
	if t.Size < 1 || t.Size > 1<<14 || t.Width < 0 || t.Width > 1<<14 || t.Height < 0 || t.Height > 1<<14 || (t.Width > 0) != (t.Height > 0) || t.Pictures < 1 || !finite(t.Base.MAP, t.Base.Box, t.Base.Obj, t.Base.Cls, t.Cost.GFLOP, t.Cost.Ms) || t.Cost.Params < 1 {
		return nil, errors.New("table: the numbers of the uncut network are none that a network has")
	}
	c := csv.NewReader(io.MultiReader(strings.NewReader("\n\n\n"), in)) // so that it counts the lines before
	c.FieldsPerRecord = len(tableColumns)
	type cut struct {
		group string
		ratio float64
	}
	seen := map[cut]int{} // lines
	for first := true; ; first = false {
		cells, err := c.Read()
		if err == io.EOF {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("table: %w", err)
		}
		line, _ := c.FieldPos(0)
		if first {
			if !slices.Equal(cells, tableColumns) {
				return nil, fmt.Errorf("table line %d: columns are %v, want %v", line, cells, tableColumns)
			}
			continue
		}
		row := Row{Group: cells[0]}
		for i, to := range []any{&row.Ratio, &row.From, &row.To, &row.Change.MAP, &row.Change.Box, &row.Change.Obj, &row.Change.Cls, &row.Params, &row.GFLOP, &row.Ms} {
			switch to := to.(type) {
			case *int:
				*to, err = strconv.Atoi(cells[1+i])
			case *float64:
				*to, err = strconv.ParseFloat(cells[1+i], 64)
				if err == nil && !finite(*to) {
					err = errors.New("not finite")
				}
			}
			if err != nil {
				return nil, fmt.Errorf("table line %d: %s is %.40q, want a number", line, tableColumns[1+i], cells[1+i])
			}
		}
		if !(row.Ratio > 0 && row.Ratio <= 1) || row.From < 1 || row.To < 0 || row.To > row.From {
			return nil, fmt.Errorf("table line %d: ratio %v leaves %d of %d: not a cut", line, row.Ratio, row.To, row.From)
		}
		key := cut{row.Group, row.Ratio}
		if was := seen[key]; was > 0 {
			return nil, fmt.Errorf("table line %d: is the same cut as line %d", line, was)
		}
		seen[key] = line
		t.Rows = append(t.Rows, row)
	}
}

func finite(all ...float64) bool {
	for _, v := range all {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

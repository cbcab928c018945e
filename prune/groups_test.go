package prune_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"ultrafast/graph"
	"ultrafast/prune"
)

// small are networks with one difficulty each. Groups are "first convolution width: its
// convolutions", fixed "convolution channels: words of the reason".
var small = []struct {
	name, text    string
	groups, fixed []string
}{
	{
		name: "chain with batch norm and bias",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			an = batchnorm a c=8 eps=0.001 momentum=0.03
			aa = silu an
			b = conv aa w=f32[6,8,1,1] bias
			ba = leakyrelu b slope=0.1
			c = conv ba w=f32[4,6,3,3] pad=1
			output c`,
		groups: []string{"a 8: a", "b 6: b"},
		fixed:  []string{"c 4: output"},
	},
	{
		name: "two consumers",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			b = conv a w=f32[6,8,1,1]
			up = upsample a scale=2
			c = conv up w=f32[6,8,1,1]
			output b c`,
		groups: []string{"a 8: a"},
		fixed:  []string{"b 6: output", "c 6: output"},
	},
	{
		name: "chained shortcuts",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			b = conv a w=f32[8,8,3,3] pad=1
			s = add a b
			m = conv s w=f32[5,8,1,1]
			c = conv m w=f32[8,5,3,3] pad=1
			d = conv x w=f32[8,3,1,1]
			t = add c s d
			out = conv t w=f32[3,8,1,1]
			output out`,
		groups: []string{"a 8: a b c d", "m 5: m"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "shortcut onto the picture",
		text: `
			a = conv x w=f32[3,3,3,3] pad=1
			s = add x a
			b = conv s w=f32[7,3,1,1]
			out = conv b w=f32[3,7,1,1]
			output out`,
		groups: []string{"b 7: b"},
		fixed:  []string{"a 3: picture", "out 3: output"},
	},
	{
		name: "one channel under four names",
		text: `
			a = conv x w=f32[6,3,3,3] pad=1
			aa = silu a
			p = maxpool aa kernel=5 stride=1 pad=2
			q = maxpool p kernel=5 stride=1 pad=2
			cat = concat aa aa p q
			b = conv cat w=f32[5,24,1,1]
			out = conv b w=f32[3,5,1,1]
			output out`,
		groups: []string{"a 6: a", "b 5: b"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "batch norm behind a concat",
		text: `
			a = conv x w=f32[6,3,3,3] pad=1
			b = conv x w=f32[5,3,1,1]
			cat = concat a b
			n = batchnorm cat c=11 eps=0.001 momentum=0.03
			act = leakyrelu n slope=0.1
			out = conv act w=f32[3,11,1,1]
			output out`,
		groups: []string{"a 6: a", "b 5: b"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "slices of a concat",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			b = conv x w=f32[8,3,1,1]
			cat = concat a b
			lo = slice cat axis=1 start=2 end=11
			hi = slice cat axis=1 start=9
			c = conv lo w=f32[5,9,1,1]
			d = conv hi w=f32[5,7,1,1]
			s = add c d
			out = conv s w=f32[3,5,1,1]
			output out`,
		groups: []string{"a 8: a", "b 8: b", "c 5: c d"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "two halves of one convolution added",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			lo = slice a axis=1 start=0 end=4
			hi = slice a axis=1 start=4
			s = add lo hi
			out = conv s w=f32[3,4,1,1]
			output out`,
		groups: []string{"a 4: a"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "concat added to one convolution",
		text: `
			a = conv x w=f32[2,3,3,3] pad=1
			b = conv x w=f32[6,3,1,1]
			cat = concat a b
			c = conv x w=f32[8,3,1,1]
			s = add cat c
			out = conv s w=f32[3,8,1,1]
			output out`,
		groups: []string{"a 8: a b c"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "slice in steps",
		text: `
			a = conv x w=f32[9,3,3,3] pad=1
			odd = slice a axis=1 start=2 end=8 step=2
			b = conv odd w=f32[6,3,1,1]
			c = conv a w=f32[6,9,1,1]
			s = add b c
			out = conv s w=f32[3,6,1,1]
			output out`,
		groups: []string{"a 4: a", "b 6: b c"},
		fixed:  []string{"a 5: steps of 2", "out 3: output"},
	},
	{
		name: "depthwise",
		text: `
			a = conv x w=f32[6,3,3,3] pad=1
			an = batchnorm a c=6 eps=0.001 momentum=0.03
			dw = conv an w=f32[12,1,3,3] bias pad=1 groups=6
			dn = batchnorm dw c=12 eps=0.001 momentum=0.03
			act = relu6 dn
			out = conv act w=f32[3,12,1,1]
			output out`,
		groups: []string{"a 6: a dw"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "groups that are not depthwise",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			g = conv a w=f32[6,4,3,3] pad=1 groups=2
			b = conv g w=f32[5,6,1,1]
			out = conv b w=f32[3,5,1,1]
			output out`,
		groups: []string{"b 5: b"},
		fixed:  []string{"a 8: 2 groups", "g 6: 2 groups", "out 3: output"},
	},
	{
		name: "shortcut onto groups that are not depthwise",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			b = conv x w=f32[4,3,1,1]
			g = conv b w=f32[8,2,1,1] groups=2
			s = add a g
			out = conv s w=f32[3,8,1,1]
			output out`,
		fixed: []string{"a 8: 2 groups", "b 4: 2 groups", "g 8: 2 groups", "out 3: output"},
	},
	{
		name: "transposed",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			an = batchnorm a c=8 eps=0.001 momentum=0.03
			up = convtranspose an w=f32[8,6,2,2] bias stride=2
			un = batchnorm up c=6 eps=0.001 momentum=0.03
			ua = silu un
			b = conv ua w=f32[5,6,3,3] bias stride=2 pad=1
			cat = concat b a
			out = conv cat w=f32[3,13,1,1]
			output out`,
		groups: []string{"a 8: a", "up 6: up", "b 5: b"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "transposed onto a shortcut, and as an output",
		text: `
			a = conv x w=f32[6,3,4,4] stride=2 pad=1
			b = convtranspose a w=f32[6,8,4,4] stride=2 pad=1
			c = conv x w=f32[8,3,1,1]
			s = add b c
			out = convtranspose s w=f32[8,3,3,3] bias stride=2 pad=1 outpad=1
			output out`,
		groups: []string{"a 6: a", "b 8: b c"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "transposed and depthwise",
		text: `
			a = conv x w=f32[6,3,3,3] pad=1
			dw = convtranspose a w=f32[6,2,2,2] bias stride=2 groups=6
			dn = batchnorm dw c=12 eps=0.001 momentum=0.03
			out = conv dn w=f32[3,12,1,1]
			output out`,
		groups: []string{"a 6: a dw"},
		fixed:  []string{"out 3: output"},
	},
	{
		name: "transposed in groups",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			g = convtranspose a w=f32[8,3,2,2] stride=2 groups=2
			b = conv g w=f32[5,6,1,1]
			out = conv b w=f32[3,5,1,1]
			output out`,
		groups: []string{"b 5: b"},
		fixed:  []string{"a 8: 2 groups", "g 6: 2 groups", "out 3: output"},
	},
	{
		name: "sigmoid",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			gate = sigmoid a
			b = conv gate w=f32[5,8,1,1]
			bm = mish b
			out = conv bm w=f32[3,5,1,1]
			output out`,
		groups: []string{"b 5: b"},
		fixed:  []string{"a 8: goes through gate, and a sigmoid", "out 3: output"},
	},
	{
		name: "head behind a batch norm",
		text: `
			a = conv x w=f32[8,3,3,3] pad=1
			m0 = conv a w=f32[6,8,1,1] bias
			mn = batchnorm m0 c=6 eps=0.001 momentum=0.03
			m1 = conv a w=f32[12,8,1,1] bias stride=2
			d = detect mn m1 classes=1 strides=8,16 anchors=10,13;16,30,30,61
			output d`,
		groups: []string{"a 8: a"},
		fixed:  []string{"m0 6: head", "m1 12: head"},
	},
	{
		name: "focus",
		text: `
			r0 = slice x axis=2 start=0 end=0 step=2
			r1 = slice x axis=2 start=1 end=0 step=2
			c00 = slice r0 axis=3 start=0 end=0 step=2
			c10 = slice r1 axis=3 start=0 end=0 step=2
			c01 = slice r0 axis=3 start=1 end=0 step=2
			c11 = slice r1 axis=3 start=1 end=0 step=2
			f = concat c00 c10 c01 c11
			a = conv f w=f32[8,12,3,3] pad=1
			aa = hardswish a
			r = slice aa axis=2 start=0 end=0 step=2
			out = conv r w=f32[3,8,1,1]
			output out`,
		groups: []string{"a 8: a"},
		fixed:  []string{"out 3: output"},
	},
}

// parse reads one of the texts above, with a picture x of 8x8, and fills it.
func parse(t *testing.T, text string) *graph.Graph {
	t.Helper()
	g, err := graph.Parse("ultrafast graph 1\nx = input shape=1,3,8,8\n" + strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	fill(g, 1)
	return g
}

func TestGroups(t *testing.T) {
	for _, s := range small {
		t.Run(s.name, func(t *testing.T) {
			g := parse(t, s.text)
			groups, err := prune.Groups(g)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, gr := range groups {
				l := fmt.Sprintf("%s %d:", gr.Name, gr.Width())
				for _, c := range gr.Convs {
					l += " " + c.Name
				}
				got = append(got, l)
			}
			if !slices.Equal(got, s.groups) {
				t.Errorf("groups are %q, want %q", got, s.groups)
			}
			fixed, err := prune.Fixed(g)
			if err != nil {
				t.Fatal(err)
			}
			if len(fixed) != len(s.fixed) {
				t.Fatalf("fixed are %v, want %q", fixed, s.fixed)
			}
			for i, f := range fixed {
				what, why, _ := strings.Cut(s.fixed[i], ": ")
				if fmt.Sprintf("%s %d", f.Conv, f.Channels) != what || !strings.Contains(f.Why, why) {
					t.Errorf("fixed is %v, want %q", f, s.fixed[i])
				}
			}
			checkCover(t, g)
		})
	}
}

// checkCover checks that every index of every tensor axis that channels run along is in
// exactly one class, and every row of every convolution in one group or fixed.
func checkCover(t *testing.T, g *graph.Graph) {
	t.Helper()
	want := map[prune.Member]int{}
	rows := map[*graph.Node]int{}
	for _, n := range g.Nodes {
		switch op := n.Op.(type) {
		case *graph.Conv:
			rows[n] = op.Weight.Shape[0]
			if op.Groups == 1 {
				for i := range op.Weight.Shape[1] {
					want[prune.Member{Node: n, Tensor: op.Weight, Axis: 1, Index: i}]++
				}
			}
		case *graph.ConvTranspose:
			rows[n] = op.Outputs()
			if op.Groups == 1 {
				for i := range op.Outputs() {
					want[prune.Member{Node: n, Tensor: op.Weight, Axis: 1, Index: i}]++
				}
			}
		case *graph.BatchNorm:
		default:
			continue
		}
		for _, p := range (&graph.Graph{Nodes: []*graph.Node{n}}).Params() {
			for i := range p.Tensor().Shape[0] {
				want[prune.Member{Node: n, Tensor: p.Tensor(), Index: i}]++
			}
		}
	}
	classes, err := prune.Classes(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range classes {
		for _, m := range c {
			want[m]--
		}
	}
	for m, left := range want {
		if left != 0 {
			t.Errorf("%s: index %d of axis %d of %v is in %d classes, want 1", m.Node.Name, m.Index, m.Axis, m.Tensor, 1-left)
		}
	}

	groups, err := prune.Groups(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, gr := range groups {
		for _, c := range gr.Channels {
			for _, m := range c.Members {
				switch op := m.Node.Op.(type) {
				case *graph.Conv:
					if m.Tensor == op.Weight && m.Axis == 0 {
						rows[m.Node]--
					}
				case *graph.ConvTranspose:
					switch {
					case m.Tensor != op.Weight:
					case op.Groups == 1 && m.Axis == 1:
						rows[m.Node]--
					case op.Groups > 1:
						rows[m.Node] -= op.Weight.Shape[1]
					}
				}
			}
		}
	}
	fixed, err := prune.Fixed(g)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fixed {
		rows[g.Node(f.Conv)] -= f.Channels
	}
	for n, left := range rows {
		if left != 0 {
			t.Errorf("%s: %d of its channels are neither in a group nor fixed", n.Name, left)
		}
	}
}

func TestGroupsRefusesBrokenGraph(t *testing.T) {
	g := parse(t, small[0].text)
	g.Outputs = nil
	if _, err := prune.Groups(g); err == nil || !strings.Contains(err.Error(), "no outputs") {
		t.Errorf("error is %v, want Verify's", err)
	}
}

func TestQuantisedIsRefused(t *testing.T) {
	g := parse(t, "x.q = quantize x scale=0.01 zero=0\ny = conv x.q w=f32[4,3,1,1]\noutput y\n")
	want := "prune: x.q is quantised"
	if _, err := prune.Groups(g); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("groups of a quantised network: %v, want %q", err, want)
	}
	if _, err := (prune.Trim{}).Apply(g); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a quantised network is trimmed: %v, want %q", err, want)
	}
	if _, err := prune.New(g, prune.Target{Keep: 0.5}); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a plan for a quantised network: %v, want %q", err, want)
	}
}

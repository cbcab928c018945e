package graph

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// small uses every op and every attribute that the text form has.
const small = `ultrafast graph 1
names ["face","mask \"worn\" 中"]
block model.0 Focus
block model.1 C3
images = input shape=2,3,64,96
model.0.row0 = slice images axis=2 start=0 end=0 step=2
model.0.row1 = slice images axis=2 start=1 end=64 step=2
model.0.cat = concat model.0.row0 model.0.row1
model.0.conv = conv model.0.cat w=f32[8,3,3,5] bias stride=1,2 pad=1,2 dilation=1 groups=2
model.0.bn = batchnorm model.0.conv c=8 eps=0.001 momentum=0.03
model.0.act = leakyrelu model.0.bn slope=0.1
model.1.a = silu model.0.act
model.1.b = hardswish model.1.a
model.1.c = relu model.1.b
model.1.d = relu6 model.1.c
model.1.e = mish model.1.d
model.1.f = sigmoid model.1.e
model.1.add = add model.1.a model.1.f model.1.f
model.1.pool = maxpool model.1.add kernel=5 stride=1 pad=2
model.1.up = upsample model.1.pool scale=2
model.1.deconv = convtranspose model.1.up w=f32[8,2,4,3] bias stride=2,3 pad=1,2 outpad=0,2 dilation=1,2 groups=4
model.1.part = slice model.1.deconv axis=1 start=1 end=8 step=1
model.1.q = quantize model.1.part scale=0.0123 zero=7
model.1.head = conv model.1.q w=i8[14,7,1,1]
model.2 = detect model.1.head classes=2 strides=1 anchors=10,13,16.5,30
output model.2
`

func TestTextReadsAndPrintsBack(t *testing.T) {
	want := strings.Replace(small, " dilation=1", "", 1) // a default is not printed
	g, err := Parse(small)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.String(); got != want {
		t.Errorf("prints\n%s\nwant\n%s", got, want)
	}
	c := g.Clone()
	if c.String() != want || !reflect.DeepEqual(c.Names, g.Names) {
		t.Error("the clone prints differently")
	}
	c.Node("model.0.conv").Op.(*Conv).Weight.Shape[0] = 99
	c.Detect().Op.(*Detect).Anchors[0][0][0] = 99
	if g.String() != want {
		t.Error("changing the clone changed the original")
	}
	if n := g.ParamCount(); n != 8*3*3*5+8+8+8+8*2*4*3+8+14*7 {
		t.Errorf("counts %d parameters", n)
	}
	shapes, err := g.Shapes(1, 64, 96)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := g.Node("model.0.conv").MACs(shapes), int64(8*32*48*3*3*5); got != want {
		t.Errorf("counts %d MACs, want %d", got, want)
	}
	deconv := g.Node("model.1.deconv")
	if got, want := deconv.MACs(shapes), int64(8*64*96*2*4*3); got != want {
		t.Errorf("counts %d MACs of a transposed convolution, want %d", got, want)
	}
	if got, want := shapes[deconv], (Shape{1, 8, 63*2 - 2 + 3 + 1, 95*3 - 4 + 2*2 + 2 + 1}); !slices.Equal(got, want) {
		t.Errorf("a transposed convolution gives %v, want %v", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"ultrafast graph 1", "ultrafast graph 2", "line 1"},
		{"conv model.0.cat", "conv model.9.cat", "line 9: model.0.conv takes model.9.cat, which is not a node above"},
		{"w=f32[8,3,3,5]", "w=f32[8,4,3,5]", "model.0.conv (conv of [[2 6 32 96]])"},
		{"w=f32[8,3,3,5]", "w=f32[8,3,3,-5]", "whole number"},
		{"w=f32[8,3,3,5]", "w=f32[65536,65536,3,3]", "2^31"},
		{"w=f32[8,3,3,5]", "w=f16[8,3,3,5]", "want f32"},
		{"w=f32[8,3,3,5]", "w=f32[8,3,3,0]", "at least one channel"},
		{"w=f32[8,3,3,5]", "w=f32[8,3,15]", "4 dimensions"},
		{"c=8", "c=9", "9 channels, input has 8"},
		{"eps=0.001", "eps=NaN", "want a number"},
		{"stride=1,2", "stride=0", "out of range"},
		{"stride=1,2", "stride=1,2,3", "want 1 to 2"},
		{"groups=2", "groups=2 groups=2", "twice"},
		{"groups=2", "grops=2", "grops is unknown to conv"},
		{"w=f32[8,2,4,3]", "w=f32[7,2,4,3]", "model.1.deconv (convtranspose of [[2 8 64 96]]): weight [7 2 4 3] with 4 groups does not fit 8"},
		{"w=f32[8,2,4,3]", "w=f32[8,2,4]", "4 dimensions"},
		{"w=f32[8,2,4,3]", "w=f32[8]", "4 dimensions"},
		{"w=f32[8,2,4,3]", "w=f32[8,100000000,1,1]", "2^31"},
		{"outpad=0,2", "outpad=0,3", "outpad [0 3], dilation [1 2] are out of range"},
		{"outpad=0,2", "outpad=2,0", "outpad [2 0]"},
		{"pad=1,2 outpad", "pad=4097 outpad", "out of range"},
		{"pad=1,2 outpad", "pad=200 outpad", "nothing is left"},
		{"groups=4", "groups=0", "bias is f32[0]"},
		{"groups=4", "groups=3", "3 groups"},
		{"groups=4", "groups=2147483647", "2^31"},
		{"kernel=5", "kernel=500000", "out of range"},
		{"scale=2", "scale=0", "out of range"},
		{"start=1 end=8", "start=8 end=8", "empty"},
		{"axis=1", "axis=0", "axis 0"},
		{"scale=0.0123", "scale=0", "model.1.q (quantize of [[2 7"},
		{"scale=0.0123", "scale=-1", "scale -1, zero 7 are out of range"},
		{"scale=0.0123", "scale=1e37", "scale 1e+37"},
		{"scale=0.0123", "scale=1e39", "scale is \"1e39\", want a number"},
		{"scale=0.0123", "scale=NaN", "want a number"},
		{"scale=0.0123 ", "", "want a number"},
		{"zero=7", "zero=256", "zero 256"},
		{"zero=7", "zero=-1", "whole number"},
		{"w=i8[14,7,1,1]", "w=i8[14,8,1,1]", "model.1.head"},
		{"w=i8[14,7,1,1]", "w=i9[14,7,1,1]", "want f32"},
		{"w=f32[8,2,4,3]", "w=i8[8,2,4,3]", "want f32"},
		{"classes=2", "classes=3", "14 channels"},
		{"strides=1", "strides=1,2", "1 inputs"},
		{"13,16.5", "-13,16.5", "anchor of 10 x -13 pixels"},
		{"13,16.5", "13,NaN", "anchor of NaN x 30 pixels"},
		{"13,16.5", "13,x", "want a width or height"},
		{"momentum=0.03", "momentum=2", "momentum 2 are out of range"},
		{"eps=0.001", "eps=-1", "eps -1"},
		{"10,13,16.5,30", "10,13,16.5", "odd count"},
		{"model.1.e = mish", "model.1.d = mish", "defined twice"},
		{"model.1.a = silu model.0.act\n", "model.1.a = silu model.0.act\nbias = relu model.1.a\n", "word of the text form"},
		{"output model.2", "output model.3", "not a node above"},
		{"output model.2", "", "no outputs"},
		{"images = input shape=2,3,64,96", "images = input shape=2,3,64", "want 4 to 4"},
		{"add model.1.a model.1.f model.1.f", "add model.1.a images", "adds"},
		{"relu model.1.b", "tanh model.1.b", `unknown op "tanh"`},
		{`names ["face"`, `names ["face`, "line 2"},
	} {
		if _, err := Parse(strings.Replace(small, c.old, c.new, 1)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q: %v, want an error with %q", c.new, err, c.want)
		}
	}
}

func TestLayers(t *testing.T) {
	g, err := Parse(small)
	if err != nil {
		t.Fatal(err)
	}
	layers := g.Layers()
	if len(layers) != 3 || layers[1].Kind != "C3" || !reflect.DeepEqual(layers[1].From, []string{"model.0"}) || layers[2].Name != "model.2" {
		t.Errorf("layers are %+v", layers)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add("ultrafast graph 1\nx = input shape=1,3,8,8\noutput x\n")
	f.Add("ultrafast graph 1\nx = input shape=1,3,8,8\nq = quantize x scale=1e-45 zero=255\ny = conv q w=i8[2147483647,3,1,1] bias\noutput y\n")
	f.Add("ultrafast graph 1\nx = input shape=1,3,8,8\ny = convtranspose x w=f32[3,2147483647,2147483647,1] stride=4096 dilation=4096 outpad=4095 groups=3\noutput y\n")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := Parse(text)
		if err != nil {
			return
		}
		once := g.String()
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("does not read its own text: %v\n%s", err, once)
		}
		if twice := again.String(); twice != once {
			t.Fatalf("prints\n%s\nthen\n%s", once, twice)
		}
	})
}

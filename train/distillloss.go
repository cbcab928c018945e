package train

import (
	"math"
	"slices"

	"ultrafast/tensor"
)

// The losses of distillation, each with its gradient with respect to the student's map. s is
// the student's map, t the teacher's, both [N,C,h,w].

// normEps is added to variances, so that a channel that says nothing teaches nothing.
const normEps = 1e-5

// moments are the sums over a channel from which pkd is computed: of s, t, s², t² and st.
type moments [5]float64

func momentsOf(s, t *tensor.Tensor, channel int) moments {
	area := s.Shape[2] * s.Shape[3]
	var sumS, sumT, squareS, squareT, both float64 // an array's numbers would not be in registers
	for at := channel * area; at < len(s.Data); at += s.Shape[1] * area {
		other := t.Data[at : at+area]
		for i, a := range s.Data[at : at+area] {
			x, y := float64(a), float64(other[i])
			sumS += x
			sumT += y
			squareS += x * x
			squareT += y * y
			both += x * y
		}
	}
	return moments{sumS, sumT, squareS, squareT, both}
}

// pkd is the loss of a channel of n numbers,
//
//	mean (ŝ - t̂)² / 2     ŝ = (s - mean s) / √(var s + ε), and so t̂
//
// over pictures and positions, which is 1 - Pearson's correlation where ε is nothing (Cao et
// al., PKD, NeurIPS 2022). Its gradient along s is byS*s + byT*t + constant.
func (m moments) pkd(n float64) (loss, byS, byT, constant float64) {
	meanS, meanT := m[0]/n, m[1]/n
	varS, varT := max(m[2]/n-meanS*meanS, 0), max(m[3]/n-meanT*meanT, 0)
	sdS, sdT := math.Sqrt(varS+normEps), math.Sqrt(varT+normEps)
	squares := varS / (varS + normEps)           // mean ŝ²
	both := (m[4]/n - meanS*meanT) / (sdS * sdT) // mean ŝt̂
	loss = (squares+varT/(varT+normEps))/2 - both
	byS = (1 - squares + both) / (n * sdS * sdS)
	byT = -1 / (n * sdS * sdT)
	return loss, byS, byT, -byS*meanS - byT*meanT
}

// temperature of cwd: 1 for maps of a neck, as in mmrazor's recipes for detectors.
const temperature = 1

// cwd returns the loss of one channel of one picture,
//
//	T² Σ q ln(q/p)     p = softmax(s/T), q = softmax(t/T), over positions
//
// (Shu et al., Channel-wise Knowledge Distillation, ICCV 2021), and adds gain times its
// gradient, T(p - q), to g. p and q are memory for as many numbers as there are positions.
func cwd(s, t, g, p, q []float32, T, gain float64) float64 {
	logS, logT := softmax(p, s, T), softmax(q, t, T)
	loss, by := 0.0, float32(gain*T)
	for i, w := range q {
		loss += float64(w) * (float64(t[i]) - float64(s[i]))
		g[i] += by * (p[i] - w)
	}
	return T * T * (loss/T - (logT - logS))
}

// softmax fills p with the softmax of x/T, and returns the logarithm of the sum of exp(x/T).
func softmax(p, x []float32, T float64) float64 {
	top := slices.Max(x)
	by, sum := float32(1/T), 0.0
	for i, v := range x {
		p[i] = decay((v - top) * by)
		sum += float64(p[i])
	}
	share := float32(1 / sum)
	for i := range p {
		p[i] *= share
	}
	return float64(top)/T + math.Log(sum)
}

// decay is exp(x) for x up to 0, within a hundred-thousandth of itself, more than twice as fast as
// math.Exp: 2^k times the series of 2^f, where k+f = x/ln 2 and f is -1/2 to 1/2.
func decay(x float32) float32 {
	t := x * (1 / math.Ln2)
	if !(t > -125) { // what is left is nothing, and NaN passes
		return x * 0
	}
	k := int32(t - 0.5)
	const a = math.Ln2
	f := t - float32(k)
	p := 1 + f*(a+f*(a*a/2+f*(a*a*a/6+f*(a*a*a*a/24+f*(a*a*a*a*a/120+f*(a*a*a*a*a*a/720))))))
	return p * math.Float32frombits(uint32(k+127)<<23)
}

// leastObject is the objectness below which a teacher's cell says nothing of boxes and
// classes.
const leastObject = 1e-3

// object is the teacher's objectness at a cell of an anchor, for the student: raw are the
// teacher's numbers from there on, area apart. Where the teacher knows classes that the
// student is not to know, it counts by how likely the best of the student's classes is
// beside the best of all.
func (p *pairing) object(raw []float32, area, perTeacher int) float64 {
	o, _ := sigmoid(float64(raw[4*area]))
	if !p.strangers || o < leastObject {
		return o
	}
	best, known := math.Inf(-1), math.Inf(-1)
	for k := 5; k < perTeacher; k++ {
		best = max(best, float64(raw[k*area]))
	}
	for _, c := range p.known {
		known = max(known, float64(raw[(5+c)*area]))
	}
	b, _ := sigmoid(best)
	k, _ := sigmoid(known)
	return o * k / b
}

// objects returns the sum of the teacher's objectness over a picture, where it is worth
// anything.
func (p *pairing) objects(o outputPair, t *tensor.Tensor, image int) (sum float64) {
	area := t.Shape[2] * t.Shape[3]
	for _, a := range o.anchors {
		from := (image*t.Shape[1] + a[1]*o.perTeacher) * area
		for i := range area {
			if v := p.object(t.Data[from+i:], area, o.perTeacher); v >= leastObject {
				sum += v
			}
		}
	}
	return sum
}

// output returns the loss of a level's outputs in one picture and adds batch times its
// gradient to g. It is YOLOv5's loss with the teacher in the place of the labels: with o
// its objectness, over cells and anchors,
//
//	box    Σ o (1 - CIoU) / Σ o
//	class  Σ o KL / (Σ o · classes)     of each class's score as a probability
//	object mean KL                      of the objectness as a probability
//
// by the gains of the recipe. Mehta and Ozturk (Object detection at 200 frames per second,
// ECCV workshops 2018) so weigh what the teacher says of boxes and classes, which is noise
// where it sees nothing, and leave objectness, which is the teacher's word on where nothing
// is, unweighted. A teacher that does not know all of the student's classes has no word on
// that; then objectness is weighted as well. Sums are over the whole batch; Σ o is at least
// 1, since less is no object.
func (p *pairing) output(o outputPair, s, t, g *tensor.Tensor, image int, h LossHyp, objects, batch float64) float64 {
	area := s.Shape[2] * s.Shape[3]
	objects = max(objects, 1)
	boxGain, clsGain := h.Box/objects, h.Cls/(objects*float64(max(len(p.classes), 1)))
	objGain := h.Obj * o.balance / (batch * float64(len(o.anchors)*area))
	sum := 0.0
	for n, a := range o.anchors {
		mine, theirs := (image*s.Shape[1]+a[0]*o.perStudent)*area, (image*t.Shape[1]+a[1]*o.perTeacher)*area
		for i := range area {
			x, y, d := s.Data[mine+i:], t.Data[theirs+i:], g.Data[mine+i:]
			object := p.object(y, area, o.perTeacher)
			gain := objGain
			if p.news {
				gain *= object
			}
			value, slope := divergence(float64(x[4*area]), object)
			sum += gain * value
			d[4*area] += float32(gain * batch * slope)
			if object < leastObject {
				continue
			}
			want, _ := boxAt(y, area, o.sizes[n])
			box, slopes := boxAt(x, area, o.sizes[n])
			overlap, along := ciou(box, want)
			sum += boxGain * object * (1 - overlap)
			for k := range along {
				d[k*area] -= float32(boxGain * object * batch * along[k] * slopes[k])
			}
			for _, c := range p.classes {
				score, _ := sigmoid(float64(y[(5+c[1])*area]))
				value, slope := divergence(float64(x[(5+c[0])*area]), score)
				sum += clsGain * object * value
				d[(5+c[0])*area] += float32(clsGain * object * batch * slope)
			}
		}
	}
	return sum
}

// divergence is the Kullback-Leibler divergence of the probability sigmoid(x) from want, and
// its slope along x.
func divergence(x, want float64) (value, slope float64) {
	p, softplus := sigmoid(x)
	entropy := 0.0
	if want > 0 && want < 1 {
		entropy = -want*math.Log(want) - (1-want)*math.Log1p(-want)
	}
	return softplus - want*x - entropy, p - want
}

package train

import "math"

// ciouEps is what YOLOv5 adds to denominators.
const ciouEps = 1e-7

// ciou returns the complete IoU of boxes p and t, each centre x, y, width, height, and its
// gradient with respect to p:
//
//	CIoU = IoU - d²/c² - αv     v = 4/π² (atan(wt/ht) - atan(wp/hp))²     α = v / (1 - IoU + v)
//
// with d the distance of the centres and c the diagonal of the box around both (Zheng et
// al., Distance-IoU Loss, AAAI 2020). As in the paper's code and YOLOv5, α is a constant
// to the gradient.
func ciou(p, t [4]float64) (value float64, gradient [4]float64) {
	iw, cw, xl, xh := along(p[0], p[2], t[0], t[2])
	ih, ch, yl, yh := along(p[1], p[3], t[1], t[3])
	inter := iw * ih
	union := p[2]*p[3] + t[2]*t[3] - inter + ciouEps
	iou := inter / union
	dx, dy := t[0]-p[0], t[1]-p[1]
	d2 := dx*dx + dy*dy
	c2 := cw*cw + ch*ch + ciouEps
	const k = 4 / (math.Pi * math.Pi)
	turn := math.Atan2(t[2], t[3]) - math.Atan2(p[2], p[3])
	v := k * turn * turn
	alpha := v / (v - iou + 1 + ciouEps)

	// A centre moves both edges up; a size moves the low edge down and the high one up by
	// half. An edge of p that is not the common box's is the outer box's.
	perInter, perArea := 0.0, -inter/(union*union)
	if iw > 0 && ih > 0 {
		perInter = 1/union - perArea
	}
	perC2 := d2 / (c2 * c2)
	size := max(p[2]*p[2]+p[3]*p[3], ciouEps*ciouEps) // a box may shrink to nothing
	perTurn := -alpha * 2 * k * turn
	gradient[0] = perInter*ih*(xh-xl) + 2*dx/c2 + perC2*2*cw*((1-xh)-(1-xl))
	gradient[1] = perInter*iw*(yh-yl) + 2*dy/c2 + perC2*2*ch*((1-yh)-(1-yl))
	gradient[2] = perInter*ih*(xh+xl)/2 + perArea*p[3] + perC2*cw*((1-xh)+(1-xl)) - perTurn*p[3]/size
	gradient[3] = perInter*iw*(yh+yl)/2 + perArea*p[2] + perC2*ch*((1-yh)+(1-yl)) + perTurn*p[2]/size
	return iou - d2/c2 - alpha*v, gradient
}

// along compares p and t on one axis, each a centre and a size: the length they share, the
// length of both together, and whether (1 or 0) the low and the high edge of what they
// share are p's.
func along(pc, ps, tc, ts float64) (inter, around, low, high float64) {
	pl, ph, tl, th := pc-ps/2, pc+ps/2, tc-ts/2, tc+ts/2
	if pl > tl {
		low = 1
	}
	if ph < th {
		high = 1
	}
	return max(min(ph, th)-max(pl, tl), 0), max(ph, th) - min(pl, tl), low, high
}

package motion

// Area is a polygon in the picture. Areas that are no masks are regions: where there are any, only they are looked at. What is
// in a mask is never looked at.
type Area struct {
	Mask   bool
	Points []Point
}

// Point is a place in the picture, from 0 to 65535 of its width and height.
type Point struct{ X, Y uint16 }

// What one camera may have.
const (
	MaxAreas  = 16
	MaxPoints = 32
)

// contains says whether a place is inside the polygon, by the number of its sides on the way to the left.
func (a Area) contains(x, y float64) (in bool) {
	for i, p := range a.Points {
		q := a.Points[(i+len(a.Points)-1)%len(a.Points)]
		px, py, qx, qy := float64(p.X), float64(p.Y), float64(q.X), float64(q.Y)
		if (py > y) != (qy > y) && x < px+(y-py)/(qy-py)*(qx-px) {
			in = !in
		}
	}
	return in
}

// looked returns which cells are looked at; nil: all.
func looked(areas []Area, w, h int) []bool {
	if len(areas) == 0 {
		return nil
	}
	regions := false
	for _, a := range areas {
		regions = regions || !a.Mask
	}
	out := make([]bool, w*h)
	for i := range out {
		x, y := (float64(i%w)+0.5)*65536/float64(w), (float64(i/w)+0.5)*65536/float64(h)
		in := !regions
		for _, a := range areas {
			if !a.Mask && a.contains(x, y) {
				in = true
			}
		}
		for _, a := range areas {
			if a.Mask && a.contains(x, y) {
				in = false
			}
		}
		out[i] = in
	}
	return out
}

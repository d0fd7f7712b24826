package motion

import "math"

const (
	shakePasses = 4    // the last one only looks at what is left
	shakeNear   = 0.08 // cells: what is less differs by no limit
	shakeFar    = 2    // cells: what is farther is no shake
	shakeMost   = 0.5  // log2 of brightness that a cell counts for at most
	shakeEdge   = 0.04 // log2 of brightness from a cell to its neighbours: texture
	shakeTrust  = 0.8  // of the difference where there is texture is left: the picture has shifted
	shakeSlack  = 1.5  // times the shift: a camera turns too, and coding leaves some places behind
	shakeBlur   = 0.5  // of an edge, for each cell of shift: there is more in a picture than its cells say
	shakeMargin = shakeFar + 2
)

// steady compares again with the background as a shaken camera sees it, if the picture shows that it shakes: a gust, a lorry or
// a door shifts the whole of it. It takes that back rather than looking away, so that somebody who walks meanwhile still differs.
func (c *cells) steady(ease float32) (differing int, ok bool) {
	dx, dy, ok := c.shift()
	if !ok {
		return 0, false
	}
	far := float32(math.Hypot(dx, dy))
	for i, differs := range c.differs {
		if !differs {
			continue
		}
		x, y := i%c.w, i/c.w
		p := at(max(0, min(float64(c.w)-1.001, float64(x)+dx)), max(0, min(float64(c.h)-1.001, float64(y)+dy)))
		d, s := c.cur[i]-c.bg[i], shakeSlack*(p.of(c.bg, 0, c.w)-c.bg[i])
		if s < 0 {
			d, s = -d, -s
		}
		if d > 0 { // what the shift makes of a cell, and all between that and the background
			d = max(0, d-s)
		}
		if abs(d) <= ease*(c.limit[i]+shakeBlur*far*c.edge(x, y)) {
			c.differs[i], c.moves[i] = false, false
			continue
		}
		differing++
	}
	return differing, true
}

// edge is the highest of the background's steps from a cell to its neighbours.
func (c *cells) edge(x, y int) (edge float32) {
	for ny := max(0, y-1); ny <= min(c.h-1, y+1); ny++ {
		for nx := max(0, x-1); nx <= min(c.w-1, x+1); nx++ {
			edge = max(edge, abs(c.bg[ny*c.w+nx]-c.bg[y*c.w+x]))
		}
	}
	return edge
}

// shift finds how many cells the picture is from the background: by least squares over all cells that have texture, of which none counts
// for more than its limit. ok is false if that explains too little of what differs.
func (c *cells) shift() (dx, dy float64, ok bool) {
	var first, left float32
	for pass := range shakePasses {
		b := at(dx, dy)
		var xx, xy, yy, xd, yd float32
		left = 0
		for y := shakeMargin; y < c.h-shakeMargin; y += 2 { // half of them tell it as well
			for i := y*c.w + shakeMargin; i < (y+1)*c.w-shakeMargin; i++ {
				j := i + b.y*c.w + b.x
				gx, gy := (c.bg[j+1]-c.bg[j-1])/2, (c.bg[j+c.w]-c.bg[j-c.w])/2
				if abs(gx)+abs(gy) < shakeEdge {
					continue
				}
				d, limit := c.cur[i]-b.of(c.bg, i, c.w), min(c.limit[i], shakeMost)
				d = max(-limit, min(limit, d))
				left += d * d
				xx, xy, yy = xx+gx*gx, xy+gx*gy, yy+gy*gy
				xd, yd = xd+gx*d, yd+gy*d
			}
		}
		if pass == 0 {
			first = left
		}
		if pass == shakePasses-1 {
			break
		}
		few := 0.01 * (xx + yy) // stripes say nothing of what is along them
		xx, yy = xx+few, yy+few
		det := xx*yy - xy*xy
		if det <= 0 {
			return 0, 0, false
		}
		dx, dy = dx+float64((xd*yy-yd*xy)/det), dy+float64((yd*xx-xd*xy)/det)
		if far := max(math.Abs(dx), math.Abs(dy)); !(far >= shakeNear && far <= shakeFar) {
			return 0, 0, false
		}
	}
	return dx, dy, left < shakeTrust*first
}

// between is a place between cells.
type between struct {
	x, y   int // cells
	rx, ry float32
}

func at(x, y float64) between {
	ix, iy := math.Floor(x), math.Floor(y)
	return between{int(ix), int(iy), float32(x - ix), float32(y - iy)}
}

// of is what v, w cells wide, has there, seen from cell i.
func (b between) of(v []float32, i, w int) float32 {
	i += b.y*w + b.x
	top, bottom := v[i]+b.rx*(v[i+1]-v[i]), v[i+w]+b.rx*(v[i+w+1]-v[i+w])
	return top + b.ry*(bottom-top)
}

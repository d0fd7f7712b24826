package motion

// region is a connected part of the picture that differs from what is usually there.
type region struct {
	cells, moving, fresh int // fresh: not part of any region lately
	stays                int // differed in the picture before
	sumX, sumY           int
	box                  box
}

// box is a rectangle of cells, x1 and y1 outside.
type box struct{ x0, y0, x1, y1 int }

func (b box) grow(n int) box { return box{b.x0 - n, b.y0 - n, b.x1 + n, b.y1 + n} }
func (b box) union(o box) box {
	return box{min(b.x0, o.x0), min(b.y0, o.y0), max(b.x1, o.x1), max(b.y1, o.y1)}
}

// overlap is the number of cells that both have.
func (b box) overlap(o box) int {
	w, h := min(b.x1, o.x1)-max(b.x0, o.x0), min(b.y1, o.y1)-max(b.y0, o.y0)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h
}

const (
	// maxRegions bounds what is looked at in one picture: the largest pieces.
	maxRegions = 64
	reach      = 2 // cells this far apart are one region still: so is a person in a striped shirt
)

// regions finds the connected cells that differ, least of them at least.
func (c *cells) regions(least int, out []region) []region {
	out = out[:0]
	c.number++
	c.parts = 0
	for i, d := range c.differs {
		if !d || c.seen[i] == c.number {
			continue
		}
		r := region{box: box{c.w, c.h, 0, 0}}
		var parts uint64
		c.stack = append(c.stack[:0], int32(i))
		c.seen[i] = c.number
		for len(c.stack) > 0 {
			at := int(c.stack[len(c.stack)-1])
			c.stack = c.stack[:len(c.stack)-1]
			x, y := at%c.w, at/c.w
			r.cells++
			if c.differed[at] {
				r.stays++
			}
			if c.moves[at] {
				r.moving++
				parts |= 1 << c.part[at]
				if c.ago[at] > freshAfter {
					r.fresh++
				}
			}
			r.sumX, r.sumY = r.sumX+x, r.sumY+y
			r.box = r.box.union(box{x, y, x + 1, y + 1})
			for ny := max(0, y-reach); ny <= min(c.h-1, y+reach); ny++ {
				for n := ny*c.w + max(0, x-reach); n <= ny*c.w+min(c.w-1, x+reach); n++ {
					if c.differs[n] && c.seen[n] != c.number {
						c.seen[n] = c.number
						c.stack = append(c.stack, int32(n))
					}
				}
			}
		}
		if r.cells < least {
			continue
		}
		c.parts |= parts
		if len(out) < maxRegions {
			out = append(out, r)
		} else if i := smallest(out); out[i].moving < r.moving {
			out[i] = r
		}
	}
	return out
}

func smallest(rs []region) (at int) {
	for i := range rs {
		if rs[i].moving < rs[at].moving {
			at = i
		}
	}
	return at
}

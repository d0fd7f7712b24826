package motion

import "math"

// cells is what is known of each cell of the picture: how it looks when nothing is there, how far it usually is from that,
// and how often it comes and goes.
type cells struct {
	w, h int
	// cur and prev are the structure of this picture and the one before: the logarithm of a cell's brightness less the
	// mean of the cells around it. Light that is switched on multiplies the brightness of all of them and leaves that alone.
	cur, prev []float32
	log       []float32 // logarithm of brightness, and of the picture before
	logPrev   []float32
	bg        []float32 // cur when nothing is there
	limit     []float32 // what it must differ by
	dev       []float32 // usual distance from bg
	peak      []float32 // greatest distance of late, falling slowly
	swing     []float32 // times that the cell differed and was itself again, of late
	still     []float32 // seconds that it has differed and not changed
	differs   []bool    // now
	differed  []bool    // before
	moves     []bool    // differs, and does not look as it did in the picture before
	use       []bool    // nil: all cells are looked at
	scale     float32   // of the limits
	wet       bool      // it rains or snows: a cell that comes and goes is nothing of its own
	part      []uint8   // which of 8 by 8 parts of the picture the cell is in
	parts     uint64    // parts in which cells of large enough regions move
	ago       []float32 // seconds since the cell last differed
	sums      []float32 // integral image
	seen      []uint32  // number of the last walk over regions that came by
	number    uint32
	stack     []int32
}

const (
	radius       = 4    // cells: of the neighbourhood that a cell is compared with
	darkFloor    = 12   // of 255: below it noise is most of a difference
	leastStep    = 0.12 // in units of log2 of brightness, 9 %: what a cell must differ by at least
	devFactor    = 5    // and how many usual distances
	bgSeconds    = 10   // the background follows slow light
	devSeconds   = 20
	peakSeconds  = 60
	swingSeconds = 30
	absorb       = 15   // seconds after which something that stands still is background
	maxSwings    = 2.5  // more of them of late, and the cell is foliage, a flag or a screen
	peakFactor   = 1.3  // which must surpass itself
	edgeFactor   = 0.35 // cells that the camera may tremble: an edge changes by that much of its height
	upset        = 0.5  // log2 of brightness: more than noise between two pictures of a new light
	never        = 1e9
	freshAfter   = 3 // seconds without difference
)

func newCells(w, h int) *cells {
	n := w * h
	f := func() []float32 { return make([]float32, n) }
	b := func() []bool { return make([]bool, n) }
	c := &cells{w: w, h: h, cur: f(), prev: f(), log: f(), logPrev: f(), bg: f(), limit: f(), dev: f(), peak: f(), swing: f(), still: f(),
		differs: b(), differed: b(), moves: b(), ago: f(), sums: make([]float32, (w+1)*(h+1)),
		seen: make([]uint32, n), stack: make([]int32, 0, n), part: make([]uint8, n), scale: 1}
	for i := range c.part {
		c.part[i] = uint8(i/w*8/h*8 + i%w*8/w)
	}
	return c
}

// logTable is log2 of brightness in sixteenths.
var logTable = func() (t [256 * 16]float32) {
	for v := range t {
		t[v] = float32(math.Log2(float64(v)/16 + darkFloor))
	}
	return t
}()

// look takes the picture.
func (c *cells) look(grid []uint16) {
	c.cur, c.prev = c.prev, c.cur
	c.log, c.logPrev = c.logPrev, c.log
	W := c.w + 1
	for y := range c.h {
		row := float32(0)
		in, log := grid[y*c.w:(y+1)*c.w], c.log[y*c.w:(y+1)*c.w]
		above, sums := c.sums[y*W+1:(y+1)*W], c.sums[(y+1)*W+1:(y+2)*W]
		for x, v := range in {
			l := logTable[v&4095]
			log[x] = l
			row += l - 7
			sums[x] = above[x] + row
		}
	}
	for y := range c.h {
		y0, y1 := max(0, y-radius), min(c.h, y+radius+1)
		top, bottom := c.sums[y0*W:(y0+1)*W], c.sums[y1*W:(y1+1)*W]
		cur, log := c.cur[y*c.w:(y+1)*c.w], c.log[y*c.w:(y+1)*c.w]
		for x := range cur {
			x0, x1 := max(0, x-radius), min(c.w, x+radius+1)
			sum := bottom[x1] - top[x1] - bottom[x0] + top[x0]
			cur[x] = log[x] - 7 - sum/float32((y1-y0)*(x1-x0))
		}
	}
}

// unlook forgets the picture again.
func (c *cells) unlook() {
	c.cur, c.prev = c.prev, c.cur
	c.log, c.logPrev = c.logPrev, c.log
}

// begin takes the picture for the background.
func (c *cells) begin() {
	copy(c.bg, c.cur)
	copy(c.prev, c.cur)
	copy(c.logPrev, c.log)
	for i := range c.dev {
		c.dev[i] = leastStep / devFactor
	}
	clear(c.peak)
	clear(c.swing)
	clear(c.still)
	clear(c.differs)
	clear(c.moves)
	for i := range c.ago {
		c.ago[i] = 1000
	}
}

// changed returns which shares of the cells have become brighter or darker since the picture before by more than a repeated
// picture does, and brighter less darker by more than noise does.
func (c *cells) changed() (any, light float64) {
	var some, up, down int32
	prev := c.logPrev[:len(c.log)]
	for i, v := range c.log {
		d := v - prev[i]
		if d > sameStep || d < -sameStep {
			some++
			if d > lightStep {
				up++
			} else if d < -lightStep {
				down++
			}
		}
	}
	n := float64(len(c.log))
	return float64(some) / n, math.Abs(float64(up-down)) / n
}

func decay(seconds, of float64) float32 { return float32(math.Exp(-seconds / of)) }

// limits works out what each cell must differ by.
func (c *cells) limits() {
	for y := range c.h {
		for x := range c.w {
			i := y*c.w + x
			v := c.bg[i]
			var edge float32
			if x > 0 {
				edge = abs(v - c.bg[i-1])
			}
			if x+1 < c.w {
				edge = max(edge, abs(v-c.bg[i+1]))
			}
			if y > 0 {
				edge = max(edge, abs(v-c.bg[i-c.w]))
			}
			if y+1 < c.h {
				edge = max(edge, abs(v-c.bg[i+c.w]))
			}
			t := max(leastStep, devFactor*c.dev[i]) + edgeFactor*edge
			if c.swing[i] > maxSwings {
				t = max(t, peakFactor*c.peak[i])
			}
			if c.use != nil && !c.use[i] {
				t = never
			}
			c.limit[i] = t * c.scale
		}
	}
}

// compare finds what differs and what moves, by ease times the limits, and returns how many cells do.
func (c *cells) compare(ease float32) (differing, moving int) {
	c.differs, c.differed = c.differed, c.differs
	n := len(c.cur)
	prev, bg, limit, out, moves := c.prev[:n], c.bg[:n], c.limit[:n], c.differs[:n], c.moves[:n]
	for i, v := range c.cur {
		t := ease * limit[i]
		d := v - bg[i]
		out[i], moves[i] = false, false
		if d <= t && d >= -t {
			continue
		}
		out[i] = true
		differing++
		if abs(v-prev[i]) > t/2 {
			moves[i] = true
			moving++
		}
	}
	return differing, moving
}

// learn moves the background towards the picture: soon where nothing differs, and late where something stands before it.
// all makes everything background at once.
func (c *cells) learn(seconds float64, early float32, all bool) {
	bg, dev, peak, swing := max(early, 1-decay(seconds, bgSeconds)), max(early, 1-decay(seconds, devSeconds)), decay(seconds, peakSeconds), decay(seconds, swingSeconds)
	for i, v := range c.cur {
		d := v - c.bg[i]
		a := abs(d)
		if c.peak[i] *= peak; !c.wet {
			c.peak[i] = max(c.peak[i], a)
		}
		c.swing[i] *= swing
		if c.ago[i] += float32(seconds); c.differs[i] {
			c.ago[i] = 0
		}
		if c.differed[i] && !c.differs[i] && !c.wet {
			c.swing[i]++
		}
		switch {
		case all:
			if a < upset && a > c.dev[i] { // the new light has another noise
				c.dev[i] += (a - c.dev[i]) / 2
			}
			c.bg[i], c.still[i] = v, 0
		case !c.differs[i]:
			c.bg[i] += bg * d
			c.dev[i] += dev * (a - c.dev[i])
			c.still[i] = 0
		case c.moves[i]:
			c.still[i] = 0
		default:
			if c.still[i] += float32(seconds); c.still[i] > absorb {
				c.bg[i], c.still[i] = v, 0
			}
		}
	}
}

func abs(v float32) float32 {
	if v < 0 {
		return -v
	}
	return v
}

package motion

import (
	"fmt"
	"math"

	"sitewatch/video"
)

// Model says whether something moves, from a small grid of brightness per keyframe.
//
// What it compares is not brightness but structure: each cell's logarithm of brightness less the mean of the cells around it.
// A lamp that is switched on multiplies the light of everything near it and leaves that difference alone; a person brings
// edges of their own. Every cell keeps a background and how much it usually differs from it, so that noise, foliage and a
// flickering screen raise their own thresholds. A change over most of the picture is the camera's (exposure, day to night),
// not a thief's. An interval opens when enough connected cells differ, stays open while fewer do, and ends when the picture
// has been quiet for a while; what stands still for long becomes background.
//
// A Model is pure: its time is the PTS. It is used by one goroutine.
type Model struct {
	w, h   int
	frames int
	cur    []float32 // structure of the present picture
	prev   []float32
	bg     []float32 // background of cur
	dev    []float32 // usual distance from bg
	still  []float32 // seconds that a changed cell has looked the same
	mask   []bool
	sums   []float32 // integral image
	stack  []int32
	lastAt video.Ticks90k

	open     bool
	candid   int            // pictures in a row with movement while no interval is open
	firstAt  video.Ticks90k // of the first of them
	movingAt video.Ticks90k
}

// Report is what a picture changed: State is 0 for nothing.
type Report struct {
	State State
	PTS   video.Ticks90k // of the first picture that moved (Start), this one (Keep) or the last one that moved (End)
	Why   string
}

const (
	radius     = 4    // of the neighbourhood that a cell is compared with
	warmUp     = 3    // pictures before anything is said
	minCells   = 10   // connected, to open
	keepCells  = 4    // connected, to stay open
	minThresh  = 0.18 // in units of log2 of brightness: 13 %
	devFactor  = 4
	global     = 0.55 // share of cells
	darkFloor  = 12   // brightness below which noise is most of the difference
	quiet      = 3 * video.Second
	absorb     = 20.0 // seconds
	forgetting = 60 * video.Second
)

// NewModel returns a model of grids w wide and h high.
func NewModel(w, h int) *Model {
	n := w * h
	return &Model{w: w, h: h, cur: make([]float32, n), prev: make([]float32, n), bg: make([]float32, n), dev: make([]float32, n),
		still: make([]float32, n), mask: make([]bool, n), sums: make([]float32, (w+1)*(h+1)), stack: make([]int32, 0, n)}
}

var logTable = func() (t [256]float32) {
	for v := range t {
		t[v] = float32(math.Log2(float64(v + darkFloor)))
	}
	return t
}()

// structure fills cur.
func (m *Model) structure(grid []byte) {
	W := m.w + 1
	for y := range m.h {
		row := float32(0)
		for x := range m.w {
			row += logTable[grid[y*m.w+x]]
			m.sums[(y+1)*W+x+1] = m.sums[y*W+x+1] + row
		}
	}
	for y := range m.h {
		y0, y1 := max(0, y-radius), min(m.h, y+radius+1)
		for x := range m.w {
			x0, x1 := max(0, x-radius), min(m.w, x+radius+1)
			sum := m.sums[y1*W+x1] - m.sums[y0*W+x1] - m.sums[y1*W+x0] + m.sums[y0*W+x0]
			m.cur[y*m.w+x] = logTable[grid[y*m.w+x]] - sum/float32((y1-y0)*(x1-x0))
		}
	}
}

// Step takes the grid of the next keyframe.
func (m *Model) Step(pts video.Ticks90k, grid []byte) Report {
	m.cur, m.prev = m.prev, m.cur
	m.structure(grid)
	gap := pts - m.lastAt
	m.lastAt = pts
	if m.frames == 0 || gap < 0 || gap > forgetting {
		return m.restart(pts)
	}
	m.frames++
	largest, share := m.compare()
	m.learn(float32(gap.Duration().Seconds()), share)
	if share > global {
		return m.after(pts, false, 0)
	}
	if m.frames <= warmUp {
		return Report{}
	}
	need := minCells
	if m.open || m.candid > 0 {
		need = keepCells
	}
	return m.after(pts, largest >= need, largest)
}

// restart takes the picture for the background.
func (m *Model) restart(video.Ticks90k) Report {
	copy(m.bg, m.cur)
	for i := range m.dev {
		m.dev[i] = minThresh / devFactor
	}
	clear(m.still)
	m.frames, m.candid = 1, 0
	if m.open {
		m.open = false
		return Report{State: End, PTS: m.movingAt}
	}
	return Report{}
}

func (m *Model) threshold(i int) float32 { return max(minThresh, devFactor*m.dev[i]) }

// compare marks the cells that differ and returns the size of the largest connected group and the share of all that differ.
func (m *Model) compare() (largest int, share float64) {
	changed := 0
	for i := range m.cur {
		m.mask[i] = abs(m.cur[i]-m.bg[i]) > m.threshold(i)
		if m.mask[i] {
			changed++
		}
	}
	share = float64(changed) / float64(len(m.cur))
	seen := m.mask // consumed by the walk; learn compares again
	for i := range seen {
		if !seen[i] {
			continue
		}
		size := 0
		seen[i] = false
		m.stack = append(m.stack[:0], int32(i))
		for len(m.stack) > 0 {
			c := int(m.stack[len(m.stack)-1])
			m.stack = m.stack[:len(m.stack)-1]
			size++
			cx, cy := c%m.w, c/m.w
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					x, y := cx+dx, cy+dy
					if x < 0 || y < 0 || x >= m.w || y >= m.h || !seen[y*m.w+x] {
						continue
					}
					seen[y*m.w+x] = false
					m.stack = append(m.stack, int32(y*m.w+x))
				}
			}
		}
		largest = max(largest, size)
	}
	return largest, share
}

// learn moves the background towards the picture: soon where nothing differs or everything does, and late where something
// stands before it.
func (m *Model) learn(seconds float32, share float64) {
	rate := 1 - float32(math.Exp(-float64(seconds)/10))
	for i := range m.cur {
		d := m.cur[i] - m.bg[i]
		switch {
		case share > global:
			m.bg[i], m.still[i] = m.cur[i], 0
		case abs(d) <= m.threshold(i):
			m.bg[i] += rate * d
			m.dev[i] += rate * (abs(d) - m.dev[i])
			m.still[i] = 0
		default:
			m.dev[i] = min(m.dev[i]+rate*0.2*(abs(d)-m.dev[i]), 1)
			if abs(m.cur[i]-m.prev[i]) > minThresh {
				m.still[i] = 0
			} else if m.still[i] += seconds; m.still[i] > absorb {
				m.bg[i], m.still[i] = m.cur[i], 0
			}
		}
	}
}

// after is the hysteresis.
func (m *Model) after(pts video.Ticks90k, moving bool, cells int) Report {
	switch {
	case moving && m.open:
		m.movingAt = pts
		return Report{State: Keep, PTS: pts}
	case moving:
		if m.candid == 0 {
			m.firstAt = pts
		}
		m.candid++
		if m.candid < 2 && cells < 3*minCells {
			return Report{}
		}
		m.open, m.movingAt, m.candid = true, pts, 0
		return Report{State: Start, PTS: m.firstAt, Why: fmt.Sprintf("something moves in %d %% of the picture", max(1, 100*cells/len(m.cur)))}
	case m.open && pts-m.movingAt >= quiet:
		m.open = false
		return Report{State: End, PTS: m.movingAt}
	}
	m.candid = 0
	return Report{}
}

func abs(v float32) float32 {
	if v < 0 {
		return -v
	}
	return v
}

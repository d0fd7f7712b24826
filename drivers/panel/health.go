package panel

import "time"

// How the health of a line is judged.
const (
	slotSpan   = 10 * time.Second
	slots      = 360 // one hour
	faultSlots = 30  // five minutes
	faultLeast = 10  // fewer bad frames are no fault, however few good ones there are
	faultAbove = 10  // percent of bad frames
	faultBelow = 2
	// noiseFrame bytes that belong to no frame weigh as much as one bad frame.
	noiseFrame = 32
	// A line is garbled when bytes came in so many different seconds of the last three slots, at least so many of them, and no
	// frame checked: a panel's tries at the wrong speed, not a stroke of lightning.
	garbledSlots   = 3
	garbledSeconds = 4
	garbledBytes   = 24
)

// health is the last hour of a line in slots of ten seconds. Pure: it is shown the counters and says what they mean.
type health struct {
	last  Counts // at the last roll
	noise uint64 // bytes that are not yet a bad frame
	ring  [slots]slot
	n     uint64 // slots so far
	from  uint64 // the first one that counts for a fault
}

type slot struct {
	good, bad, bytes, seconds uint32
}

// roll closes a slot.
func (h *health) roll(c Counts) {
	h.noise += c.Noise - h.last.Noise
	h.ring[h.n%slots] = slot{
		good:    uint32(c.Frames - h.last.Frames),
		bad:     uint32(c.Rejects - h.last.Rejects + h.noise/noiseFrame),
		bytes:   uint32(c.Bytes - h.last.Bytes),
		seconds: uint32(c.Seconds - h.last.Seconds),
	}
	h.noise %= noiseFrame
	h.last = c
	h.n++
}

// forget begins anew: what was before says nothing about the line as it is now. The picture stays.
func (h *health) forget() { h.from = h.n }

// sum adds up the last n slots, of those that count.
func (h *health) sum(n uint64) (s slot) {
	first := max(h.from, h.n-min(h.n, n))
	for i := first; i < h.n; i++ {
		t := h.ring[i%slots]
		s.good, s.bad, s.bytes, s.seconds = s.good+t.good, s.bad+t.bad, s.bytes+t.bytes, s.seconds+t.seconds
	}
	return s
}

// garbled says that the panel talks and nothing that it says is a frame.
func (h *health) garbled() bool {
	s := h.sum(garbledSlots)
	return s.good == 0 && s.seconds >= garbledSeconds && s.bytes >= garbledBytes
}

// faulty says whether too many frames are bad, given whether that was so before.
func (h *health) faulty(was bool) (is bool, s slot) {
	s = h.sum(faultSlots)
	if was {
		proven := h.n-h.from >= faultSlots || s.good >= 100/faultBelow
		return !proven || (s.bad > 0 && uint64(s.bad)*100 >= faultBelow*uint64(s.good+s.bad)), s
	}
	return s.bad >= faultLeast && uint64(s.bad)*100 > faultAbove*uint64(s.good+s.bad), s
}

// Minute is one minute of a line's history.
type Minute struct {
	Good, Bad, Bytes uint32
}

// history is the last hour in minutes, oldest first; minutes before the start are zero.
func (h *health) history() []Minute {
	const per = uint64(time.Minute / slotSpan)
	out := make([]Minute, slots/per)
	for i := range min(h.n, slots) {
		s := h.ring[(h.n-1-i)%slots]
		m := &out[len(out)-1-int(i/per)]
		m.Good, m.Bad, m.Bytes = m.Good+s.good, m.Bad+s.bad, m.Bytes+s.bytes
	}
	return out
}

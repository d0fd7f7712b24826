package rtsp

// sequence follows the numbers of a stream's packets (RFC 3550 §5.1), which wrap.
type sequence struct {
	begun    bool
	next     uint16
	backward int // packets in a row with a number from before
}

// maxBackward is how many packets with old numbers are taken for repeats before they are taken for another numbering.
const maxBackward = 16

// take returns how many packets are missing before this one, and whether it is one that came already or far too late.
func (s *sequence) take(n uint16) (lost uint32, repeated bool) {
	d := int16(n - s.next)
	switch {
	case !s.begun:
		d = 0
	case d < 0 && s.backward < maxBackward:
		s.backward++
		return 0, true
	case d < 0:
		d = 1 // how many are missing nobody knows
	}
	s.begun, s.next, s.backward = true, n+1, 0
	return uint32(d), false
}

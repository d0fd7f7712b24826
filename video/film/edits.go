package film

import "encoding/binary"

// edit reads what the edit list says of the beginning, ISO/IEC 14496-12 §8.6.6; film is how many units of time a second the film has. What comes
// after the first edit is of no interest: the footage of cameras has one. That of a fragmented film is about its first fragments alone.
func (t *tables) edit(film uint32) error {
	if len(t.elst) == 0 || film == 0 || len(t.stsz) < 12 || binary.BigEndian.Uint32(t.stsz[8:]) == 0 {
		return nil
	}
	each := 12
	if t.elst[0] == 1 {
		each = 20
	}
	_, n, r, err := table(t.elst, each)
	if err != nil {
		return err
	}
	const most = 1 << 40 // of either: what is later is no time
	empty := int64(0)
	for range n {
		span, from := int64(r.u32()), int64(0)
		if each == 20 {
			span = span<<32 | int64(r.u32())
			from = int64(r.u64())
		} else {
			from = int64(int32(r.u32()))
		}
		r.take(4) // the rate
		if span < 0 || span > most || from > most {
			return nil
		}
		if from >= 0 {
			t.start, t.edited = from-empty/int64(film)*int64(t.scale)-empty%int64(film)*int64(t.scale)/int64(film), true
			return nil
		}
		if empty += span; empty > most {
			return nil
		}
	}
	return nil
}

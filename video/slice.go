package video

// Plausible says whether u looks like a picture of p, as far as the head of its first slice tells (H.264 §7.3.3, H.265 §7.3.6.1): random
// bytes with the right NAL type nearly never do. It reads a few bytes and says nothing about the rest.
func (p Params) Plausible(u AccessUnit) bool {
	if p.Codec == H265 {
		return p.plausible265(u)
	}
	for n := range u.NALUs() {
		t := n[0] & 0x1F
		if t < naluSlice || t > naluIDR {
			continue
		}
		r := bitReader{b: n[1:]}
		firstMB, sliceType, pps := r.ue(), r.ue(), r.ue()
		if r.failed || n[0]&0x80 != 0 || firstMB != 0 || sliceType > 9 || pps != p.ppsID() {
			return false
		}
		if t == naluIDR { // §7.4.3: an IDR picture has I or SI slices only and frame_num 0
			return n[0]&0x60 != 0 && (sliceType%5 == 2 || sliceType%5 == 4) && (p.planes || r.bits(p.frameNumBits) == 0) && !r.failed
		}
		return true
	}
	return false
}

func (p Params) ppsID() uint32 {
	r := bitReader{b: p.PPS[1:]}
	return r.ue()
}

// bitReader reads bits, the highest first. Emulation prevention is not undone: the fields read here end before it can occur.
type bitReader struct {
	b      []byte
	pos    int
	failed bool
}

func (r *bitReader) bits(n int) (v uint32) {
	for range n {
		if r.pos/8 >= len(r.b) {
			r.failed = true
			return 0
		}
		v = v<<1 | uint32(r.b[r.pos/8]>>(7-r.pos%8))&1
		r.pos++
	}
	return v
}

// ue reads an unsigned Exp-Golomb code (§9.1) of at most 16 leading zeros.
func (r *bitReader) ue() uint32 {
	zeros := 0
	for !r.failed && r.bits(1) == 0 {
		if zeros++; zeros > 16 {
			r.failed = true
		}
	}
	if r.failed {
		return 0
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

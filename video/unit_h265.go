package video

import "sitewatch/edge"

// NAL unit types, H.265 Table 7-1.
const (
	naluRASLN265    = 8
	naluRASLR265    = 9
	naluBLA265      = 16
	naluCRA265      = 21
	naluLastIRAP265 = 23
	naluLastVCL265  = 31
	naluVPS265      = 32
	naluSPS265      = 33
	naluPPS265      = 34
	naluSEI265      = 39 // prefix; 40 is suffix
	naluSuffix265   = 40
)

func type265(n []byte) byte { return n[0] >> 1 & 0x3F }

// NewH265Unit makes an access unit of H.265 NAL units, copying them once. vps, sps and pps are those that came with them,
// nil when none did; they alias nalus.
func NewH265Unit(nalus [][]byte, pts Ticks90k, arrival edge.Stamp) (u AccessUnit, vps, sps, pps []byte, err error) {
	if err := checkCount(nalus); err != nil {
		return u, nil, nil, nil, err
	}
	size, slices := 0, 0
	for _, n := range nalus {
		if len(n) < 2 {
			continue
		}
		switch t := type265(n); {
		case t == naluVPS265:
			vps = n
		case t == naluSPS265:
			sps = n
		case t == naluPPS265:
			pps = n
		case t <= naluLastVCL265:
			slices++
			u.Keyframe = u.Keyframe || t >= naluBLA265 && t <= naluCRA265
		}
		if kept265(n) {
			size += 4 + len(n)
		}
	}
	if slices == 0 {
		return AccessUnit{}, vps, sps, pps, ErrNoPicture
	}
	if u.Data, err = join(nalus, size, kept265); err != nil {
		return AccessUnit{}, vps, sps, pps, err
	}
	u.PTS, u.Arrival = pts, arrival
	return u, vps, sps, pps, nil
}

// kept265 says whether n belongs into the stored unit: slices and SEI do.
func kept265(n []byte) bool {
	if len(n) < 2 {
		return false
	}
	t := type265(n)
	return t <= naluLastVCL265 || t == naluSEI265 || t == naluSuffix265
}

// CRA says whether u is a CRA picture of H.265: those that are shown before it, although they come after it, may refer to pictures
// before it.
func (p Params) CRA(u AccessUnit) bool {
	t, ok := p.slice265(u)
	return ok && t == naluCRA265
}

// Skipped says whether u is a RASL picture of H.265 (§3.112): it refers to pictures before the CRA that it follows, so that a
// decoder that begins with that CRA cannot show it.
func (p Params) Skipped(u AccessUnit) bool {
	t, ok := p.slice265(u)
	return ok && (t == naluRASLN265 || t == naluRASLR265)
}

// slice265 is the type of the first slice of u.
func (p Params) slice265(u AccessUnit) (t byte, ok bool) {
	if p.Codec != H265 || u.Audio != nil {
		return 0, false
	}
	for n := range u.NALUs() {
		if len(n) >= 2 && type265(n) <= naluLastVCL265 {
			return type265(n), true
		}
	}
	return 0, false
}

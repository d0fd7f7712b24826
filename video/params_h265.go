package video

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// NewH265Params checks and copies the parameter sets of an H.265 stream. What it accepts can be written to an MP4.
func NewH265Params(vps, sps, pps []byte) (p Params, err error) {
	defer func() {
		if r := recover(); r != nil { // the parsers are a library's
			p, err = Params{}, fmt.Errorf("%w: %v", ErrBadParams, r)
		}
	}()
	switch {
	case len(vps) < 4 || type265(vps) != naluVPS265:
		return p, fmt.Errorf("%w: no VPS", ErrBadParams)
	case len(sps) < 16 || type265(sps) != naluSPS265:
		return p, fmt.Errorf("%w: no SPS", ErrBadParams)
	case len(pps) < 3 || type265(pps) != naluPPS265:
		return p, fmt.Errorf("%w: no PPS", ErrBadParams)
	case len(vps) > maxParamBytes || len(sps) > maxParamBytes || len(pps) > maxParamBytes:
		return p, fmt.Errorf("%w: %d, %d and %d bytes, the limit is %d", ErrBadParams, len(vps), len(sps), len(pps), maxParamBytes)
	}
	var s h265.SPS
	if err := s.Unmarshal(sps); err != nil {
		return p, fmt.Errorf("%w: SPS: %v", ErrBadParams, err)
	}
	var q h265.PPS
	if err := q.Unmarshal(pps); err != nil {
		return p, fmt.Errorf("%w: PPS: %v", ErrBadParams, err)
	}
	// What a decoder allocates goes by the coded size, what is shown by the cropped one.
	if err := checkSize(Size{int(s.PicWidthInLumaSamples), int(s.PicHeightInLumaSamples)}); err != nil {
		return p, err
	}
	size := Size{s.Width(), s.Height()}
	if err := checkSize(size); err != nil {
		return p, err
	}
	if s.ChromaFormatIdc > 3 || s.BitDepthLumaMinus8 > 8 || s.BitDepthChromaMinus8 > 8 {
		return p, fmt.Errorf("%w: chroma format %d, %d and %d bits", ErrBadParams, s.ChromaFormatIdc, s.BitDepthLumaMinus8+8, s.BitDepthChromaMinus8+8)
	}
	return Params{Codec: H265, VPS: bytes.Clone(vps), SPS: bytes.Clone(sps), PPS: bytes.Clone(pps), Size: size,
		extraBits: int(q.NumExtraSliceHeaderBits)}, nil
}

// hvcc is only called of parameters that NewH265Params has taken.
func (p Params) hvcc() []byte {
	var s h265.SPS
	if err := s.Unmarshal(p.SPS); err != nil {
		panic("video: parameter sets that were good are not: " + err.Error())
	}
	sps := h264.EmulationPreventionRemove(p.SPS)
	b := append([]byte{1}, sps[3:15]...) // §7.3.3 profile_tier_level: profile, compatibility, constraints, level
	nested := byte(0)
	if s.TemporalIDNestingFlag {
		nested = 1
	}
	b = append(b, 0xF0, 0, 0xFC, 0xFC|byte(s.ChromaFormatIdc), 0xF8|byte(s.BitDepthLumaMinus8), 0xF8|byte(s.BitDepthChromaMinus8),
		0, 0, (s.MaxSubLayersMinus1+1)<<3|nested<<2|3, 3)
	for _, n := range [][]byte{p.VPS, p.SPS, p.PPS} {
		b = append(b, 0x80|type265(n), 0, 1, byte(len(n)>>8), byte(len(n)))
		b = append(b, n...)
	}
	return b
}

// plausible265 is Plausible for H.265.
func (p Params) plausible265(u AccessUnit) bool {
	for n := range u.NALUs() {
		if len(n) < 3 || n[0]&0x81 != 0 || n[1]>>3 != 0 || n[1]&7 == 0 { // §7.3.1.2: forbidden bit, layer 0, temporal id + 1
			continue
		}
		t := type265(n)
		if t > naluLastVCL265 {
			continue
		}
		r := bitReader{b: n[2:]}
		if r.bits(1) != 1 { // first_slice_segment_in_pic_flag
			return false
		}
		irap := t >= naluBLA265 && t <= naluLastIRAP265
		if irap {
			r.bits(1)
		}
		if q := (bitReader{b: p.PPS[2:]}); r.ue() != q.ue() {
			return false
		}
		r.bits(p.extraBits)
		slice := r.ue()
		return !r.failed && slice <= 2 && (!irap || slice == 2) // §7.4.7.1: pictures where decoding can begin have I slices only
	}
	return false
}

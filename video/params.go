package video

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/deepch/vdk/codec/h264parser"
)

// Codec says how access units are coded.
type Codec uint8

const (
	H264 Codec = 1
	H265 Codec = 2
)

func (c Codec) String() string {
	switch c {
	case H264:
		return "H.264"
	case H265:
		return "H.265"
	}
	return fmt.Sprintf("codec(%d)", uint8(c))
}

// Size is a picture's size in pixels.
type Size struct{ Width, Height int }

func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// MaxSide is the longest side of a picture that is taken in: what a decoder would allocate grows with it.
const MaxSide = 8192

// maxParamBytes bounds one parameter set; real ones have less than 100 bytes.
const maxParamBytes = 4096

// Params is what a decoder must know before the first picture. It is shared and never changed after it was made.
type Params struct {
	Codec    Codec
	VPS      []byte // H.265 §7.3.2.1; nil with H.264
	SPS, PPS []byte // H.264 §7.3.2.1 and §7.3.2.2, H.265 §7.3.2.2 and §7.3.2.3; with their NAL headers, without start codes
	Size     Size

	frameNumBits int  // H.264, of the slice header
	planes       bool // H.264: three colour planes coded apart: the slice header has one field more
	extraBits    int  // H.265, of the slice header
}

// ErrBadParams says that parameter sets cannot be used; ErrSize is one of it: they are of a picture that is too large or too small.
var (
	ErrBadParams = errors.New("video: unusable parameter sets")
	ErrSize      = fmt.Errorf("%w: size", ErrBadParams)
)

// NewH264Params checks and copies the parameter sets of an H.264 stream. What it accepts can be written to an MP4.
func NewH264Params(sps, pps []byte) (p Params, err error) {
	switch {
	case len(sps) < 4 || sps[0]&0x1F != naluSPS:
		return p, fmt.Errorf("%w: no SPS", ErrBadParams)
	case len(pps) < 2 || pps[0]&0x1F != naluPPS:
		return p, fmt.Errorf("%w: no PPS", ErrBadParams)
	case len(sps) > maxParamBytes || len(pps) > maxParamBytes:
		return p, fmt.Errorf("%w: %d and %d bytes, the limit is %d", ErrBadParams, len(sps), len(pps), maxParamBytes)
	}
	size, err := sizeOf(sps)
	if err != nil {
		return p, err
	}
	if err := checkSize(size); err != nil {
		return p, err
	}
	// The MP4 writer has a parser of its own; an SPS that it refuses would be found out only when an alarm wants a clip.
	var s h264.SPS
	if err := s.Unmarshal(sps); err != nil {
		return p, fmt.Errorf("%w: %v", ErrBadParams, err)
	}
	return Params{Codec: H264, SPS: bytes.Clone(sps), PPS: bytes.Clone(pps), Size: size,
		frameNumBits: int(s.Log2MaxFrameNumMinus4) + 4, planes: s.SeparateColourPlaneFlag}, nil
}

// sizeOf asks vdk's parser, which can panic on bad input.
func sizeOf(sps []byte) (size Size, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrBadParams, r)
		}
	}()
	info, err := h264parser.ParseSPS(bytes.Clone(sps))
	if err != nil {
		return size, fmt.Errorf("%w: SPS: %v", ErrBadParams, err)
	}
	// Cropping is unsigned there: more cropping than picture wraps around and is then refused as too large.
	if info.Width > MaxSide || info.Height > 2*MaxSide {
		return size, fmt.Errorf("%w: picture of %dx%d", ErrSize, info.Width, info.Height)
	}
	return Size{Width: int(info.Width), Height: int(info.Height)}, nil
}

// checkSize refuses pictures that no camera of a shop sends.
func checkSize(size Size) error {
	if size.Width < 16 || size.Height < 16 || size.Width > MaxSide || size.Height > MaxSide {
		return fmt.Errorf("%w: picture of %v, 16 to %d pixels a side are possible", ErrSize, size, MaxSide)
	}
	return nil
}

// Valid says whether p came from a New function.
func (p Params) Valid() bool { return p.Codec != 0 && len(p.SPS) > 0 && len(p.PPS) > 0 }

// Equal says whether a decoder opened for p can decode pictures of q.
func (p Params) Equal(q Params) bool {
	return p.Codec == q.Codec && bytes.Equal(p.VPS, q.VPS) && bytes.Equal(p.SPS, q.SPS) && bytes.Equal(p.PPS, q.PPS)
}

// Sets returns the parameter sets in the order in which a decoder wants them.
func (p Params) Sets() [][]byte {
	if p.Codec == H265 {
		return [][]byte{p.VPS, p.SPS, p.PPS}
	}
	return [][]byte{p.SPS, p.PPS}
}

// Config returns the AVCDecoderConfigurationRecord or HEVCDecoderConfigurationRecord of ISO/IEC 14496-15 §5.3.3.1 and §8.3.3.1,
// with four-byte lengths as in AccessUnit.Data.
func (p Params) Config() []byte {
	if p.Codec == H265 {
		return p.hvcc()
	}
	b := []byte{1, p.SPS[1], p.SPS[2], p.SPS[3], 0xFC | 3, 0xE0 | 1, byte(len(p.SPS) >> 8), byte(len(p.SPS))}
	b = append(b, p.SPS...)
	b = append(b, 1, byte(len(p.PPS)>>8), byte(len(p.PPS)))
	b = append(b, p.PPS...)
	switch p.SPS[1] {
	case 100, 110, 122, 144: // the profiles for which the record continues; 4:2:0, 8 bits is what an eye decodes
		b = append(b, 0xFC|1, 0xF8, 0xF8, 0)
	}
	return b
}

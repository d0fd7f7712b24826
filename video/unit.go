package video

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"sitewatch/edge"
)

// MaxUnitBytes bounds one access unit. A 50 Mbit/s 2160p stream stays below it.
const MaxUnitBytes = 8 << 20

// maxNALUs bounds the NAL units of one picture: 2160p with a slice for each row of macroblocks has 135 of them.
const maxNALUs = 256

// AccessUnit is one coded picture, or with Audio one coded piece of the sound that goes with the pictures. Its zero value is
// neither.
type AccessUnit struct {
	// Data is the picture as it stands in an MP4 sample: each NAL unit behind its length in four bytes, big-endian.
	// Parameter sets, delimiters and filler are left out; Params has the former. It is shared: never write to it.
	// Of sound it is one AAC access unit, one Opus packet, or the PCM samples of one RTP packet.
	Data     []byte
	PTS      Ticks90k // when it is to be shown; see edge/TIME.md. Sound has the line of the pictures
	Keyframe bool     // decoding can begin here: an IDR picture, or a CRA or BLA picture of H.265
	Arrival  edge.Stamp
	Lost     uint32       // RTP packets known to be missing between the picture before and this one
	Audio    *AudioParams // nil: a picture
}

// NAL unit types, H.264 Table 7-1.
const (
	naluSlice     = 1
	naluIDR       = 5
	naluSPS       = 7
	naluPPS       = 8
	naluDelimiter = 9
	naluEndOfSeq  = 10
	naluEndOfStr  = 11
	naluFiller    = 12
)

// ErrNoPicture says that NAL units hold no slice of a picture: parameter sets or SEI alone, which some cameras send as
// if they were an access unit.
var ErrNoPicture = errors.New("video: no picture in the access unit")

// NewH264Unit makes an access unit of H.264 NAL units, copying them once. sps and pps are those that came with them,
// nil when none did; they alias nalus.
func NewH264Unit(nalus [][]byte, pts Ticks90k, arrival edge.Stamp) (u AccessUnit, sps, pps []byte, err error) {
	if err := checkCount(nalus); err != nil {
		return u, nil, nil, err
	}
	size, slices := 0, 0
	for _, n := range nalus {
		if len(n) == 0 {
			continue
		}
		switch t := n[0] & 0x1F; {
		case t == naluSPS:
			sps = n
		case t == naluPPS:
			pps = n
		case t >= naluSlice && t <= naluIDR:
			slices++
			u.Keyframe = u.Keyframe || t == naluIDR
		}
		if keptNALU(n) {
			size += 4 + len(n)
		}
	}
	if slices == 0 {
		return AccessUnit{}, sps, pps, ErrNoPicture
	}
	if u.Data, err = join(nalus, size, keptNALU); err != nil {
		return AccessUnit{}, sps, pps, err
	}
	u.PTS, u.Arrival = pts, arrival
	return u, sps, pps, nil
}

func checkCount(nalus [][]byte) error {
	if len(nalus) > maxNALUs {
		return fmt.Errorf("video: %d NAL units in one access unit, the limit is %d", len(nalus), maxNALUs)
	}
	return nil
}

// join makes Data of the NAL units that are kept, which take size bytes.
func join(nalus [][]byte, size int, kept func([]byte) bool) ([]byte, error) {
	if size > MaxUnitBytes {
		return nil, fmt.Errorf("video: access unit of %d bytes, the limit is %d", size, MaxUnitBytes)
	}
	data := make([]byte, 0, size)
	for _, n := range nalus {
		if kept(n) {
			data = AppendNALU(data, n)
		}
	}
	return data, nil
}

// keptNALU says whether n belongs into the stored unit: slices and SEI do, what Params holds and padding do not.
func keptNALU(n []byte) bool {
	if len(n) == 0 {
		return false
	}
	switch n[0] & 0x1F {
	case 0, naluSPS, naluPPS, naluDelimiter, naluEndOfSeq, naluEndOfStr, naluFiller:
		return false
	}
	return true
}

// AppendNALU appends n in the form that Data has.
func AppendNALU(dst, n []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(n)))
	return append(dst, n...)
}

// NALUs walks over the NAL units of Data. It stops at the first one that is not whole.
func (u AccessUnit) NALUs() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for b := u.Data; len(b) >= 4; {
			n := int64(binary.BigEndian.Uint32(b))
			if n > int64(len(b)-4) || !yield(b[4:4+n]) {
				return
			}
			b = b[4+n:]
		}
	}
}

package rtsp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/video"
)

// assembler makes access units of RTP packets. It is pure: no clock, no log. After a loss, and after anything that it could
// not read, it is silent until the next whole keyframe, because what refers to a damaged picture is damaged too.
type assembler struct {
	codec video.Codec
	emit  func(u video.AccessUnit, raw int64) // raw is the unwrapped RTP time

	gather gatherer
	ts     uint32 // of what gather holds
	byTime bool   // the marker is set inside of pictures: only another time ends one

	ended  bool   // a picture has been completed, at endedTS
	endTS  uint32 // its time
	params video.Params
	sets   [3][]byte // VPS, SPS, PPS as they came last, when they are not those of params yet
	setErr error     // the last ones could not be taken: the next keyframe does not belong to params

	broken    bool   // wait for a keyframe
	lossNow   bool   // packets are missing right before the next one
	damagedTS uint32 // RTP time of the picture that the loss may have reached into
	guard     bool   // damagedTS is meant
	skipping  bool   // RASL pictures are not to be shown: decoding began at the keyframe before them

	ticks unwrapper
	lost  uint32 // packets missing since the last unit that was handed on
	seen  uint64 // pictures, good or not
	bad   uint64 // packets and units that could not be read
	why   error  // why parameter sets or the last picture were not taken
	fatal error  // the stream cannot be taken at all
}

func newAssembler(codec video.Codec, vps, sps, pps []byte, emit func(video.AccessUnit, int64)) *assembler {
	a := &assembler{codec: codec, emit: emit, broken: true, gather: gatherer{codec: codec, open: -1}}
	a.setParams(vps, sps, pps)
	a.bad = 0 // a wrong description is put right by the pictures, or not
	return a
}

// loss says that n packets are missing before the next one.
func (a *assembler) loss(n uint32) {
	a.broken, a.lossNow = true, true
	a.lost += n
	a.gather.reset()
}

// packet takes the next packet and emits what it completes.
func (a *assembler) packet(p *rtp.Packet, arrival edge.Stamp) {
	if len(p.Payload) == 0 { // some cameras keep the line open with them
		return
	}
	if a.lossNow {
		a.lossNow = false
		// A picture whose beginning is here is whole, whatever is missing before it.
		a.guard, a.damagedTS = !a.begins(p.Payload), p.Timestamp
	}
	if !a.gather.empty() && p.Timestamp != a.ts {
		a.finish(arrival)
	}
	a.ts = p.Timestamp
	switch err := a.gather.add(p.Payload); {
	case errors.Is(err, errTooLarge):
		a.spoil(fmt.Errorf("%w: it sends an access unit of more than %d bytes or %d NAL units", ErrLimit, video.MaxUnitBytes, maxGathered))
		a.fatal = a.why
		return
	case err != nil && a.gather.empty() && a.broken:
		a.gather.reset() // we came into the middle of a picture, or have said so before
		return
	case err != nil:
		a.spoil(err)
		return
	}
	if p.Marker && !a.byTime {
		a.finish(arrival)
	}
}

// spoil gives up the picture that is being collected.
func (a *assembler) spoil(err error) {
	a.bad++
	a.why = err
	a.broken, a.guard, a.damagedTS = true, true, a.ts
	a.gather.reset()
}

// finish makes a unit of what is collected.
func (a *assembler) finish(arrival edge.Stamp) {
	if a.gather.open >= 0 {
		a.spoil(errPacket)
		return
	}
	nalus := a.gather.units()
	u, ok := a.unit(nalus, arrival)
	a.gather.reset()
	if !ok {
		return
	}
	u.Lost, a.lost = a.lost, 0
	a.emit(u, a.ticks.unwrap(a.ts))
}

func (a *assembler) unit(nalus [][]byte, arrival edge.Stamp) (u video.AccessUnit, ok bool) {
	var vps, sps, pps []byte
	var err error
	if a.codec == video.H265 {
		u, vps, sps, pps, err = video.NewH265Unit(nalus, 0, arrival)
	} else {
		u, sps, pps, err = video.NewH264Unit(nalus, 0, arrival)
	}
	a.setParams(vps, sps, pps)
	if errors.Is(err, video.ErrNoPicture) {
		return u, false
	}
	a.seen++
	same := a.ended && a.endTS == a.ts
	a.ended, a.endTS = true, a.ts
	if err != nil {
		a.spoil(err)
		return u, false
	}
	if same && a.continues(u) { // the marker stands at each slice
		a.byTime = true
		a.spoil(errPacket)
		return u, false
	}
	if a.setErr != nil && u.Keyframe {
		a.broken, a.params, a.why = true, video.Params{}, a.setErr
		if errors.Is(a.setErr, video.ErrSize) {
			a.fatal = fmt.Errorf("%w: %w", ErrLimit, a.setErr)
		}
		return u, false
	}
	began := a.broken && u.Keyframe && !(a.guard && a.ts == a.damagedTS)
	if began {
		a.broken, a.guard = false, false
	}
	if !a.params.Valid() {
		a.broken = true // without parameters the pictures up to the next keyframe are of no use either
		if a.why == nil {
			a.why = errNoParams
		}
	}
	if a.broken {
		return u, false
	}
	if !a.params.Plausible(u) {
		a.spoil(errPacket)
		return u, false
	}
	if u.Keyframe {
		a.skipping = a.codec == video.H265 && (began || bla(u))
	} else if a.skipping && a.params.Skipped(u) {
		return u, false
	}
	a.why = nil
	return u, true
}

var (
	errNoParams   = errors.New("no parameter sets came")
	errNoKeyframe = errors.New("no keyframe came")
)

// reason says why the pictures that came could not be used, nil when none came or they can.
func (a *assembler) reason() error {
	switch {
	case a.why != nil:
		return a.why
	case a.setErr != nil:
		return a.setErr
	case a.broken && a.seen > 0:
		return errNoKeyframe
	}
	return nil
}

// setParams takes parameter sets when they are usable and keeps the former ones when not. New ones become valid with the
// keyframe that they come with; until it no picture can refer to them.
func (a *assembler) setParams(vps, sps, pps []byte) {
	had := a.params.Valid()
	changed := false
	for i, n := range [][]byte{vps, sps, pps} {
		if n == nil {
			continue
		}
		if had && bytes.Equal(n, [][]byte{a.params.VPS, a.params.SPS, a.params.PPS}[i]) {
			a.sets[i], a.setErr = nil, nil
			continue
		}
		a.sets[i], changed = bytes.Clone(n), true
	}
	if !changed {
		return
	}
	pick := func(i int, old []byte) []byte {
		if a.sets[i] != nil {
			return a.sets[i]
		}
		return old
	}
	v, s, q := pick(0, a.params.VPS), pick(1, a.params.SPS), pick(2, a.params.PPS)
	if s == nil || q == nil || v == nil && a.codec == video.H265 {
		return
	}
	var p video.Params
	var err error
	if a.codec == video.H265 {
		p, err = video.NewH265Params(v, s, q)
	} else {
		p, err = video.NewH264Params(s, q)
	}
	if err != nil {
		a.bad++
		a.sets, a.setErr = [3][]byte{}, err
		return
	}
	a.params, a.sets, a.setErr = p, [3][]byte{}, nil
}

// begins says whether payload is what an access unit begins with: a delimiter, a VPS or, of H.264, an SPS.
func (a *assembler) begins(payload []byte) bool {
	if a.codec == video.H265 {
		if len(payload) > 4 && payload[0]>>1&0x3F == 48 {
			payload = payload[4:]
		}
		return len(payload) > 1 && (payload[0]>>1&0x3F == 35 || payload[0]>>1&0x3F == 32)
	}
	if len(payload) > 3 && payload[0]&0x1F == 24 {
		payload = payload[3:]
	}
	return len(payload) > 0 && (payload[0]&0x1F == 9 || payload[0]&0x1F == 7)
}

// continues says whether the first slice of u is not the first of its picture (H.264 §7.3.3 first_mb_in_slice, H.265 §7.3.6.1).
func (a *assembler) continues(u video.AccessUnit) bool {
	for n := range u.NALUs() {
		switch {
		case a.codec == video.H265 && len(n) > 2 && n[0]>>1&0x3F < 32:
			return n[2]&0x80 == 0
		case a.codec == video.H264 && len(n) > 1 && n[0]&0x1F >= 1 && n[0]&0x1F <= 5:
			return n[1]&0x80 == 0
		}
	}
	return false
}

// bla says whether u, a keyframe of H.265, is a BLA picture: what is said to lead it refers to what is not there.
func bla(u video.AccessUnit) bool {
	for n := range u.NALUs() {
		if t := n[0] >> 1 & 0x3F; t < 32 {
			return t >= 16 && t <= 18
		}
	}
	return false
}

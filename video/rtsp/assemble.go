package rtsp

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/video"
)

// maxFragments bounds the packets of one NAL unit. The decoder bounds their bytes but keeps every packet of them, so that
// fragments of a single byte would cost a hundred times what they say. 8 MiB in packets of 1400 are 6000.
const maxFragments = 8192

// assembler makes access units of RTP packets. It is pure: no clock, no log. After a loss, and after anything that it could
// not read, it is silent until the next whole IDR picture, because what refers to a damaged picture is damaged too.
type assembler struct {
	dec       *rtph264.Decoder
	mode      int
	fragments int

	pending   bool // the decoder holds NAL units of pendingTS that no marker has completed
	pendingTS uint32

	sps, pps []byte
	params   video.Params

	broken    bool   // wait for an IDR
	lossNow   bool   // packets are missing right before the next one
	damagedTS uint32 // RTP time of the picture that the loss may have reached into
	guard     bool   // damagedTS is meant

	ticks unwrapper
	bad   uint64 // packets and units that could not be read
}

func newAssembler(mode int, sps, pps []byte) (*assembler, error) {
	a := &assembler{mode: mode, broken: true}
	if err := a.reset(); err != nil {
		return nil, err
	}
	a.setParams(sps, pps)
	return a, nil
}

func (a *assembler) reset() error {
	a.dec = &rtph264.Decoder{PacketizationMode: a.mode}
	a.fragments, a.pending, a.broken = 0, false, true
	if err := a.dec.Init(); err != nil {
		return fmt.Errorf("%w: %v", ErrNoVideo, err)
	}
	return nil
}

// loss says that packets are missing before the next one.
func (a *assembler) loss() { a.broken, a.lossNow = true, true }

// packet takes the next packet. seen says that it completed a picture, good or not; ok that u can be used, and then raw
// is its unwrapped RTP time.
func (a *assembler) packet(p *rtp.Packet, arrival edge.Stamp) (u video.AccessUnit, raw int64, seen, ok bool) {
	if a.lossNow {
		a.lossNow, a.guard, a.damagedTS = false, true, p.Timestamp
	}
	fragment, whole := fuA(p.Payload)
	if fragment {
		if a.fragments++; len(p.Payload) < 3 || a.fragments > maxFragments {
			a.bad++
			a.reset()
			return u, 0, false, false
		}
	}
	if !fragment || whole {
		a.fragments = 0
	}
	nalus, err := a.dec.Decode(p)
	ts := p.Timestamp
	switch {
	case errors.Is(err, rtph264.ErrMorePacketsNeeded):
		if !fragment || whole {
			a.pending, a.pendingTS = true, ts
		}
		return u, 0, false, false
	case errors.Is(err, rtph264.ErrNonStartingPacketAndNoPrevious):
		return u, 0, false, false // we came into the middle of a picture
	case err != nil:
		a.bad++
		a.broken, a.guard, a.damagedTS, a.pending = true, true, ts, false
		return u, 0, false, false
	}
	// Cameras that set no marker end a picture with the first packet of the next: then its time is the one before.
	if a.pending && a.pendingTS != ts {
		ts, a.pendingTS = a.pendingTS, ts
	} else {
		a.pending = false
	}
	u, ok = a.unit(nalus, ts, arrival)
	return u, a.ticks.unwrap(ts), true, ok
}

func (a *assembler) unit(nalus [][]byte, ts uint32, arrival edge.Stamp) (video.AccessUnit, bool) {
	u, sps, pps, err := video.NewH264Unit(nalus, 0, arrival)
	a.setParams(sps, pps)
	if err != nil {
		if !errors.Is(err, video.ErrNoPicture) {
			a.bad++
			a.broken = true
		}
		return u, false
	}
	if a.broken && u.Keyframe && !(a.guard && ts == a.damagedTS) {
		a.broken, a.guard = false, false
	}
	if a.broken || !a.params.Valid() {
		a.broken = true // without parameters the pictures up to the next IDR are of no use either
		return u, false
	}
	if !a.params.Plausible(u) {
		a.bad++
		a.broken = true
		return u, false
	}
	return u, true
}

// setParams takes parameter sets when they are usable and keeps the former ones when not. New ones become valid with the
// IDR that they come with; until it no picture can refer to them.
func (a *assembler) setParams(sps, pps []byte) {
	if sps != nil {
		a.sps = sps
	}
	if pps != nil {
		a.pps = pps
	}
	if (sps == nil && pps == nil) || a.sps == nil || a.pps == nil {
		return
	}
	if a.params.Valid() && a.params.Equal(video.Params{Codec: video.H264, SPS: a.sps, PPS: a.pps}) {
		a.sps, a.pps = a.params.SPS, a.params.PPS // do not hold on to the packet
		return
	}
	p, err := video.NewH264Params(a.sps, a.pps)
	if err != nil {
		a.bad++
		a.sps, a.pps = a.params.SPS, a.params.PPS
		return
	}
	a.params, a.sps, a.pps = p, p.SPS, p.PPS
}

// fuA says whether payload is a fragment (RFC 6184 §5.8) and whether it is the last one of its NAL unit.
func fuA(payload []byte) (fragment, last bool) {
	if len(payload) == 0 || payload[0]&0x1F != 28 {
		return false, false
	}
	return true, len(payload) > 1 && payload[1]&0x40 != 0
}

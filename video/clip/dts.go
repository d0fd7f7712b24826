package clip

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"sitewatch/video"
)

// dts finds decoding times, which an MP4 needs and RTP does not carry. Without B-pictures, which cameras hardly ever send,
// they are the PTS.
type dts struct {
	ex     extractor
	params video.Params
	begun  bool
	prev   video.Ticks90k
}

// extractor follows how a stream counts its pictures.
type extractor interface {
	Extract(au [][]byte, pts int64) (int64, error)
}

func newExtractor(c video.Codec) extractor {
	if c == video.H265 {
		ex := &h265.DTSExtractor{}
		ex.Initialize()
		return ex
	}
	ex := &h264.DTSExtractor{}
	ex.Initialize()
	return ex
}

// next returns the decoding time of u, always later than the one before. Where the stream's own counting cannot be
// followed it falls back to the PTS.
func (d *dts) next(u video.AccessUnit, p video.Params) video.Ticks90k {
	at := u.PTS
	if d.ex == nil || u.Keyframe && !p.Equal(d.params) {
		d.ex, d.params = newExtractor(p.Codec), p
	}
	nalus := p.Sets()
	for n := range u.NALUs() {
		if len(n) > 0 {
			nalus = append(nalus, n)
		}
	}
	// What lies between the decoding of a CRA picture and its showing is left out at the beginning: nothing is to wait for it.
	if t, err := d.ex.Extract(nalus, int64(u.PTS)); err == nil && (d.begun || !p.CRA(u)) {
		at = video.Ticks90k(t)
	}
	if d.begun && at <= d.prev {
		at = d.prev + 1
	}
	d.begun, d.prev = true, at
	return at
}

package clip

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"sitewatch/video"
)

// dts finds decoding times, which an MP4 needs and RTP does not carry. Without B-pictures, which cameras hardly ever send,
// they are the PTS.
type dts struct {
	ex     *h264.DTSExtractor
	params video.Params
	begun  bool
	prev   video.Ticks90k
}

// next returns the decoding time of u, always later than the one before. Where the stream's own counting cannot be
// followed it falls back to the PTS.
func (d *dts) next(u video.AccessUnit, p video.Params) video.Ticks90k {
	at := u.PTS
	if d.ex == nil || u.Keyframe && !p.Equal(d.params) {
		d.ex, d.params = &h264.DTSExtractor{}, p
		d.ex.Initialize()
	}
	nalus := [][]byte{p.SPS}
	for n := range u.NALUs() {
		if len(n) > 0 {
			nalus = append(nalus, n)
		}
	}
	if t, err := d.ex.Extract(nalus, int64(u.PTS)); err == nil {
		at = video.Ticks90k(t)
	}
	if d.begun && at <= d.prev {
		at = d.prev + 1
	}
	d.begun, d.prev = true, at
	return at
}

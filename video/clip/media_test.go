package clip

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
)

// piece is a unit with the parameters that go with it.
type piece struct {
	u video.AccessUnit
	p video.Params
}

// encoded lets ffmpeg encode and gives what it made as a camera would send it: in the order of decoding, sound between the pictures, all of it
// arriving when it is decoded, the first at Mono 0.
func encoded(t *testing.T, args ...string) (out []piece) {
	t.Helper()
	all := append([]string{"-hide_banner", "-v", "error", "-nostdin"}, args...)
	cmd := exec.Command("ffmpeg", append(all, "-t", "20", "-pix_fmt", "yuv420p", "-threads", "1", "-f", "mp4", "-movflags", "empty_moov+default_base_moof+frag_keyframe", "pipe:1")...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, stderr.String())
	}
	var init fmp4.Init
	if err := init.Unmarshal(bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	var params video.Params
	for _, track := range init.Tracks {
		switch c := track.Codec.(type) {
		case *codecs.H264:
			params, err = video.NewH264Params(c.SPS, c.PPS)
		case *codecs.H265:
			params, err = video.NewH265Params(c.VPS, c.SPS, c.PPS)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range parts {
		for _, tr := range part.Tracks {
			track := init.Tracks[slices.IndexFunc(init.Tracks, func(i *fmp4.InitTrack) bool { return i.ID == tr.ID })]
			at := int64(tr.BaseTime)
			ticks := func(n int64) video.Ticks90k { return video.Ticks90k(n * int64(video.Second) / int64(track.TimeScale)) }
			for _, s := range tr.Samples {
				stamp := arrival(ticks(at).Duration())
				if track.Codec.IsVideo() {
					var nalus h264.AVCC
					if err := nalus.Unmarshal(s.Payload); err != nil {
						t.Fatal(err)
					}
					var u video.AccessUnit
					if params.Codec == video.H265 {
						u, _, _, _, err = video.NewH265Unit(nalus, ticks(at+int64(s.PTSOffset)), stamp)
					} else {
						u, _, _, err = video.NewH264Unit(nalus, ticks(at+int64(s.PTSOffset)), stamp)
					}
					if err != nil {
						t.Fatal(err)
					}
					out = append(out, piece{u, params})
				} else {
					out = append(out, piece{video.AccessUnit{Data: s.Payload, PTS: ticks(at), Arrival: stamp, Audio: audioOf(t, track.Codec)}, params})
				}
				at += int64(s.Duration)
			}
		}
	}
	return inOrder(out)
}

// inOrder sorts by arrival, pictures first.
func inOrder(out []piece) []piece {
	slices.SortStableFunc(out, func(a, b piece) int {
		if d := a.u.Arrival.Mono - b.u.Arrival.Mono; d != 0 {
			return int(d)
		}
		return len(b.u.Data) - len(a.u.Data)
	})
	return out
}

func arrival(at time.Duration) edge.Stamp {
	return edge.Stamp{Wall: wall0.Add(at), Mono: at, Boot: "b"}
}

func audioOf(t *testing.T, c codecs.Codec) (a *video.AudioParams) {
	t.Helper()
	var err error
	switch c := c.(type) {
	case *codecs.MPEG4Audio:
		var config []byte
		if config, err = c.Config.Marshal(); err == nil {
			a, err = video.NewAudioParams(video.AAC, c.Config.SampleRate, 1, config)
		}
	case *codecs.Opus:
		a, err = video.NewAudioParams(video.Opus, 48000, c.ChannelCount, nil)
	default:
		t.Fatalf("sound of %T", c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Twenty seconds of test picture and of a tone.
var (
	picture = []string{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=10"}
	tone    = []string{"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=16000"}
	x264    = []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-sc_threshold", "0"}
	x265    = []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=10:min-keyint=10:scenecut=0:bframes=0:open-gop=0", "-tag:v", "hvc1"}
	aac     = []string{"-c:a", "aac", "-b:a", "32k", "-ac", "1"}
)

func args(lists ...[]string) (all []string) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func ringOf(pieces []piece) *ring.Ring {
	r := newRing()
	for _, p := range pieces {
		r.Push(p.u, p.p)
	}
	return r
}

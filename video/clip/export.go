package clip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/deepch/vdk/av"
	"github.com/deepch/vdk/codec/aacparser"
	"github.com/deepch/vdk/codec/h264parser"
	"github.com/deepch/vdk/codec/h265parser"
	"github.com/deepch/vdk/format/mp4"

	"sitewatch/video"
)

// ftyp goes before what the muxer writes, which has none; some players refuse a file without it.
var ftyp = []byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1")

// Export writes the clip src as a progressive MP4 to dst, for players that do not open fragmented ones. Pictures and AAC are
// copied bit by bit; without says what the muxer cannot carry, Opus and LPCM, and is "" when nothing is left out. dst must not exist yet; it is
// removed when Export fails.
func Export(src, dst string) (without string, err error) {
	in, err := os.Open(src)
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if r := recover(); r != nil { // the muxer panics on what it does not expect
			err = fmt.Errorf("%v", r)
		}
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(dst)
			err = fmt.Errorf("export clip: %w", err)
		}
	}()
	if _, err := out.Write(ftyp); err != nil {
		return "", err
	}
	e := exporter{mux: mp4.NewMuxer(&shifted{out})}
	if err := e.copy(in); err != nil {
		return "", err
	}
	if err := e.mux.WriteTrailer(); err != nil {
		return "", err
	}
	if err := finishIndex(out, e.times()); err != nil {
		return "", err
	}
	return e.without, out.Sync()
}

// exporter hands the samples of a clip to the muxer.
type exporter struct {
	mux     *mp4.Muxer
	tracks  map[int]*exported // by track of the clip; nil: before the header
	order   []*exported       // as the muxer numbers them
	without string
}

// exported is one track. The muxer counts in ticks of 90 kHz whatever the track has.
type exported struct {
	idx   int8
	scale int64
	begun bool
	first video.Ticks90k
	at    video.Ticks90k // of the last sample
	last  video.Ticks90k // how long it is
	time  time.Duration  // of it, as the muxer is told
}

// copy hands every sample of in to the muxer.
func (e *exporter) copy(in io.ReaderAt) error {
	var head, moof []byte
	pictures := 0
	for pos := int64(0); ; {
		kind, box, err := readBox(in, pos)
		if errors.Is(err, io.EOF) && pictures > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		pos += int64(len(box))
		switch kind {
		case "ftyp":
			head = box
		case "moov":
			if err := e.header(append(head, box...)); err != nil {
				return err
			}
		case "moof":
			moof = box
		case "mdat":
			var parts fmp4.Parts
			if err := parts.Unmarshal(append(moof, box...)); err != nil {
				return err
			}
			for _, part := range parts {
				for _, track := range part.Tracks {
					t := e.tracks[track.ID]
					if t == nil {
						continue
					}
					if t.idx == 0 {
						pictures += len(track.Samples)
					}
					if err := e.samples(t, track); err != nil {
						return err
					}
				}
			}
		}
	}
}

func (e *exporter) samples(t *exported, track *fmp4.PartTrack) error {
	pos := int64(track.BaseTime)
	for _, s := range track.Samples {
		at := video.Ticks90k((pos*int64(video.Second) + t.scale/2) / t.scale)
		if !t.begun {
			t.begun, t.first, t.at = true, at, at
		}
		t.time += roundedUp(max(at-t.at, 0))
		t.at = at
		err := e.mux.WritePacket(av.Packet{Idx: t.idx, IsKeyFrame: !s.IsNonSyncSample, Data: s.Payload, Time: t.time,
			CompositionTime: roundedUp(video.Ticks90k(max(0, s.PTSOffset)))})
		if err != nil {
			return err
		}
		pos += int64(s.Duration)
		t.last = video.Ticks90k(int64(s.Duration) * int64(video.Second) / t.scale)
	}
	return nil
}

// times is what the muxer does not know of each track.
func (e *exporter) times() (out []trackTimes) {
	for _, t := range e.order {
		w := trackTimes{last: t.last}
		if t.begun {
			w.delay = max(0, t.first-e.order[0].first)
		}
		out = append(out, w)
	}
	return out
}

func (e *exporter) header(b []byte) error {
	var init fmp4.Init
	if err := init.Unmarshal(bytes.NewReader(b)); err != nil {
		return err
	}
	var data []av.CodecData
	e.tracks, e.order = map[int]*exported{}, nil
	for _, t := range init.Tracks {
		if t.TimeScale == 0 || t.Codec.IsVideo() != (len(data) == 0) || len(data) > 1 {
			return errors.New("not a clip of ours")
		}
		d, err := codecData(t.Codec)
		if err != nil {
			return err
		}
		if d == nil {
			e.without = "sound in " + codecName(t.Codec)
			continue
		}
		e.tracks[t.ID] = &exported{idx: int8(len(data)), scale: int64(t.TimeScale)}
		e.order = append(e.order, e.tracks[t.ID])
		data = append(data, d)
	}
	if len(data) == 0 {
		return errors.New("not a clip of ours")
	}
	return e.mux.WriteHeader(data)
}

// codecData is a track as the muxer knows it; nil: it does not.
func codecData(c codecs.Codec) (av.CodecData, error) {
	switch c := c.(type) {
	case *codecs.H264:
		p, err := video.NewH264Params(c.SPS, c.PPS)
		if err != nil {
			return nil, err
		}
		return h264parser.CodecData{Record: p.Config(), SPSInfo: h264parser.SPSInfo{Width: uint(p.Size.Width), Height: uint(p.Size.Height)}}, nil
	case *codecs.H265:
		p, err := video.NewH265Params(c.VPS, c.SPS, c.PPS)
		if err != nil {
			return nil, err
		}
		return h265parser.CodecData{Record: p.Config(), SPSInfo: h265parser.SPSInfo{Width: uint(p.Size.Width), Height: uint(p.Size.Height)}}, nil
	case *codecs.MPEG4Audio:
		config, err := c.Config.Marshal()
		if err != nil {
			return nil, err
		}
		return aacparser.NewCodecDataFromMPEG4AudioConfigBytes(config)
	case *codecs.Opus, *codecs.LPCM:
		return nil, nil
	}
	return nil, errors.New("not a clip of ours")
}

// roundedUp converts ticks so that the muxer, which rounds down, comes back to the same number.
func roundedUp(t video.Ticks90k) time.Duration {
	d := t.Duration()
	if video.TicksOf(d) < t {
		d++
	}
	return d
}

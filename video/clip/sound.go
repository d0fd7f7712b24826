package clip

import (
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/g711"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"sitewatch/video"
)

const (
	// maxSoundBytes bounds the sound of one fragment: five seconds of the largest that is taken in. More comes only when no pictures do.
	maxSoundBytes = 2 << 20
	// soundAhead is how much later than the newest picture sound may belong.
	soundAhead = 10 * video.Second
)

// sound is the second track of a file. AAC and Opus go in as they are, PCM as 16 bits big-endian: MP4 has no G.711, and its
// tables are exact. What cannot be taken is left out and said; it never costs a picture.
type sound struct {
	params  *video.AudioParams // of the track; nil: there is none
	codec   codecs.Codec
	closed  bool // the header is written
	samples []*fmp4.Sample
	bytes   int
	begun   bool
	base    int64 // where samples[0] belongs, in the track's time scale
	next    int64 // where the next piece belongs
	missing string
}

// soundCodec returns what the MP4's header says of p, nil when it cannot.
func soundCodec(p *video.AudioParams) codecs.Codec {
	switch p.Codec {
	case video.AAC:
		var c mpeg4audio.AudioSpecificConfig
		if c.Unmarshal(p.Config) != nil || c.SampleRate <= 0 {
			return nil
		}
		return &codecs.MPEG4Audio{Config: c}
	case video.Opus:
		return &codecs.Opus{ChannelCount: p.Channels}
	case video.PCMU, video.PCMA, video.LPCM:
		return &codecs.LPCM{BitDepth: 16, SampleRate: p.Rate, ChannelCount: p.Channels}
	}
	return nil
}

// add takes a piece of sound that belongs at that time of the clip, not before the first picture.
func (s *sound) add(u video.AccessUnit, at, first video.Ticks90k) {
	switch {
	case at < first:
		return
	case s.params == nil && s.closed:
		s.miss("the sound begins too late to be kept")
		return
	case s.params == nil:
		if s.codec = soundCodec(u.Audio); s.codec == nil {
			s.miss(fmt.Sprintf("sound of %v cannot be kept", u.Audio.Codec))
			return
		}
		s.params = u.Audio
	case !u.Audio.Equal(s.params):
		s.miss(fmt.Sprintf("the sound changed from %v of %d Hz to %v of %d Hz and is left out from there", s.params.Codec, s.params.Rate, u.Audio.Codec, u.Audio.Rate))
		return
	}
	data, long := s.piece(u.Data)
	if long <= 0 {
		s.miss("some sound is broken and left out")
		return
	}
	if s.bytes+len(data) > maxSoundBytes {
		s.miss("there is sound without pictures, which is left out")
		return
	}
	pos, near := int64(at)*int64(s.params.Rate)/int64(video.Second), int64(s.params.Rate)/20
	switch off := pos - s.next; {
	case !s.begun || off > near: // what is missing between is silent
		if n := len(s.samples); n > 0 {
			s.samples[n-1].Duration += uint32(off)
		}
		s.begun, s.next = true, pos
	case off < -near: // it is of the time of what is there already
		return
	}
	if len(s.samples) == 0 {
		s.base = s.next
	}
	s.samples = append(s.samples, &fmp4.Sample{Duration: uint32(long), Payload: data})
	s.bytes += len(data)
	s.next += long
}

// piece returns a piece of sound as it goes into the file, and its length in the track's time scale; 0: it is of no use.
func (s *sound) piece(b []byte) (data []byte, long int64) {
	if len(b) == 0 || len(b) > video.MaxAudioBytes {
		return nil, 0
	}
	p := s.params
	switch c := s.codec.(type) {
	case *codecs.MPEG4Audio:
		n := 1024
		if c.Config.FrameLengthFlag {
			n = 960
		}
		return b, int64(n) * int64(p.Rate) / int64(c.Config.SampleRate) // with SBR twice as many come out
	case *codecs.Opus:
		long = opus.PacketDuration2(b)
		if long > 5760 { // RFC 6716 §3.2.5: 120 ms
			return nil, 0
		}
		return b, long
	}
	switch p.Codec {
	case video.PCMU:
		var l g711.Mulaw
		l.Unmarshal(b)
		b = l
	case video.PCMA:
		var l g711.Alaw
		l.Unmarshal(b)
		b = l
	}
	frame := 2 * p.Channels
	long = int64(len(b) / frame)
	return b[:int(long)*frame], long
}

func (s *sound) miss(why string) {
	if s.missing == "" {
		s.missing = why
	}
}

// name is what a clip's fact says of its sound; "": it has none.
func (s *sound) name() string {
	if s.params == nil || !s.begun {
		return ""
	}
	return codecName(s.codec)
}

// codecName is a codec as the facts name it.
func codecName(c codecs.Codec) string {
	switch c.(type) {
	case *codecs.H264:
		return "h264"
	case *codecs.H265:
		return "h265"
	case *codecs.MPEG4Audio:
		return "aac"
	case *codecs.Opus:
		return "opus"
	case *codecs.LPCM:
		return "lpcm"
	}
	return ""
}

// track is the sound of the fragment that is written now, nil when there is none.
func (s *sound) track() *fmp4.PartTrack {
	if len(s.samples) == 0 {
		return nil
	}
	return &fmp4.PartTrack{ID: soundTrack, BaseTime: uint64(s.base), Samples: s.samples}
}

// drop forgets what is not written, or is.
func (s *sound) drop() { s.samples, s.bytes, s.closed = nil, 0, true }

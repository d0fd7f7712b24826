package rtsp

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpmpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/pion/rtp"

	"sitewatch/video"
)

// maxBadSound is how many packets in a row may be unreadable before the sound is left alone.
const maxBadSound = 200

// sound makes access units of a camera's sound. It is pure, like assembler.
type sound struct {
	media  *description.Media
	format format.Format

	params *video.AudioParams // nil until the stream has said it
	rate   int                // of RTP time
	step   int64              // RTP time of one piece, where a packet can have several
	split  func(p *rtp.Packet) ([][]byte, error)

	seq    sequence
	ssrc   uint32
	ticks  unwrapper
	begun  bool
	shift  video.Ticks90k // PTS is RTP time in 90 kHz and shift
	turn   uint64         // of the line of the pictures, for which shift holds
	prev   video.Ticks90k
	bad    int
	failed error
}

var errSound = errors.New("rtsp: sound that cannot be used")

// chooseSound takes the first sound that can be used; the error says why there is none.
func chooseSound(desc *description.Session) (snd *sound, err error) {
	defer func() {
		if r := recover(); r != nil { // a library's parsers read what the camera wrote
			snd, err = nil, fmt.Errorf("the camera's sound broke its reader: %v", r)
		}
	}()
	err = errors.New("the camera offers no sound")
	for _, m := range desc.Medias {
		for _, f := range m.Formats {
			if m.Type != description.MediaTypeAudio || m.IsBackChannel {
				continue
			}
			s, e := newSound(f)
			if e == nil {
				s.media, s.format = m, f
				return s, nil
			}
			err = fmt.Errorf("the camera's sound (%s) cannot be used: %w", f.Codec(), e)
		}
	}
	return nil, err
}

func newSound(f format.Format) (s *sound, err error) {
	s = &sound{rate: f.ClockRate(), split: whole}
	switch f := f.(type) {
	case *format.MPEG4Audio:
		d := &rtpmpeg4audio.Decoder{SizeLength: f.SizeLength, IndexLength: f.IndexLength, IndexDeltaLength: f.IndexDeltaLength}
		s.split = func(p *rtp.Packet) ([][]byte, error) {
			aus, err := d.Decode(p)
			if errors.Is(err, rtpmpeg4audio.ErrMorePacketsNeeded) {
				return nil, nil
			}
			return aus, err
		}
		err = s.aac(f.Config, 0)
	case *format.MPEG4AudioLATM:
		l := &latm{s: s, config: f.StreamMuxConfig, inBand: f.CPresent, clock: f.ClockRate()}
		s.split = l.split
		if !f.CPresent {
			err = l.take(f.StreamMuxConfig)
		}
	case *format.Opus:
		s.params, err = video.NewAudioParams(video.Opus, 48000, f.ChannelCount, nil)
	case *format.G711:
		codec := video.PCMA
		if f.MULaw {
			codec = video.PCMU
		}
		s.params, err = video.NewAudioParams(codec, f.SampleRate, f.ChannelCount, nil)
	case *format.LPCM:
		if f.BitDepth != 16 {
			return nil, fmt.Errorf("%w: %d bits", errSound, f.BitDepth)
		}
		s.params, err = video.NewAudioParams(video.LPCM, f.SampleRate, f.ChannelCount, nil)
	default:
		return nil, errSound
	}
	if err == nil && s.rate <= 0 {
		err = errSound
	}
	return s, err
}

func whole(p *rtp.Packet) ([][]byte, error) { return [][]byte{p.Payload}, nil }

// aac takes a configuration. With SBR RTP counts the samples that are heard, twice those that are coded. clock is that of RTP where it
// is not the samples'.
func (s *sound) aac(c *mpeg4audio.AudioSpecificConfig, clock int) error {
	b, err := c.Marshal()
	if err != nil {
		return err
	}
	if s.params, err = video.NewAudioParams(video.AAC, c.SampleRate, int(c.ChannelConfig), b); err != nil {
		return err
	}
	samples, rate := int64(1024), c.SampleRate
	if c.FrameLengthFlag {
		samples = 960
	}
	if c.ExtensionSampleRate > c.SampleRate {
		samples, rate = samples*int64(c.ExtensionSampleRate)/int64(c.SampleRate), c.ExtensionSampleRate
	}
	if clock == 0 {
		clock = rate
	}
	s.rate, s.step = clock, samples*int64(clock)/int64(rate)
	return nil
}

// latm reads AAC in MP4A-LATM (RFC 6416 §6), whose configuration may come with the sound.
type latm struct {
	s      *sound
	config *mpeg4audio.StreamMuxConfig
	inBand bool
	clock  int
	buf    []byte // of an element that is in several packets
}

func (l *latm) take(c *mpeg4audio.StreamMuxConfig) error {
	if c == nil || len(c.Programs) != 1 || len(c.Programs[0].Layers) != 1 || c.Programs[0].Layers[0].AudioSpecificConfig == nil {
		return fmt.Errorf("%w: more than one program or layer", errSound)
	}
	clock := 0
	if l.inBand {
		clock = l.clock
	}
	return l.s.aac(c.Programs[0].Layers[0].AudioSpecificConfig, clock)
}

func (l *latm) split(p *rtp.Packet) ([][]byte, error) {
	if len(l.buf)+len(p.Payload) > video.MaxAudioBytes {
		l.buf = l.buf[:0]
		return nil, errSound
	}
	if l.buf = append(l.buf, p.Payload...); !p.Marker {
		return nil, nil
	}
	b := bytes.Clone(l.buf)
	l.buf = l.buf[:0]
	if !l.inBand {
		return elements(b)
	}
	e := mpeg4audio.AudioMuxElement{MuxConfigPresent: true, StreamMuxConfig: l.config}
	if err := e.Unmarshal(b); err != nil {
		return nil, err
	}
	if e.StreamMuxConfig != nil && e.StreamMuxConfig != l.config {
		if err := l.take(e.StreamMuxConfig); err != nil {
			return nil, err
		}
		l.config = e.StreamMuxConfig
	}
	var out [][]byte
	for _, sub := range e.Payloads {
		for _, program := range sub {
			out = append(out, program...)
		}
	}
	return out, nil
}

// elements reads PayloadLengthInfo and PayloadMux of one layer (ISO/IEC 14496-3 §1.7.3.1), whatever else the configuration says:
// GStreamer's rtpmp4apay describes a frameLengthType and other data that it does not send.
func elements(b []byte) (out [][]byte, err error) {
	for len(b) > 0 {
		n, more := 0, true
		for more {
			if len(b) == 0 {
				return nil, errSound
			}
			n, more, b = n+int(b[0]), b[0] == 0xFF, b[1:]
		}
		if n > len(b) {
			return nil, errSound
		}
		out, b = append(out, b[:n]), b[n:]
	}
	return out, nil
}

// packet takes the next packet and returns its pieces with their RTP times, in the clock of the sound.
func (s *sound) packet(p *rtp.Packet) (pieces [][]byte, raw int64) {
	if s.failed != nil || len(p.Payload) == 0 {
		return nil, 0
	}
	if p.SSRC != s.ssrc {
		s.ssrc, s.seq, s.begun = p.SSRC, sequence{}, false
	}
	if _, repeated := s.seq.take(p.SequenceNumber); repeated {
		return nil, 0
	}
	pieces, err := s.split(p)
	for _, b := range pieces {
		if len(b) == 0 || len(b) > video.MaxAudioBytes {
			err = errSound
		}
	}
	if err != nil {
		if s.bad++; s.bad >= maxBadSound {
			s.failed = fmt.Errorf("the camera's sound cannot be used: %w", err)
		}
		return nil, 0
	}
	s.bad = 0
	return pieces, s.ticks.unwrap(p.Timestamp)
}

// ticks90k makes 1/90000 s of RTP time, without overflow over the whole range.
func (s *sound) ticks90k(raw int64) video.Ticks90k {
	r := int64(s.rate)
	return video.Ticks90k(raw/r*int64(video.Second) + raw%r*int64(video.Second)/r)
}

// soundOff is how far sound may be from where its arrival says and from the newest picture before it is put where it arrives: what a
// network held back comes late, and so do the pictures beside it. soundStep is below what nobody hears.
const (
	soundOff  = video.Second
	soundStep = video.Second / 50
)

// place returns the PTS of sound of RTP time raw, on the line of the pictures. now is where the line is by arrivals, picture the newest
// one's PTS.
func (s *sound) place(raw int64, now, picture video.Ticks90k, turn uint64) (video.Ticks90k, bool) {
	t := s.ticks90k(raw)
	far := func(from video.Ticks90k) bool { off := t + s.shift - from; return off > soundOff || off < -soundOff }
	if !s.begun || turn != s.turn || far(now) && far(picture) {
		s.begun, s.shift, s.turn = true, now-t, turn
	}
	pts := t + s.shift
	if s.prev != 0 && pts <= s.prev {
		return pts, false // the shift went back: a little is heard once only
	}
	s.prev = pts
	return pts, true
}

// align puts the sound where the sender reports say: at is the PTS at which the sound of RTP time raw was made.
func (s *sound) align(raw int64, at video.Ticks90k) {
	shift := at - s.ticks90k(raw)
	if d := shift - s.shift; s.begun && (d > soundStep || d < -soundStep) && d < soundOff && d > -soundOff {
		s.shift = shift
	}
}

// sent is what a sender report says: that what has this RTP time was made at this time of the camera's clock.
type sent struct {
	known bool
	ntp   uint64
	pts   video.Ticks90k // of pictures
	turn  uint64
}

// ntpTicks is the time from a to b in 1/90000 s.
func ntpTicks(a, b uint64) video.Ticks90k {
	d := int64(b - a)
	return video.Ticks90k(d>>32*int64(video.Second) + (d&0xFFFFFFFF)*int64(video.Second)>>32)
}

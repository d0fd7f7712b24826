package video

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
)

// AudioCodec says how sound is coded.
type AudioCodec uint8

const (
	AAC  AudioCodec = 1 // MPEG-4 AAC, ISO/IEC 14496-3
	Opus AudioCodec = 2 // RFC 6716
	PCMU AudioCodec = 3 // ITU-T G.711 µ-law
	PCMA AudioCodec = 4 // ITU-T G.711 A-law
	LPCM AudioCodec = 5 // 16 bits, signed, big-endian (RFC 3551 §4.5.11)
)

func (c AudioCodec) String() string {
	switch c {
	case AAC:
		return "AAC"
	case Opus:
		return "Opus"
	case PCMU:
		return "PCMU"
	case PCMA:
		return "PCMA"
	case LPCM:
		return "LPCM"
	}
	return fmt.Sprintf("audio(%d)", uint8(c))
}

// AudioParams is what a decoder must know of the sound. It is shared and never changed after it was made.
type AudioParams struct {
	Codec    AudioCodec
	Rate     int    // samples per second and channel
	Channels int    // 1 or 2 of PCM
	Config   []byte // AAC: the AudioSpecificConfig, ISO/IEC 14496-3 §1.6.2.1; nil otherwise
}

// ErrBadAudio says that sound cannot be used.
var ErrBadAudio = errors.New("video: unusable sound")

// MaxAudioBytes bounds one piece of sound: 100 ms of 48 kHz, 16 bits, stereo stays below it.
const MaxAudioBytes = 32 << 10

// NewAudioParams checks and copies. What it accepts can be written to an MP4.
func NewAudioParams(codec AudioCodec, rate, channels int, config []byte) (*AudioParams, error) {
	switch codec {
	case AAC:
		if len(config) < 2 || len(config) > 64 {
			return nil, fmt.Errorf("%w: AAC configuration of %d bytes", ErrBadAudio, len(config))
		}
		var c mpeg4audio.AudioSpecificConfig
		if err := c.Unmarshal(config); err != nil {
			return nil, fmt.Errorf("%w: AAC configuration: %v", ErrBadAudio, err)
		}
	case Opus:
		if rate != 48000 { // RFC 7587 §4.1
			return nil, fmt.Errorf("%w: Opus with %d Hz", ErrBadAudio, rate)
		}
	case PCMU, PCMA, LPCM:
	default:
		return nil, fmt.Errorf("%w: codec %d", ErrBadAudio, codec)
	}
	if rate < 4000 || rate > 96000 || channels < 1 || channels > 2 {
		return nil, fmt.Errorf("%w: %d Hz, %d channels", ErrBadAudio, rate, channels)
	}
	return &AudioParams{Codec: codec, Rate: rate, Channels: channels, Config: bytes.Clone(config)}, nil
}

// Equal says whether a decoder opened for a can decode sound of b.
func (a *AudioParams) Equal(b *AudioParams) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Codec == b.Codec && a.Rate == b.Rate && a.Channels == b.Channels && bytes.Equal(a.Config, b.Config)
}

// Duration is how long n bytes of PCM sound; 0 of AAC and Opus, where the bytes do not tell.
func (a *AudioParams) Duration(n int) time.Duration {
	sample := a.Channels
	switch a.Codec {
	case LPCM:
		sample *= 2
	case PCMU, PCMA:
	default:
		return 0
	}
	return time.Duration(n/sample) * time.Second / time.Duration(a.Rate)
}

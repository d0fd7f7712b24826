package video

import (
	"errors"
	"testing"
	"time"
)

func TestAudioParams(t *testing.T) {
	aac := []byte{0x14, 0x08} // AAC-LC, 16 kHz, mono
	for name, c := range map[string]struct {
		codec          AudioCodec
		rate, channels int
		config         []byte
		good           bool
	}{
		"AAC":                {AAC, 16000, 1, aac, true},
		"AAC without":        {AAC, 16000, 1, nil, false},
		"AAC, rubbish":       {AAC, 16000, 1, []byte{0xff, 0xff, 0xff}, false},
		"Opus":               {Opus, 48000, 2, nil, true},
		"Opus at 8 kHz":      {Opus, 8000, 2, nil, false},
		"µ-law":              {PCMU, 8000, 1, nil, true},
		"nine channels":      {PCMA, 8000, 9, nil, false},
		"no rate":            {LPCM, 0, 1, nil, false},
		"an unknown codec":   {99, 8000, 1, nil, false},
		"LPCM":               {LPCM, 44100, 2, nil, true},
		"a million a second": {LPCM, 1000000, 2, nil, false},
	} {
		a, err := NewAudioParams(c.codec, c.rate, c.channels, c.config)
		if (err == nil) != c.good || err != nil && !errors.Is(err, ErrBadAudio) {
			t.Errorf("%s: got %v, want good %v", name, err, c.good)
		}
		if err == nil && (!a.Equal(a) || a.Equal(nil)) {
			t.Errorf("%s: Equal is wrong", name)
		}
	}
}

func TestAudioDuration(t *testing.T) {
	for name, c := range map[string]struct {
		a    AudioParams
		n    int
		want time.Duration
	}{
		"µ-law":        {AudioParams{Codec: PCMU, Rate: 8000, Channels: 1}, 160, 20 * time.Millisecond},
		"16 bit":       {AudioParams{Codec: LPCM, Rate: 48000, Channels: 2}, 1920, 10 * time.Millisecond},
		"AAC, unknown": {AudioParams{Codec: AAC, Rate: 48000, Channels: 2}, 400, 0},
	} {
		if got := c.a.Duration(c.n); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

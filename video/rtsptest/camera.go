package rtsptest

import (
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtp"
)

// Fault is how a Camera misbehaves.
type Fault int

const (
	None         Fault = iota
	Stall              // the connection stays, nothing comes
	Rubbish            // RTP packets with random bytes
	Lossy              // every 20th packet is missing
	NoParameters       // parameter sets in the pictures only, not in the description; set it before the first Write
)

// Camera is made by Server.Camera.
type Camera struct {
	server *Server

	mu     sync.Mutex
	stream *gortsplib.ServerStream
	media  *description.Media
	enc    encoder
	sound  *description.Media
	fault  Fault
	sent   int
	sounds format.Format // nil: it has no microphone
}

// encoder is gortsplib's for H.264 or H.265.
type encoder interface {
	Encode(nalus [][]byte) ([]*rtp.Packet, error)
}

// Sound gives the camera a microphone. It is called before the first Write.
func (c *Camera) Sound(f format.Format) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sounds = f
}

// WriteSound sends a packet of the microphone, once there are pictures.
func (c *Camera) WriteSound(p *rtp.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil {
		return nil
	}
	return c.stream.WritePacketRTP(c.sound, p)
}

// Set makes the camera misbehave from now on.
func (c *Camera) Set(f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
}

func (c *Camera) current() *gortsplib.ServerStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream
}

// Write sends one access unit to everybody who looks. ts is its RTP time. The first one must have the parameter sets;
// before it the camera answers that it is not ready.
func (c *Camera) Write(nalus [][]byte, ts uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream == nil {
		if err := c.open(nalus); err != nil {
			return err
		}
	}
	if c.fault == Stall {
		return nil
	}
	packets, err := c.enc.Encode(nalus)
	if err != nil {
		return fmt.Errorf("packetize: %w", err)
	}
	for _, p := range packets {
		p.Timestamp = ts
		if c.sent++; c.fault == Lossy && c.sent%20 == 0 {
			continue
		}
		if c.fault == Rubbish {
			spoil(p)
		}
		if err := c.stream.WritePacketRTP(c.media, p); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// spoil keeps the RTP header and replaces what it carries, so that it is the depacketizer and what comes after it that
// have to cope. The NAL type changes from packet to packet.
func spoil(p *rtp.Packet) {
	b := make([]byte, max(2, len(p.Payload)))
	rand.Read(b)
	types := []byte{1, 5, 7, 8, 24, 24, 28, 28, 28, 25, 29, 0, 31}
	b[0] = 0x60 | types[int(b[0])%len(types)]
	if b[1]%5 == 0 {
		b = b[:1+int(b[1])%len(b)]
	}
	p.Payload = b
}

// open makes the stream when the first parameter sets are known: of H.265 when there is a VPS among them.
func (c *Camera) open(nalus [][]byte) error {
	f, enc, err := describe(nalus, c.fault != NoParameters)
	if err != nil {
		return fmt.Errorf("packetizer: %w", err)
	}
	media := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}
	medias := []*description.Media{media}
	if c.sounds != nil {
		c.sound = &description.Media{Type: description.MediaTypeAudio, Formats: []format.Format{c.sounds}}
		medias = append(medias, c.sound)
	}
	stream := &gortsplib.ServerStream{Server: c.server.server, Desc: &description.Session{Medias: medias}}
	if err := stream.Initialize(); err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	c.stream, c.media, c.enc = stream, media, enc
	return nil
}

// describe makes the format and the packetizer of a stream that begins with nalus.
func describe(nalus [][]byte, params bool) (format.Format, encoder, error) {
	f264, f265 := &format.H264{PayloadTyp: 96, PacketizationMode: 1}, &format.H265{PayloadTyp: 96}
	h265 := false
	for _, n := range nalus {
		if len(n) == 0 {
			continue
		}
		h265 = h265 || n[0] == 32<<1
		to := map[byte]*[]byte{32 << 1: &f265.VPS, 33 << 1: &f265.SPS, 34 << 1: &f265.PPS}[n[0]]
		if !h265 {
			to = map[byte]*[]byte{7: &f264.SPS, 8: &f264.PPS}[n[0]&0x1F]
		}
		if to != nil && params {
			*to = n
		}
	}
	if h265 {
		enc, err := f265.CreateEncoder()
		return f265, enc, err
	}
	enc, err := f264.CreateEncoder()
	return f264, enc, err
}

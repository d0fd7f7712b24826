package rtsptest

import (
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
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
	enc    *rtph264.Encoder
	fault  Fault
	sent   int
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

// open makes the stream when the first parameter sets are known.
func (c *Camera) open(nalus [][]byte) error {
	f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	for _, n := range nalus {
		if len(n) == 0 || c.fault == NoParameters {
			continue
		}
		switch n[0] & 0x1F {
		case 7:
			f.SPS = n
		case 8:
			f.PPS = n
		}
	}
	enc, err := f.CreateEncoder()
	if err != nil {
		return fmt.Errorf("packetizer: %w", err)
	}
	media := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}
	stream := &gortsplib.ServerStream{Server: c.server.server, Desc: &description.Session{Medias: []*description.Media{media}}}
	if err := stream.Initialize(); err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	c.stream, c.media, c.enc = stream, media, enc
	return nil
}

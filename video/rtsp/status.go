package rtsp

import (
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// Status is a snapshot for a status page.
type Status struct {
	Lost        bool
	Trouble     string // why there are no pictures, "" while they come
	Hint        string
	Codec       video.Codec // 0: none yet
	Size        video.Size
	LastUnit    edge.Stamp // zero: none yet
	Transport   string     // tcp or udp, "" before the first connection
	Advice      []string   // what is not as it should be although pictures come
	Units       uint64
	Bytes       uint64
	Connections uint64
	Frozen      string        // why the pictures stand still, "" when they do not
	Sound       string        // its codec, "" when none is taken
	GOP         time.Duration // from a keyframe to the next
	GOPBytes    int64
	Clock       video.CameraClock
	LostPackets uint64
	BadPackets  uint64
}

// Trouble says why there are no pictures, "" while they come.
func (c *Camera) Trouble() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble == nil && !c.lost {
		return ""
	}
	return c.reason()
}

// Status returns how the camera is.
func (c *Camera) Status() Status {
	var running Status
	c.mu.Lock()
	source := c.source
	c.mu.Unlock()
	if source != nil {
		source.tell(&running) // a Source holds its own lock while it hands on, and takes c.mu then: never the other way round
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Clock, s.Sound, s.Advice = running.Clock, running.Sound, running.Advice
	s.LostPackets += running.LostPackets
	s.BadPackets += running.BadPackets
	s.Lost, s.Codec, s.Size = c.lost, c.params.Codec, c.params.Size
	if c.source != nil {
		s.Transport = "tcp"
		udp := c.source.udp.Load()
		if udp {
			s.Transport = "udp"
		}
		switch {
		case c.opt.UDP && !udp:
			s.Advice = append(s.Advice, c.noUDP+": it is taken over TCP")
		case udp && !c.opt.UDP && c.source.packets.Load() > 0:
			s.Advice = append(s.Advice, errNoTCP.Error()+": it is taken over UDP")
		}
		if c.opt.Audio && c.opt.Clock.Now().Mono < c.mute {
			s.Advice = append(s.Advice, "with its sound no pictures come: it is left out")
		}
	}
	s.Frozen, s.GOP, s.GOPBytes = c.still, c.gop.last, c.gop.lastBytes
	if c.trouble != nil || c.lost {
		s.Trouble, s.Hint = c.reason(), edge.HintOf(c.trouble)
	}
	return s
}

// Clock returns what the camera's own clock shows.
func (c *Camera) Clock() video.CameraClock { return c.Status().Clock }

// tell adds what a running connection knows.
func (s *Source) tell(st *Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Clock = s.clock.now
	if off := s.line.pace.String(); off != "" {
		st.Advice = append(st.Advice, off)
	}
	if err := s.noSound.Load(); err != nil {
		st.Advice = append(st.Advice, (*err).Error())
	} else if s.sound != nil && s.sound.params != nil {
		st.Sound = s.sound.params.Codec.String()
	}
	st.LostPackets, st.BadPackets = s.lost.Load(), s.bad.Load()
}

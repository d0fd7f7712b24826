package rtsp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/video"
)

// Source is one connection to one stream of a camera.
type Source struct {
	opt Options
	*course
	dial   func(ctx context.Context, network, addr string) (net.Conn, error) // nil: over the network
	listen func(network, addr string) (net.PacketConn, error)                // for UDP

	sound *sound // nil: not wanted, or there is none
	sent  sent   // the last sender report of the pictures
	asm   *assembler
	seq   sequence
	ssrc  uint32
	load  load

	lastUnit atomic.Int64 // Mono of the last picture, usable or not
	lastGood atomic.Int64 // Mono of the last usable one, at first of the beginning
	packets  atomic.Uint64
	usable   atomic.Uint64
	lost     atomic.Uint64
	bad      atomic.Uint64
	reason   atomic.Pointer[error] // why the pictures that come cannot be used
	noSound  atomic.Pointer[error] // why no sound comes
	hasSound atomic.Bool           // it was set up
	udp      atomic.Bool           // RTP is asked for over UDP now

	failed chan error // what happened in the reader's goroutine; the first one counts
}

// NewSource returns a Source whose PTS begin at 0. Its Run may be called once.
func NewSource(opt Options) *Source {
	return newSource(opt.withDefaults(), &course{})
}

func newSource(opt Options, c *course) *Source {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line.connect()
	s := &Source{opt: opt, course: c, listen: listenPacket, failed: make(chan error, 1)}
	s.udp.Store(opt.UDP)
	return s
}

// course is what goes on over the connections of a camera.
type course struct {
	mu    sync.Mutex // held while a packet is taken and handed on: over UDP each port has a goroutine
	line  timeline
	clock clock

	packet, picture atomic.Int64 // Mono of the last of each
}

// Run connects and hands units to the sink until ctx ends or the connection does. It always returns an error that says
// why, without credentials in it.
func (s *Source) Run(ctx context.Context) error {
	secret, err := password(s.opt.PasswordFile)
	if err != nil {
		return err
	}
	err = s.run(ctx, secret)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return translate(err, secret)
}

// run connects, and follows the camera when it sends us on. Credentials go to the host that is configured and no other.
func (s *Source) run(ctx context.Context, secret string) error {
	u, err := parseAddress(s.opt.URL)
	if err != nil {
		return err
	}
	home, own := u.Hostname(), false
	for hop := range maxRedirects + 1 {
		user := s.opt.User
		if u.Hostname() != home {
			user = ""
		}
		err := s.overEither(ctx, u, user, secret, hop > 0 && !own)
		var to redirected
		if !errors.As(err, &to) {
			if u.Hostname() != home && errors.Is(translate(err, secret), ErrRefused) {
				return edge.WithHint(fmt.Errorf("%w: %s asks for a password, and gets none because it is another host", ErrRedirect, u.Host),
					"put that address into the camera's configuration")
			}
			return err
		}
		own = own || to.own
		if u, err = follow(u, to.location); err != nil {
			return err
		}
	}
	return edge.WithHint(fmt.Errorf("%w: more than %d times", ErrRedirect, maxRedirects), "put the address that shows pictures into the camera's configuration")
}

// connect is one connection to one host. away: the camera has said to go there, and it may not be this machine, which its own name may
// mean by now.
func (s *Source) connect(ctx context.Context, u *base.URL, user, secret string, away bool) error {
	m := &manners{basic: s.opt.Basic || u.Scheme == "rtsps", user: user, secret: secret}
	line := &line{within: s.opt.StallAfter, pulse: s.opt.Pulse, connect: s.dial, away: away}
	defer line.answered()
	c := &gortsplib.Client{
		Scheme: u.Scheme,
		Host:   u.Host,
		// Also the client's limit for a silent connection, which it measures by the wall clock in whole seconds: a clock that
		// is set forward costs one reconnection, and a limit near a second would be met by chance. Ours below is by Mono.
		ReadTimeout:           max(s.opt.StallAfter, 5*time.Second),
		WriteTimeout:          dialTimeout,
		InitialUDPReadTimeout: s.opt.UDPWait,
		Protocol:              s.protocol(),
		UserAgent:             "sitewatch",
		DialContext:           line.dial,
		ListenPacket:          s.listen,
		OnRequest:             m.request,
		OnResponse:            func(r *base.Response) { line.answered(); m.response(r) },
		OnServerRequest:       m.serverRequest,
		OnTransportSwitch:     func(error) {},
		OnDecodeError:         func(error) { s.bad.Add(1) },
		OnPacketsLost:         func(uint64) {}, // counted here, where a repeated packet is not taken for a loss
	}
	if u.Scheme == "rtsps" {
		var err error
		if c.TLSConfig, err = s.opt.trust(u.Hostname()); err != nil {
			return err
		}
	}
	if s.udp.Load() {
		if err := s.udpSocket(); err != nil {
			return err
		}
	}
	if err := c.Start(); err != nil {
		return err
	}
	var wg sync.WaitGroup
	closing := make(chan struct{})
	defer wg.Wait()
	defer close(closing)
	wg.Go(func() { // requests know no context: closing the client ends them
		select {
		case <-ctx.Done():
			line.hurry()
		case <-closing:
		}
		c.Close()
	})
	err := s.play(ctx, c, line, m, withCredentials(u, user, secret))
	basicOnly, location := m.outcome(err)
	switch {
	case basicOnly:
		return ErrBasic
	case location != "":
		return redirected{location, line.ownMachine()}
	}
	return err
}

func (s *Source) play(ctx context.Context, c *gortsplib.Client, line *line, m *manners, u *base.URL) error {
	var desc *description.Session
	if err := m.twice(func() (err error) { desc, _, err = c.Describe(u); return err }); err != nil {
		return err
	}
	track, err := choose(desc)
	if err != nil {
		return err
	}
	if s.udp.Load() && u.Scheme == "rtsps" && track.media.Profile != headers.TransportProfileSAVP {
		return fmt.Errorf("%w: the camera encrypts it inside of TLS only", errNoUDP)
	}
	s.asm = newAssembler(track.codec, track.vps, track.sps, track.pps, s.onUnit)
	if err := m.twice(func() error { _, err := c.Setup(desc.BaseURL, track.media, 0, 0); return err }); err != nil {
		return s.transportError(err)
	}
	c.OnPacketRTP(track.media, track.format, s.onPacket)
	c.OnPacketRTCP(track.media, s.onReport)
	if s.opt.Audio {
		s.setupSound(c, m, desc)
	}
	now := int64(s.opt.Clock.Now().Mono)
	s.lastUnit.Store(now)
	s.lastGood.Store(now)
	if err := m.twice(func() error { _, err := c.Play(nil); return err }); err != nil {
		return err
	}
	line.steady()
	return s.transportError(s.runWatch(ctx, c))
}

// onPacket runs in the client's reader goroutine, where a panic would end the process.
func (s *Source) onPacket(p *rtp.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			s.fail(fmt.Errorf("rtsp: packet that broke the depacketizer: %v", r))
		}
	}()
	arrival := s.opt.Clock.Now()
	s.course.packet.Store(int64(arrival.Mono))
	if n := s.packets.Add(1); n == 1 { // a camera that was away has its time for a first picture
		s.course.picture.Store(int64(arrival.Mono))
	} else if p.SSRC != s.ssrc { // its encoder began anew (RFC 3550 §8.2)
		s.seq = sequence{}
		s.asm.loss(0)
		s.line.connect()
	}
	s.ssrc = p.SSRC
	lost, repeated := s.seq.take(p.SequenceNumber)
	if lost > 0 {
		s.lost.Add(uint64(lost))
		s.asm.loss(lost)
	}
	seen, bad := s.asm.seen, s.asm.bad
	if !repeated {
		s.asm.packet(p, arrival)
	}
	if s.asm.seen != seen {
		s.lastUnit.Store(int64(arrival.Mono))
		s.course.picture.Store(int64(arrival.Mono))
		reason := s.asm.reason()
		s.reason.Store(&reason)
	}
	s.bad.Add(s.asm.bad - bad)
	err := s.asm.fatal
	if err == nil {
		err = s.load.packet(len(p.Payload), int64(s.asm.seen-seen), arrival.Mono)
	}
	if err != nil {
		s.fail(err)
	}
}

// onUnit hands a picture on.
func (s *Source) onUnit(u video.AccessUnit, raw int64) {
	u.PTS = s.line.next(raw, u.Arrival.Mono)
	s.usable.Add(1)
	s.lastGood.Store(int64(u.Arrival.Mono))
	s.opt.Sink.OnUnit(u, s.asm.params)
}

// setupSound asks for the sound beside the pictures. What is wrong with it is told and costs no picture.
func (s *Source) setupSound(c *gortsplib.Client, m *manners, desc *description.Session) {
	snd, err := chooseSound(desc)
	if err == nil {
		if e := m.twice(func() error { _, err := c.Setup(desc.BaseURL, snd.media, 0, 0); return err }); e != nil {
			err = fmt.Errorf("the camera refuses its sound: %s", safeText(e, m.secret))
		}
	}
	if err != nil {
		s.noSound.Store(&err)
		return
	}
	s.sound = snd
	s.hasSound.Store(true)
	c.OnPacketRTP(snd.media, snd.format, s.onSound)
	c.OnPacketRTCP(snd.media, s.onReport)
}

// onSound is onPacket for the sound: what breaks it ends the sound alone.
func (s *Source) onSound(p *rtp.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if r := recover(); r != nil {
			s.sound.failed = fmt.Errorf("the camera's sound broke its reader: %v", r)
			s.noSound.Store(&s.sound.failed)
		}
	}()
	arrival := s.opt.Clock.Now()
	if err := s.load.packet(len(p.Payload), 0, arrival.Mono); err != nil {
		s.fail(err)
		return
	}
	pieces, raw := s.sound.packet(p)
	if s.sound.failed != nil {
		s.noSound.Store(&s.sound.failed)
	}
	if !s.line.begun || s.line.prevRaw == minRaw || !s.asm.params.Valid() || s.sound.params == nil {
		return // there is no picture that it belongs to
	}
	for i, b := range pieces {
		pts, ok := s.sound.place(raw+int64(i)*s.sound.step, s.line.now(arrival.Mono), s.line.prevPTS, s.line.turn)
		if ok {
			s.opt.Sink.OnUnit(video.AccessUnit{Data: bytes.Clone(b), PTS: pts, Arrival: arrival, Audio: s.sound.params}, s.asm.params)
		}
	}
}

// onReport takes RTCP. A sender report ties RTP time to the camera's clock.
func (s *Source) onReport(p rtcp.Packet) {
	sr, ok := p.(*rtcp.SenderReport)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if r := recover(); r != nil { // as in onPacket
			s.fail(fmt.Errorf("rtsp: report that broke its reader: %v", r))
		}
	}()
	switch {
	case s.packets.Load() > 0 && sr.SSRC == s.ssrc && s.asm.ticks.begun:
		s.clock.report(sr.NTPTime, s.opt.Clock.Now())
		raw := s.asm.ticks.near(sr.RTPTime)
		s.sent = sent{known: s.line.begun && s.line.prevRaw != minRaw, ntp: sr.NTPTime, pts: s.line.at(raw), turn: s.line.turn}
	case s.sound != nil && sr.SSRC == s.sound.ssrc && s.sound.ticks.begun && s.sent.known && s.sent.turn == s.line.turn:
		s.sound.align(s.sound.ticks.near(sr.RTPTime), s.sent.pts+ntpTicks(s.sent.ntp, sr.NTPTime))
	}
}

// why says why the pictures that come cannot be used, nil when none come or they can.
func (s *Source) why() error {
	if err := s.reason.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Source) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// runWatch waits for the end of the connection and gives it up when no picture comes although packets may.
func (s *Source) runWatch(ctx context.Context, c *gortsplib.Client) error {
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- c.Wait() })
	defer wg.Wait()
	defer c.Close()
	t := time.NewTicker(s.opt.StallAfter / 8)
	defer t.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			if err := s.stalled(s.opt.Clock.Now().Mono); err != nil {
				return err
			}
		}
	}
}

// stalled says why the connection is given up at now, if it is. A camera that was damaged by a loss may send its next keyframe when
// somebody connects and not before; one that has sent none yet may only have a long way from one to the next.
func (s *Source) stalled(now time.Duration) error {
	since := func(at *atomic.Int64) time.Duration { return now - time.Duration(at.Load()) }
	patience := s.opt.KeyframeAfter
	if s.usable.Load() == 0 {
		patience *= 15
	}
	switch {
	case since(&s.lastUnit) > s.opt.StallAfter:
		return ErrStalled
	case since(&s.lastGood) > patience:
		if why := s.why(); why != nil {
			return fmt.Errorf("%w: %w", ErrUnusable, why)
		}
		return ErrUnusable
	}
	return nil
}

package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtp"

	"sitewatch/edge"
	"sitewatch/video"
)

// Source is one connection to one stream of a camera.
type Source struct {
	opt  Options
	line *timeline

	mu   sync.Mutex // held while a packet is taken: over UDP each port has a goroutine
	asm  *assembler
	seq  sequence
	load load

	lastUnit atomic.Int64 // Mono of the last picture, usable or not
	lastGood atomic.Int64 // Mono of the last usable one, at first of the beginning
	usable   atomic.Uint64
	lost     atomic.Uint64
	bad      atomic.Uint64
	reason   atomic.Pointer[error] // why the pictures that come cannot be used

	failed chan error // what happened in the reader's goroutine; the first one counts
}

// NewSource returns a Source whose PTS begin at 0. Its Run may be called once.
func NewSource(opt Options) *Source { return newSource(opt.withDefaults(), &timeline{}) }

func newSource(opt Options, line *timeline) *Source {
	line.connect()
	return &Source{opt: opt, line: line, failed: make(chan error, 1)}
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

func (s *Source) run(ctx context.Context, secret string) error {
	u, err := parseAddress(s.opt.URL)
	if err != nil {
		return err
	}
	var basicOnly atomic.Bool
	tcp := gortsplib.ProtocolTCP
	c := &gortsplib.Client{
		Scheme: u.Scheme,
		Host:   u.Host,
		// Also the client's limit for a silent connection, which it measures by the wall clock in whole seconds: a clock that
		// is set forward costs one reconnection, and a limit near a second would be met by chance. Ours below is by Mono.
		ReadTimeout:  max(s.opt.StallAfter, 5*time.Second),
		WriteTimeout: dialTimeout,
		Protocol:     &tcp,
		UserAgent:    "sitewatch",
		DialContext: func(dctx context.Context, network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: dialTimeout}
			return d.DialContext(dctx, network, addr)
		},
		OnResponse: func(r *base.Response) {
			basicOnly.Store(harden(r) || basicOnly.Load())
			if r.StatusCode == base.StatusOK && len(r.Body) > 0 {
				r.Body = mend(r.Body)
			}
		},
		OnTransportSwitch: func(error) {},
		OnDecodeError:     func(error) { s.bad.Add(1) },
		OnPacketsLost:     func(uint64) {}, // counted here, where a repeated packet is not taken for a loss
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
		case <-closing:
		}
		c.Close()
	})
	err = s.play(ctx, c, withCredentials(u, s.opt.User, secret))
	if err != nil && basicOnly.Load() {
		return ErrBasic
	}
	return err
}

// harden takes out of a response what we do not want the client to act on: redirects and Basic authentication. It reports
// whether Basic was all that was offered.
func harden(r *base.Response) (basicOnly bool) {
	delete(r.Header, "Location")
	offers := r.Header["WWW-Authenticate"]
	var kept base.HeaderValue
	for _, o := range offers {
		if !strings.HasPrefix(strings.ToLower(strings.TrimSpace(o)), "basic") {
			kept = append(kept, o)
		}
	}
	if len(offers) > 0 {
		r.Header["WWW-Authenticate"] = kept
	}
	return len(offers) > 0 && len(kept) == 0
}

func (s *Source) play(ctx context.Context, c *gortsplib.Client, u *base.URL) error {
	desc, _, err := c.Describe(u)
	if err != nil {
		return err
	}
	track, err := choose(desc)
	if err != nil {
		return err
	}
	s.asm = newAssembler(track.codec, track.vps, track.sps, track.pps, s.onUnit)
	if _, err = c.Setup(desc.BaseURL, track.media, 0, 0); err != nil {
		return err
	}
	c.OnPacketRTP(track.media, track.format, s.onPacket)
	now := int64(s.opt.Clock.Now().Mono)
	s.lastUnit.Store(now)
	s.lastGood.Store(now)
	if _, err = c.Play(nil); err != nil {
		return err
	}
	return s.runWatch(ctx, c)
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

// translate makes of the library's errors those of this package, and of any text one that may be shown.
func translate(err error, secret string) error {
	var status liberrors.ErrClientBadStatusCode
	var auth liberrors.ErrClientAuthSetup
	switch {
	case err == nil:
		return errors.New("rtsp: connection closed")
	case errors.Is(err, ErrBasic):
		return edge.WithHint(ErrBasic, "switch the camera to Digest authentication")
	case errors.As(err, &status) && (status.Code == base.StatusUnauthorized || status.Code == base.StatusForbidden):
		return edge.WithHint(ErrRefused, "check the camera's user and its password file")
	case errors.As(err, &auth):
		return edge.WithHint(ErrRefused, "the camera asks for a kind of authentication that is not known here")
	case errors.As(err, &status) && status.Code == base.StatusNotFound:
		return edge.WithHint(errors.New("rtsp: camera does not know this path"), "check the path in the camera's address")
	case errors.As(err, new(liberrors.ErrClientTCPTimeout)), errors.As(err, new(liberrors.ErrClientRequestTimedOut)):
		return ErrStalled
	case errors.Is(err, ErrLimit):
		return edge.WithHint(err, "lower the size, the rate or the bit rate of this stream in the camera's settings")
	case errors.Is(err, ErrStalled), errors.Is(err, ErrUnusable), errors.Is(err, ErrAddress), errors.Is(err, ErrNoVideo):
		return err
	}
	return errors.New("rtsp: " + strings.TrimPrefix(safeText(err, secret), "rtsp: "))
}

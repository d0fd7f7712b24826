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
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
	"github.com/pion/rtp"

	"sitewatch/edge"
)

// Source is one connection to one stream of a camera.
type Source struct {
	opt  Options
	line *timeline

	asm      *assembler
	lastUnit atomic.Int64 // Mono of the last picture, usable or not
	usable   atomic.Uint64
	lost     atomic.Uint64
	bad      atomic.Uint64

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
		OnResponse:        func(r *base.Response) { basicOnly.Store(harden(r) || basicOnly.Load()) },
		OnTransportSwitch: func(error) {},
		OnDecodeError:     func(error) { s.bad.Add(1) },
		OnPacketsLost: func(n uint64) {
			s.lost.Add(n)
			if s.asm != nil {
				s.asm.loss()
			}
		},
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
	var f *format.H264
	media := desc.FindFormat(&f)
	if media == nil {
		return ErrNoVideo
	}
	if s.asm, err = newAssembler(f.PacketizationMode, f.SPS, f.PPS); err != nil {
		return err
	}
	if _, err = c.Setup(desc.BaseURL, media, 0, 0); err != nil {
		return err
	}
	c.OnPacketRTP(media, f, s.onPacket)
	s.lastUnit.Store(int64(s.opt.Clock.Now().Mono))
	if _, err = c.Play(nil); err != nil {
		return err
	}
	return s.runWatch(ctx, c)
}

// onPacket runs in the client's reader goroutine, where a panic would end the process.
func (s *Source) onPacket(p *rtp.Packet) {
	defer func() {
		if r := recover(); r != nil {
			s.fail(fmt.Errorf("rtsp: packet that broke the depacketizer: %v", r))
		}
	}()
	arrival := s.opt.Clock.Now()
	u, raw, seen, ok := s.asm.packet(p, arrival)
	s.bad.Store(s.asm.bad)
	if seen {
		s.lastUnit.Store(int64(arrival.Mono))
	}
	if !ok {
		return
	}
	u.PTS = s.line.next(raw, arrival.Mono)
	s.usable.Add(1)
	s.opt.Sink.OnUnit(u, s.asm.params)
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
			if s.opt.Clock.Now().Mono-time.Duration(s.lastUnit.Load()) > s.opt.StallAfter {
				return ErrStalled
			}
		}
	}
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
	case errors.Is(err, ErrNoVideo):
		return edge.WithHint(ErrNoVideo, "set this stream of the camera to H.264")
	case errors.Is(err, ErrStalled), errors.Is(err, ErrAddress):
		return err
	}
	return errors.New("rtsp: " + strings.TrimPrefix(safeText(err, secret), "rtsp: "))
}

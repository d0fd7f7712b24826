package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"sitewatch/edge"
)

// errNoUDP says that RTP over UDP is configured and does not come.
var errNoUDP = errors.New("rtsp: no RTP comes over UDP")

// errNoTCP says that over TCP there is no RTP to be had.
var errNoTCP = errors.New("rtsp: camera refuses RTP over TCP")

// overTCPFor is how long a camera is asked over TCP before UDP is tried again.
const overTCPFor = 10 * time.Minute

// udpBuffer is asked for a socket, so that a keyframe which comes at once fits; the system may allow less.
const udpBuffer = 2 << 20

func (s *Source) protocol() *gortsplib.Protocol {
	p := gortsplib.ProtocolTCP
	if s.udp.Load() {
		p = gortsplib.ProtocolUDP
	}
	return &p
}

func listenPacket(network, addr string) (net.PacketConn, error) {
	c, err := net.ListenPacket(network, addr)
	if u, ok := c.(*net.UDPConn); ok && err == nil {
		_ = u.SetReadBuffer(udpBuffer) // a smaller one works too
	}
	return c, err
}

// overEither is connect, once more over UDP when the camera refuses TCP. What a camera of rtsps has inside of TLS is asked for in no
// other way.
func (s *Source) overEither(ctx context.Context, u *base.URL, user, secret string, away bool) error {
	err := s.connect(ctx, u, user, secret, away)
	switch {
	case !errors.Is(err, errNoTCP) || ctx.Err() != nil:
		return err
	case s.opt.UDP:
		return neither(errNoUDP)
	case u.Scheme == "rtsps":
		return edge.WithHint(fmt.Errorf("%w inside of TLS", errNoTCP), "allow RTP over TCP in the camera's settings: over UDP it is not asked for with rtsps")
	}
	s.udp.Store(true)
	defer s.udp.Store(false)
	if err = s.connect(ctx, u, user, secret, away); errors.Is(err, errNoUDP) {
		return neither(err)
	}
	return err
}

// neither says why there is no RTP in either way; it is no errNoUDP, after which TCP would be tried.
func neither(noUDP error) error {
	return edge.WithHint(fmt.Errorf("%w, and %s", errNoTCP, strings.TrimPrefix(noUDP.Error(), "rtsp: ")),
		"allow RTP over TCP in the camera's settings, or RTP over UDP in them and in each firewall on the way")
}

// udpSocket says whether there are sockets at all: the client tries without end to get one.
func (s *Source) udpSocket() error {
	c, err := s.listen("udp", ":0")
	if err != nil {
		return fmt.Errorf("%w: %w", errNoUDP, err)
	}
	return c.Close()
}

// transportError marks what is wrong with UDP or TCP and not with the camera: then the other one may work.
func (s *Source) transportError(err error) error {
	var status liberrors.ErrClientBadStatusCode
	refused := errors.As(err, &status) && status.Code == base.StatusUnsupportedTransport
	if !s.udp.Load() {
		if refused || errors.As(err, new(liberrors.ErrClientServerRequestedUDP)) {
			return errNoTCP
		}
		return err
	}
	switch {
	case refused, errors.As(err, new(liberrors.ErrClientServerRequestedTCP)):
		return fmt.Errorf("%w: the camera refuses", errNoUDP)
	case errors.As(err, new(liberrors.ErrClientServerPortsNotProvided)):
		return fmt.Errorf("%w: the camera names no ports", errNoUDP)
	case s.packets.Load() == 0 && (errors.As(err, new(liberrors.ErrClientUDPTimeout)) || errors.Is(err, ErrStalled)):
		return fmt.Errorf("%w: no packet for %v", errNoUDP, s.opt.UDPWait)
	}
	return err
}

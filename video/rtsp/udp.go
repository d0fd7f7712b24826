package rtsp

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// errNoUDP says that RTP over UDP is configured and does not come.
var errNoUDP = errors.New("rtsp: no RTP comes over UDP")

// overTCPFor is how long a camera is asked over TCP before UDP is tried again.
const overTCPFor = 10 * time.Minute

// udpBuffer is asked for a socket, so that a keyframe which comes at once fits; the system may allow less.
const udpBuffer = 2 << 20

func (s *Source) protocol() *gortsplib.Protocol {
	p := gortsplib.ProtocolTCP
	if s.opt.UDP && !s.tcp {
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

// udpError marks what is wrong with UDP and not with the camera: then TCP may work.
func (s *Source) udpError(err error) error {
	if !s.opt.UDP || s.tcp || err == nil {
		return err
	}
	var status liberrors.ErrClientBadStatusCode
	switch {
	case errors.As(err, &status) && status.Code == base.StatusUnsupportedTransport, errors.As(err, new(liberrors.ErrClientServerRequestedTCP)):
		return fmt.Errorf("%w: the camera refuses", errNoUDP)
	case errors.As(err, new(liberrors.ErrClientServerPortsNotProvided)):
		return fmt.Errorf("%w: the camera names no ports", errNoUDP)
	case s.packets.Load() == 0 && (errors.As(err, new(liberrors.ErrClientUDPTimeout)) || errors.Is(err, ErrStalled)):
		return fmt.Errorf("%w: no packet for %v", errNoUDP, s.opt.UDPWait)
	}
	return err
}

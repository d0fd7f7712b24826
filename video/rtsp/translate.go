package rtsp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"

	"sitewatch/edge"
)

// translate makes of the library's errors those of this package, and of any text one that may be shown.
func translate(err error, secret string) error {
	var status liberrors.ErrClientBadStatusCode
	var auth liberrors.ErrClientAuthSetup
	if bad := certificateError(err); bad != nil {
		return bad
	}
	switch {
	case err == nil:
		return errors.New("rtsp: connection closed")
	case errors.Is(err, ErrBasic):
		return edge.WithHint(ErrBasic, "switch the camera to Digest authentication; with basic: on the password is sent so that everybody on the way can read it")
	case errors.As(err, &status) && (status.Code == base.StatusUnauthorized || status.Code == base.StatusForbidden):
		return edge.WithHint(ErrRefused, "check the camera's user and its password file")
	case errors.As(err, &auth):
		return edge.WithHint(ErrRefused, "the camera asks for a kind of authentication that is not known here")
	case errors.As(err, &status) && status.Code == base.StatusUnsupportedTransport:
		return edge.WithHint(errors.New("rtsp: camera does not send RTP this way"), "set transport of this camera to the other one of tcp and udp")
	case errors.As(err, &status) && status.Code == base.StatusNotFound:
		return edge.WithHint(errors.New("rtsp: camera does not know this path"), "check the path in the camera's address")
	case errors.As(err, &status) && (status.Code == base.StatusServiceUnavailable || status.Code == base.StatusNotEnoughBandwidth || status.Code == base.StatusInternalServerError):
		return edge.WithHint(fmt.Errorf("rtsp: camera answers %d %s", status.Code, safeText(errors.New(status.Message), secret)),
			"see how many others look at this stream and how many the camera allows; if none does, switch the camera off and on")
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return edge.WithHint(errors.New("rtsp: the connection was ended at the other side"), "if this goes on, check the port in the camera's address, and rtsp or rtsps: what listens there may be no camera, or want TLS")
	case errors.Is(err, syscall.ECONNREFUSED): // the system's words name the address: a camera may have sent us on to it
		return edge.WithHint(plain(err, secret), "nothing listens there: check the camera's address and port; one that is starting takes a minute")
	case errors.As(err, new(*net.DNSError)):
		return edge.WithHint(plain(err, secret), "check the name in the camera's address and this box's DNS, or use its IP address")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, new(liberrors.ErrClientRequestTimedOut)):
		return edge.WithHint(fmt.Errorf("%w: it does not answer", ErrStalled), "check the port in the camera's address, and rtsp or rtsps; a camera that is busy may need to be switched off and on")
	case errors.As(err, new(liberrors.ErrClientTCPTimeout)), errors.As(err, new(liberrors.ErrClientUDPTimeout)):
		return ErrStalled
	case err.Error() == "NTP difference is too high": // of the key management (RFC 3830 §5.4)
		return edge.WithHint(errors.New("rtsp: camera's clock is wrong by more than an hour: its keys are not taken"), "set the camera's clock")
	case errors.Is(err, ErrLimit):
		return edge.WithHint(err, "lower the size, the rate or the bit rate of this stream in the camera's settings")
	case errors.Is(err, ErrStalled), errors.Is(err, ErrUnusable), errors.Is(err, ErrRedirect), errors.Is(err, errNoUDP), errors.Is(err, errNoTCP), errors.Is(err, ErrAddress), errors.Is(err, ErrNoVideo):
		return err
	}
	return plain(err, secret)
}

// plain is what somebody else's error says, without the secret.
func plain(err error, secret string) error {
	return errors.New("rtsp: " + strings.TrimPrefix(safeText(err, secret), "rtsp: "))
}

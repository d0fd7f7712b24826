package rtsp

import (
	"errors"
	"fmt"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"sitewatch/edge"
)

// ErrRedirect says that a camera sends us on, to where we do not go.
var ErrRedirect = errors.New("rtsp: camera sends us on to another address")

// maxRedirects is how often one connection attempt follows.
const maxRedirects = 3

// redirected is how a connection ends with which the camera sends us on.
type redirected struct {
	location string
	own      bool // said by a camera on this machine
}

func (redirected) Error() string { return ErrRedirect.Error() }

// follow returns the address that location means, seen from u. What stands in it of users and passwords is dropped.
func follow(u *base.URL, location string) (*base.URL, error) {
	if len(location) > 0 && location[0] == '/' {
		location = u.Scheme + "://" + u.Host + location
	}
	to, err := base.ParseURL(location)
	switch {
	case err != nil || to.Host == "" || to.Scheme != "rtsp" && to.Scheme != "rtsps":
		return nil, notFollowed("it is none")
	case u.Scheme == "rtsps" && to.Scheme == "rtsp":
		return nil, notFollowed("from TLS to none")
	}
	to.User = nil
	return to, nil
}

func notFollowed(why string) error {
	return edge.WithHint(fmt.Errorf("%w: %s", ErrRedirect, why), "put the address that shows pictures into the camera's configuration")
}

// toOurselves is for a camera that would have us speak with the programs of this machine, which trust it.
func toOurselves() error { return notFollowed("to this box itself") }

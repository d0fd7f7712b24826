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
type redirected struct{ location string }

func (redirected) Error() string { return ErrRedirect.Error() }

// follow returns the address that location means, seen from u. What stands in it of users and passwords is dropped.
func follow(u *base.URL, location string) (*base.URL, error) {
	no := func(why string) error {
		return edge.WithHint(fmt.Errorf("%w: %s", ErrRedirect, why), "put the address that shows pictures into the camera's configuration")
	}
	if len(location) > 0 && location[0] == '/' {
		location = u.Scheme + "://" + u.Host + location
	}
	to, err := base.ParseURL(location)
	switch {
	case err != nil || to.Host == "" || to.Scheme != "rtsp" && to.Scheme != "rtsps":
		return nil, no("it is none")
	case u.Scheme == "rtsps" && to.Scheme == "rtsp":
		return nil, no("from TLS to none")
	}
	to.User = nil
	return to, nil
}

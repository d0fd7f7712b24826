package onvif

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"sitewatch/edge"
)

// DevicePath is where every ONVIF device has its device service (Core 5.1.2).
const DevicePath = "/onvif/device_service"

// maxAddress bounds an address in an answer.
const maxAddress = 1000

// parseBase reads the address of a device. No error repeats it: it may hold a password.
func parseBase(s string) (*url.URL, error) {
	const hint = "write it like http://camera-1.local" + DevicePath
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "" || len(s) > maxAddress:
		return nil, edge.WithHint(fmt.Errorf("onvif: the device's address is no URL"), hint)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, edge.WithHint(fmt.Errorf("onvif: the device's address is not http or https"), hint)
	case u.User != nil:
		return nil, edge.WithHint(fmt.Errorf("onvif: the device's address has a user or a password in it"), "put them in user and password_file")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = DevicePath
	}
	u.Fragment = ""
	return u, nil
}

// hosts are the names and addresses that are one device.
type hosts struct {
	base   *url.URL
	remote netip.Addr // whom base turned out to be; invalid when that is not known
}

func (h hosts) self(host string) bool {
	if strings.EqualFold(host, h.base.Hostname()) {
		return true
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	b, err := netip.ParseAddr(h.base.Hostname())
	return err == nil && a == b.Unmap().WithZone("") || a == h.remote
}

// service is where an address of an answer is on the device itself: always on the host that base names. Devices write several
// into one string, write a path alone, or name an address that they once had or have behind a router; doubt says which.
func (h hosts) service(text string) (u *url.URL, doubt string) {
	var foreign *url.URL
	for _, s := range fields(text) {
		v, err := url.Parse(s)
		if err != nil || v.Opaque != "" || v.Path == "" && v.Host == "" {
			continue
		}
		out := &url.URL{Scheme: h.base.Scheme, Host: h.base.Host, Path: v.Path, RawPath: v.RawPath, RawQuery: v.RawQuery}
		switch {
		case v.Host == "" && v.Scheme == "" && strings.HasPrefix(v.Path, "/"):
			return out, ""
		case v.Scheme != "http" && v.Scheme != "https" || v.Hostname() == "":
		case h.self(v.Hostname()):
			out.Scheme, out.Host = v.Scheme, withPort(h.base.Hostname(), v.Port())
			return out, ""
		case foreign == nil:
			foreign, doubt = out, plain(v.Hostname())
		}
	}
	return foreign, doubt
}

// stream is likewise for RTSP, whose port is its own.
func (h hosts) stream(text string) (address, doubt string) {
	text = strings.TrimSpace(text)
	u, err := url.Parse(text)
	if err != nil || len(text) > maxAddress || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "rtsp" && u.Scheme != "rtsps" || plain(text) != text {
		return "", ""
	}
	if !h.self(u.Hostname()) {
		doubt = plain(u.Hostname())
	}
	u.Host, u.User, u.Fragment = withPort(h.base.Hostname(), u.Port()), nil, ""
	return u.String(), doubt
}

func withPort(host, port string) string {
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// fields splits a list of addresses; those past the first few, and those that are too long, are left out.
func fields(text string) (out []string) {
	for _, s := range strings.Fields(text) {
		if len(s) <= maxAddress && len(out) < 8 {
			out = append(out, s)
		}
	}
	return out
}

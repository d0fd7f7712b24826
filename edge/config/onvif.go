package config

import "net/url"

// onvif reads the address of a camera's device service. No message shows it: it may have a password in it.
func (o object) onvif(key string, dst *string) {
	s, ok := o.text(key)
	if !ok {
		return
	}
	const hint = "write it like http://camera-1.local/onvif/device_service"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "":
		o.r.bad(o.at(key), "is no URL", hint)
	case u.Scheme != "http" && u.Scheme != "https":
		o.r.bad(o.at(key), "is no address of ONVIF", hint)
	case u.User != nil:
		o.r.bad(o.at(key), "has a user or a password in it", "it is asked with user and password_file of the camera: take them out")
	case u.Hostname() == "":
		o.r.bad(o.at(key), "names no host", hint)
	default:
		if u.Port() != "" {
			if _, _, err := hostPort(u.Host); err != nil {
				o.r.bad(o.at(key), err.Error(), hint)
				return
			}
		}
		*dst = s
	}
}

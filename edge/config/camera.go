package config

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"sitewatch/edge"
)

func (o object) cameras() (out []Camera) {
	ids := map[edge.CameraID]int{}
	for i, n := range o.items("cameras") {
		path := index("cameras", i)
		c := o.r.camera(n, path)
		if first, ok := ids[c.ID]; ok && c.ID != "" {
			o.r.bad(path+".id", fmt.Sprintf("%s is used twice, first in line %d", quote(string(c.ID)), first), "give each camera its own id")
		} else {
			ids[c.ID] = o.r.lines[path+".id"]
		}
		out = append(out, c)
	}
	return out
}

func (r *reader) camera(n *node, path string) Camera {
	c := defaultCamera()
	o := r.object(n, path, "id", "name", "main", "sub", "user", "password_file", "ca_file", "certificate_sha256", "basic", "transport", "record", "segments", "audio", "role", "motion", "onvif")
	c.ID = edge.CameraID(o.id("id", "give each camera an id, such as stockroom"))
	c.Name = string(c.ID)
	o.set("name", &c.Name)
	if _, ok := o.need("main", "give the camera's address like rtsp://camera-1.local/main"); ok {
		o.rtsp("main", &c.Main)
	}
	o.rtsp("sub", &c.Sub)
	o.onvif("onvif", &c.ONVIF)
	o.set("user", &c.User)
	if o.set("password_file", &c.PasswordFile) {
		o.absolute("password_file", c.PasswordFile)
		if c.User == "" {
			r.bad(o.at("password_file"), "is given without a user", "add user: NAME")
		}
	}
	o.trust(&c)
	o.onOff("basic", &c.Basic)
	o.word("transport", &c.Transport, "tcp", "udp")
	o.word("record", &c.Record, "alarm", "continuous")
	if o.size("segments", &c.Segments) && c.Segments < minSegments {
		r.bad(o.at("segments"), c.Segments.String()+" is too little", "use at least "+minSegments.String()+", or leave it out: then limits.segments alone counts")
	}
	o.word("role", &c.Role, Roles...)
	o.look(&c.Look)
	o.onOff("audio", &c.Audio)
	return c
}

// onOff reads a switch.
func (o object) onOff(key string, dst *bool) {
	if n := o.vals[key]; n != nil {
		switch n.text {
		case "on", "off":
			*dst = n.text == "on"
		default:
			o.r.bad(o.at(key), "is neither on nor off", "use on or off")
		}
	}
}

// trust reads how the camera is recognised over TLS.
func (o object) trust(c *Camera) {
	if o.set("ca_file", &c.CAFile) {
		o.absolute("ca_file", c.CAFile)
	}
	if o.set("certificate_sha256", &c.CertificateSHA256) {
		c.CertificateSHA256 = strings.ToLower(strings.ReplaceAll(c.CertificateSHA256, ":", "")) // openssl x509 -fingerprint writes AB:CD:
		if b, err := hex.DecodeString(c.CertificateSHA256); err != nil || len(b) != 32 {
			o.r.bad(o.at("certificate_sha256"), "is no SHA-256 in 64 hex digits", "take it from: openssl x509 -in camera.pem -outform der | sha256sum")
		}
		if c.CAFile != "" {
			o.r.bad(o.at("certificate_sha256"), "is given beside ca_file", "keep one of them")
		}
	}
	if secure := strings.HasPrefix(c.Main, "rtsps:") || strings.HasPrefix(c.Sub, "rtsps:"); secure || c.Main == "" {
		return
	}
	for key, v := range map[string]string{"ca_file": c.CAFile, "certificate_sha256": c.CertificateSHA256} {
		if v != "" {
			o.r.bad(o.at(key), "is for TLS, and the camera's address is not", "begin the address with rtsps://")
		}
	}
}

// rtsp reads the address of a camera's stream.
func (o object) rtsp(key string, dst *string) {
	o.address(key, dst, "is no RTSP address", "write it like rtsp://camera-1.local/main",
		"put the name in user, the password in a file of its own, and that file's path in password_file", "rtsp", "rtsps")
}

// onvif reads the address of a camera's device service.
func (o object) onvif(key string, dst *string) {
	o.address(key, dst, "is no address of ONVIF", "write it like http://camera-1.local/onvif/device_service",
		"it is asked with user and password_file of the camera: take them out", "http", "https")
}

// address reads a camera's address of one of the schemes. A password in it must not be repeated in any message, so no message shows the
// address.
func (o object) address(key string, dst *string, other, hint, userHint string, schemes ...string) {
	s, ok := o.text(key)
	if !ok {
		return
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "":
		o.r.bad(o.at(key), "is no URL", hint)
	case !contains(schemes, u.Scheme):
		o.r.bad(o.at(key), other, hint)
	case u.User != nil:
		o.r.bad(o.at(key), "has a user or a password in it", userHint)
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

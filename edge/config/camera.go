package config

import (
	"fmt"
	"net/url"

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
	o := r.object(n, path, "id", "name", "main", "sub", "user", "password_file", "transport", "record", "segments", "audio", "role")
	c.ID = edge.CameraID(o.id("id", "give each camera an id, such as stockroom"))
	c.Name = string(c.ID)
	o.set("name", &c.Name)
	if _, ok := o.need("main", "give the camera's address like rtsp://camera-1.local/main"); ok {
		o.rtsp("main", &c.Main)
	}
	o.rtsp("sub", &c.Sub)
	o.set("user", &c.User)
	if o.set("password_file", &c.PasswordFile) {
		o.absolute("password_file", c.PasswordFile)
		if c.User == "" {
			r.bad(o.at("password_file"), "is given without a user", "add user: NAME")
		}
	}
	o.word("transport", &c.Transport, "tcp", "udp")
	o.word("record", &c.Record, "alarm", "continuous")
	if o.size("segments", &c.Segments) && c.Segments < minSegments {
		r.bad(o.at("segments"), c.Segments.String()+" is too little", "use at least "+minSegments.String()+", or leave it out: then limits.segments alone counts")
	}
	o.word("role", &c.Role, Roles...)
	if n := o.vals["audio"]; n != nil {
		switch n.text {
		case "on", "off":
			c.Audio = n.text == "on"
		default:
			r.bad(o.at("audio"), "is neither on nor off", "use on or off")
		}
	}
	return c
}

// rtsp reads a camera's address. A password in it must not be repeated in any message, so no message shows the address.
func (o object) rtsp(key string, dst *string) {
	s, ok := o.text(key)
	if !ok {
		return
	}
	const hint = "write it like rtsp://camera-1.local/main"
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Opaque != "":
		o.r.bad(o.at(key), "is no URL", hint)
	case u.Scheme != "rtsp" && u.Scheme != "rtsps":
		o.r.bad(o.at(key), "is no RTSP address", hint)
	case u.User != nil:
		o.r.bad(o.at(key), "has a user or a password in it", "put the name in user, the password in a file of its own, and that file's path in password_file")
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

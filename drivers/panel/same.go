package panel

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// SamePort says whether two ports of a configuration are one: a device under two names (/dev/serial/by-id/..., /dev/ttyUSB0), an
// address written in two ways. Two drivers on one line would each take the other's answers. It opens nothing and asks no name
// server; a device that is not there is known by its path alone.
func SamePort(a, b string) bool {
	p, err := ParsePort(a)
	if err != nil {
		return false
	}
	q, err := ParsePort(b)
	if err != nil {
		return false
	}
	switch {
	case p.Kind == Serial || q.Kind == Serial:
		return p.Kind == q.Kind && sameDevice(p.Address, q.Address)
	case (p.Kind == TCPListen) != (q.Kind == TCPListen):
		return false
	}
	host, port := endpoint(p.Address)
	host2, port2 := endpoint(q.Address)
	anywhere := p.Kind == TCPListen && (host == "" || host2 == "")
	return port == port2 && port != 0 && (host == host2 || anywhere)
}

func sameDevice(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) || resolved(a) == resolved(b) {
		return true
	}
	s, ok := device(a)
	t, ok2 := device(b)
	return ok && ok2 && s == t
}

// resolved is the path behind symlinks, as far as there is one.
func resolved(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	return filepath.Clean(path)
}

// device is the number of a character device.
func device(path string) (rdev uint64, ok bool) {
	fi, err := os.Stat(path)
	if err != nil || fi.Mode()&os.ModeCharDevice == 0 {
		return 0, false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return uint64(st.Rdev), true
}

// endpoint is a TCP address in one form; host is "" for every address of this machine.
func endpoint(addr string) (host string, port uint64) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, 0
	}
	port, _ = strconv.ParseUint(p, 10, 16) // ParsePort has seen that it is one
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if host = ip.Unmap().String(); ip.IsUnspecified() {
			host = ""
		}
	}
	return host, port
}

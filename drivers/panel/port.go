package panel

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"sitewatch/drivers/rs485"
)

// PortKind is how a panel is connected.
type PortKind string

const (
	Serial    PortKind = "serial"     // a tty: /dev/...
	TCPListen PortKind = "tcp-listen" // the panel dials us, maybe only to deliver
	TCPDial   PortKind = "tcp"        // we dial the panel, or a serial device server
	ModbusTCP PortKind = "modbus-tcp" // we dial, and frames are those of Modbus TCP
)

// PortSpec is a parsed port of the configuration. Address is a path, or host:port.
type PortSpec struct {
	Kind    PortKind
	Address string
}

// ParsePort reads a port as the configuration writes it: an absolute path, tcp-listen://host:port, tcp://host:port
// or modbus-tcp://host:port.
func ParsePort(s string) (PortSpec, error) {
	scheme, addr, ok := strings.Cut(s, "://")
	if !ok {
		if !strings.HasPrefix(s, "/") || strings.ContainsRune(s, 0) {
			return PortSpec{}, fmt.Errorf("port %q is neither an absolute path nor tcp-listen://, tcp:// or modbus-tcp:// with host:port", s)
		}
		return PortSpec{Kind: Serial, Address: s}, nil
	}
	kind := PortKind(scheme)
	if kind != TCPListen && kind != TCPDial && kind != ModbusTCP {
		return PortSpec{}, fmt.Errorf("port %q: nothing is known as %q", s, scheme+"://")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return PortSpec{}, fmt.Errorf("port %q: %w", s, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || (n == 0 && kind != TCPListen) {
		return PortSpec{}, fmt.Errorf("port %q: %q is not a TCP port number", s, port)
	}
	if host == "" && kind != TCPListen {
		return PortSpec{}, fmt.Errorf("port %q names no host", s)
	}
	return PortSpec{Kind: kind, Address: addr}, nil
}

// Check says everything that is wrong with the port and the settings of a panel, without opening anything.
func Check(d Driver, port string, settings map[string]any) []Problem {
	var out []Problem
	spec, err := ParsePort(port)
	switch {
	case err != nil:
		out = append(out, Problem{"port", err.Error(), "for example /dev/serial/by-id/usb-..., which stays the same after a restart, or tcp-listen://0.0.0.0:10002"})
	case !slices.Contains(d.Ports, spec.Kind):
		out = append(out, Problem{"port", fmt.Sprintf("%s cannot be used through %s", d.Name, spec.Kind), fmt.Sprintf("it can be used through %v", d.Ports)})
	case spec.Kind == TCPListen && strings.HasSuffix(spec.Address, ":0"):
		out = append(out, Problem{"port", "port 0 would be another one at every start", "write the port that the panel is told to connect to"})
	}
	s := NewSettings(settings)
	readLine(d, s)
	d.New(s, SessionOptions{})
	return append(out, s.Problems()...)
}

// readLine reads the settings that every panel has.
func readLine(d Driver, s *Settings) lineSettings {
	l := lineSettings{
		serial: rs485.Options{
			Baud:      s.Int("baud", d.Line.Baud),
			Format:    rs485.Format(s.String("format", string(d.Line.Format))),
			Direction: rs485.Direction(s.Choice("rs485", string(rs485.Auto), string(rs485.On), string(rs485.Off), string(rs485.RTS))),
		},
		silence: s.Duration("silence", d.Silence),
		given:   s.Has("silence"),
	}
	if err := rs485.CheckBaud(l.serial.Baud); err != nil {
		s.Problem("baud", err.Error(), fmt.Sprintf("it must be what the panel is set to, often %d", d.Line.Baud))
	}
	if err := l.serial.Format.Check(); err != nil {
		s.Problem("format", err.Error(), fmt.Sprintf("often %s", d.Line.Format))
	}
	return l
}

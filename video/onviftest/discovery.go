package onviftest

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// probePort is that of WS-Discovery.
const probePort = 3702

// listenProbes hears probes to the group on the interfaces, and those that are sent to the machine alone. Several devices may.
func listenProbes(ctx context.Context, interfaces []string) (*net.UDPConn, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			for _, name := range interfaces {
				ifi, ierr := net.InterfaceByName(name)
				if ierr != nil {
					err = ierr
					return
				}
				err = errors.Join(err, unix.SetsockoptIPMreqn(int(fd), unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: [4]byte{239, 255, 255, 250}, Ifindex: int32(ifi.Index)}))
			}
		})
		return errors.Join(cerr, err)
	}}
	conn, err := lc.ListenPacket(ctx, "udp4", fmt.Sprintf(":%d", probePort))
	if err != nil {
		return nil, fmt.Errorf("probes: %w", err)
	}
	return conn.(*net.UDPConn), nil
}

func (d *Device) answerProbes(ctx context.Context) {
	defer d.udp.Close()
	defer context.AfterFunc(ctx, func() { d.udp.SetReadDeadline(time.Unix(1, 0)) })()
	b := make([]byte, 64<<10)
	for ctx.Err() == nil {
		n, from, err := d.udp.ReadFromUDPAddrPort(b)
		if err != nil {
			continue // ctx ended, or a bad datagram
		}
		var p struct {
			Header struct{ MessageID string }
			Body   struct{ Probe *struct{ Types string } }
		}
		if xml.Unmarshal(b[:n], &p) != nil || p.Body.Probe == nil || d.has(Silent) {
			continue
		}
		if t := p.Body.Probe.Types; t != "" && !strings.Contains(t, "NetworkVideoTransmitter") {
			continue
		}
		d.mu.Lock()
		d.calls["Probe"]++
		d.mu.Unlock()
		d.udp.WriteToUDPAddrPort([]byte(d.match(p.Header.MessageID)), from)
	}
}

func (d *Device) match(id string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope" xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"` +
		` xmlns:wsadis="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:dn="http://www.onvif.org/ver10/network/wsdl"><env:Header>` +
		`<wsadis:MessageID>urn:uuid:cea94000-fb96-11b3-8260-686dbc5cb15d</wsadis:MessageID><wsadis:RelatesTo>` + text(id) + `</wsadis:RelatesTo>` +
		`<wsadis:To>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</wsadis:To><wsadis:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/ProbeMatches</wsadis:Action>` +
		`<d:AppSequence InstanceId="1" MessageNumber="7"/></env:Header><env:Body><d:ProbeMatches><d:ProbeMatch><wsadis:EndpointReference><wsadis:Address>urn:uuid:` +
		text(d.opt.Serial) + `</wsadis:Address></wsadis:EndpointReference><d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types><d:Scopes>` +
		text(strings.Join(d.scopes(), " ")) + `</d:Scopes><d:XAddrs>` + d.address("device") + `</d:XAddrs><d:MetadataVersion>10</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></env:Body></env:Envelope>`
}

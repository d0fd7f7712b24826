package rtsptest

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// udp is the way of a bad camera's RTP that does not go over the connection. Nobody listens to what the client sends there.
type udp struct{ rtp, rtcp *net.UDPConn }

const udpPorts = "client_port="

// setupUDP answers SETUP of a camera that sends over UDP alone.
func (p *peer) setupUDP(q request, transport string) error {
	var first int
	_, ports, ok := strings.Cut(transport, udpPorts)
	if _, err := fmt.Sscanf(ports, "%d", &first); err != nil || !ok || strings.Contains(transport, "RTP/AVP/TCP") || p.over != nil {
		return p.reply(q, "461 Unsupported Transport", "")
	}
	var err error
	if p.over, err = openUDP(p.conn, first); err != nil {
		return errors.Join(p.reply(q, "500 Internal Server Error", ""), err)
	}
	port := func(c *net.UDPConn) int { return c.LocalAddr().(*net.UDPAddr).Port }
	return p.reply(q, "200 OK", "", fmt.Sprintf("Transport: RTP/AVP;unicast;client_port=%d-%d;server_port=%d-%d;ssrc=%08X",
		first, first+1, port(p.over.rtp), port(p.over.rtcp), ssrc), fmt.Sprintf("Session: %s;timeout=60", session))
}

// openUDP takes a socket for each of the client's two ports.
func openUDP(conn net.Conn, first int) (*udp, error) {
	here, ok1 := conn.LocalAddr().(*net.TCPAddr)
	there, ok2 := conn.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return nil, errors.New("bad camera: no address to send to")
	}
	dial := func(port int) (*net.UDPConn, error) {
		return net.DialUDP("udp", &net.UDPAddr{IP: here.IP, Zone: here.Zone}, &net.UDPAddr{IP: there.IP, Zone: there.Zone, Port: port})
	}
	rtp, err := dial(first)
	if err != nil {
		return nil, err
	}
	rtcp, err := dial(first + 1)
	if err != nil {
		return nil, errors.Join(err, rtp.Close())
	}
	return &udp{rtp, rtcp}, nil
}

// send writes a datagram for each packet. That nobody is there (ICMP) is known from the connection soon enough.
func (u *udp) send(ps []packet) error {
	for _, k := range ps {
		b := k.append(nil)
		if _, err := u.rtp.Write(b[4:]); err != nil && errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}

func (u *udp) close() {
	if u != nil {
		u.rtp.Close()
		u.rtcp.Close()
	}
}

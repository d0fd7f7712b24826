package soc

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// guest connects by TLS alone; in says whether the SOC speaks to it, which it does to none that it sends away before.
func (c *centre) guest(certs ...tls.Certificate) (conn *tls.Conn, in bool) {
	c.t.Helper()
	raw, err := net.Dial("tcp", c.addr)
	if err != nil {
		c.t.Fatal(err)
	}
	conn = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: wire.ServerName, NextProtos: []string{"h2"}, Certificates: certs})
	c.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute)) // gRPC itself sends idle ones away after two
	// One that did not speak HTTP/2 would be sent away by gRPC after 20 s.
	if _, err = conn.Write([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")); err == nil {
		_, err = conn.Read(make([]byte, 1)) // of the SETTINGS with which every HTTP/2 server begins
	}
	return conn, err == nil
}

func (l *live) present() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.guests
}

func TestGuestsAreFewAndLeave(t *testing.T) {
	c := newCentre(t)
	box := c.enrol("1")
	foreign := newCentre(t).enrol("1")
	stay := func(d time.Duration) {
		c.s.live.mu.Lock()
		defer c.s.live.mu.Unlock()
		c.s.live.stay = d
	}
	empty := func() {
		t.Helper()
		until(t, "no guest is counted that has gone", func() bool { return c.s.live.present() == 0 })
	}
	empty() // the enrolment's connection has ended
	stay(time.Hour)
	var conns []*tls.Conn
	for i := range maxGuests {
		certs := []tls.Certificate{foreign}[:i%2]
		conn, in := c.guest(certs...)
		if !in {
			t.Fatalf("guest %d is not let in", i)
		}
		conns = append(conns, conn)
	}
	if _, in := c.guest(); in {
		t.Errorf("guest %d is let in", maxGuests)
	}
	if _, in := c.guest(foreign); in {
		t.Error("a certificate by somebody else makes a box of a guest")
	}
	l := c.link("1", box)
	l.welcome()
	l.send(wire.Lane_LANE_URGENT, l.event(1, edge.KindFire, nil))
	l.ack(1)
	for _, conn := range conns {
		conn.Close()
	}
	empty()
	// Whatever they do, they go.
	stay(time.Second)
	for i := range 4 {
		conn, _ := c.guest([]tls.Certificate{foreign}[:i%2]...)
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a guest may stay for ever")
		}
	}
	empty()
	stay(time.Hour)
	if _, in := c.guest(); !in {
		t.Error("nobody is let in after them")
	}
}

package rtsp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video/rtsptest"
)

func TestWithoutTCPItIsUDP(t *testing.T) {
	b, err := rtsptest.BadNamed("udp-only")
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	wg.Go(func() { s.Run(ctx) })
	cam, sink := start(t, Options{URL: s.URL("main"), LostAfter: time.Minute, StallAfter: time.Minute, UDPWait: time.Minute})
	waitFor(t, "pictures", func() bool { return sink.count() >= 30 })
	if st := cam.Status(); st.Transport != "udp" || !strings.Contains(strings.Join(st.Advice, " "), "refuses RTP over TCP: it is taken over UDP") {
		t.Errorf("got transport %q, advice %q, want udp and that TCP is refused", st.Transport, st.Advice)
	}
	if st := cam.Status(); st.Connections > 0 || st.Trouble != "" {
		t.Errorf("got %d connections that ended, trouble %q", st.Connections, st.Trouble)
	}
}

// refuses is a camera's answers when it describes itself and refuses every SETUP.
func refuses(method, url string, _ textproto.MIMEHeader) string {
	const sdp = plainHead + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track=0\r\n"
	switch method {
	case "DESCRIBE":
		return "RTSP/1.0 200 OK\r\nContent-Type: application/sdp\r\nContent-Base: " + url + "/\r\nContent-Length: " + strconv.Itoa(len(sdp)) + "\r\n\r\n" + sdp
	case "SETUP":
		return "RTSP/1.0 461 Unsupported Transport\r\n"
	}
	return "RTSP/1.0 200 OK\r\n"
}

// A camera that is asked over TCP because nothing came over UDP, and refuses, is asked over UDP again, and not ten minutes later.
func TestRefusedTCPLeadsBackToUDP(t *testing.T) {
	addr, requests := scripted(t, refuses)
	cam, _ := start(t, Options{URL: "rtsp://" + addr + "/main", UDP: true, LostAfter: time.Minute, StallAfter: time.Minute, UDPWait: time.Minute})
	waitFor(t, "UDP, TCP and UDP again", func() bool {
		_, rest, _ := strings.Cut(requests(), "client_port")
		_, rest, tcp := strings.Cut(rest, "interleaved")
		return tcp && strings.Contains(rest, "client_port")
	})
	waitFor(t, "that it is neither", func() bool {
		st := cam.Status()
		return strings.Contains(st.Trouble, "TCP") && strings.Contains(st.Trouble, "UDP") && st.Hint != ""
	})
}

// What is encrypted is asked for in no other way: there is one connection, and no port is named to which RTP could come.
func TestRefusedTCPInsideOfTLS(t *testing.T) {
	cert, ca := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	b, err := rtsptest.BadNamed("udp-only")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var conns atomic.Int32
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); cancel(); wg.Wait() })
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			wg.Go(func() { b.Serve(ctx, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})) })
		}
	})
	src := NewSource(Options{URL: "rtsps://" + ln.Addr().String() + "/main", CAFile: ca, Clock: edge.NewSystemClock(), Sink: &seen{}})
	src.listen = func(string, string) (net.PacketConn, error) {
		t.Error("a port for UDP was opened")
		return nil, errors.ErrUnsupported
	}
	err = src.Run(t.Context())
	if !errors.Is(err, errNoTCP) || edge.HintOf(err) == "" || conns.Load() != 1 {
		t.Errorf("got %v (hint %q) after %d connections, want errNoTCP after one", err, edge.HintOf(err), conns.Load())
	}
}

// What a camera says of where RTP comes from sends nothing to another machine, and no name is looked up.
func TestUDPGoesToTheCameraAlone(t *testing.T) {
	for _, source := range []string{"", ";source=127.0.0.2", `;x=""source=127.0.0.2`, `;x=""source=elsewhere.invalid`} {
		here, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		port := here.LocalAddr().(*net.UDPAddr).Port
		addr, requests := scripted(t, func(method, url string, h textproto.MIMEHeader) string {
			switch method {
			case "SETUP":
				return fmt.Sprintf("RTSP/1.0 200 OK\r\nSession: 1\r\nTransport: %s;server_port=%d-%d%s\r\n", h.Get("Transport"), port, port, source)
			case "PLAY":
				return ""
			}
			return refuses(method, url, h)
		})
		err = NewSource(Options{URL: "rtsp://" + addr + "/main", UDP: true, Clock: edge.NewSystemClock(), Sink: &seen{}}).Run(t.Context())
		if !strings.Contains(requests(), "PLAY ") {
			t.Errorf("%s: got %v after\n%s", source, err, requests())
		}
		if _, err := here.WriteTo([]byte("last"), here.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, _, err := here.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if string(b[:n]) == "last" {
			t.Errorf("%s: nothing was sent to the camera", source)
		}
	}
}

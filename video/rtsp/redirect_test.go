package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"sitewatch/edge"
)

// A camera is not followed to the box itself, whatever it calls it: what listens there trusts whoever can reach it.
func TestRedirectToThisBox(t *testing.T) {
	hosts := map[string]net.IP{"camera": net.IPv4(192, 0, 2, 9), "other": net.IPv4(192, 0, 2, 10), "localhost": net.IPv4(127, 0, 0, 5), "::1": net.IPv6loopback, "box": net.IPv4(192, 0, 2, 1)}
	hosts["camera:8480"] = hosts["localhost"] // its own name, which means another machine when it is asked for again
	for location, followed := range map[string]bool{"rtsp://other/x": true, "rtsp://localhost:8080/x": false, "rtsp://[::1]/x": false, "rtsp://box/x": false, "rtsp://camera:8480/x": false} {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			defer wg.Wait()
			asked := map[string]int{}
			s := NewSource(Options{URL: "rtsp://camera/main", Sink: &careful{t: t}, Clock: edge.NewSystemClock()})
			s.dial = func(_ context.Context, _, addr string) (net.Conn, error) {
				host, _, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				if hosts[addr] != nil {
					host = addr
				}
				answer := fmt.Appendf(nil, "RTSP/1.0 302 Moved\r\nCSeq: 1\r\nLocation: %s\r\n\r\n", location)
				ours, theirs := net.Pipe()
				wg.Go(func() {
					defer theirs.Close()
					b := make([]byte, 4096)
					for _, a := range [][]byte{[]byte("RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"), answer} {
						if n, err := theirs.Read(b); err != nil || n == 0 {
							return
						}
						asked[host]++
						if _, err := theirs.Write(cseq.ReplaceAll(a, cseq.Find(b))); err != nil {
							return
						}
					}
				})
				return piped{ours, hosts[host]}, nil
			}
			err := s.Run(t.Context())
			u, _, _ := strings.Cut(strings.TrimPrefix(location, "rtsp://"), "/")
			host, _, _ := strings.Cut(u, ":8080")
			host = strings.Trim(host, "[]")
			if !errors.Is(err, ErrRedirect) || edge.HintOf(err) == "" || asked["camera"] == 0 {
				t.Errorf("%s: got %v after %v", location, err, asked)
			}
			if asked[host] > 0 != followed {
				t.Errorf("%s: asked %v, want followed: %v", location, asked, followed)
			}
		})
	}
}

package link

import (
	"context"
	"encoding/binary"
	"math"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// newPair makes a link of one line and runs it; root only.
func newPair(t testing.TB, l Line) *Pair {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make network namespaces: sudo go test ./cmd/sitesim/link")
	}
	p, err := New(Options{Lines: []Line{l}, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return p.Run(ctx) })
	t.Cleanup(func() {
		stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// udp opens a socket on each side.
func udp(t testing.TB, p *Pair) (from, to *net.UDPConn) {
	t.Helper()
	addr := &net.UDPAddr{IP: Addr(0, B).AsSlice(), Port: 9}
	if err := p.In(B, func() (err error) { to, err = net.ListenUDP("udp4", addr); return }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	if err := p.In(A, func() (err error) { from, err = net.DialUDP("udp4", nil, addr); return }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	if err := to.SetReadBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	return from, to
}

func TestRealPacketsTakeTheTimeOfTheLine(t *testing.T) {
	const n, size, delay, rate = 200, 972, 20 * time.Millisecond, 2_000_000 // 1000 bytes on the line: 4 ms each
	p := newPair(t, Line{There: Traits{Rate: rate, Delay: delay}, Back: Traits{Rate: rate, Delay: delay}})
	from, to := udp(t, p)
	start := time.Now()
	for i := range n {
		b := make([]byte, size)
		binary.BigEndian.PutUint32(b, uint32(i))
		if _, err := from.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	to.SetReadDeadline(start.Add(20 * time.Second))
	b := make([]byte, 2000)
	for i := range n {
		m, err := to.Read(b)
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if got := binary.BigEndian.Uint32(b); m != size || got != uint32(i) {
			t.Fatalf("packet %d is %d of %d bytes", i, got, m)
		}
		// Never early; how late is the machine's affair and BenchmarkLink's.
		if took, least := time.Since(start), delay+time.Duration(i+1)*4*time.Millisecond; took < least {
			t.Fatalf("packet %d came after %v, the line alone takes %v", i, took, least)
		}
	}
	if c := p.Counts(0, A); c.Packets != n || c.Bytes != n*1000 || c.Lost+c.Full+c.WhenDown != 0 {
		t.Errorf("counts are %+v, want %d packets of 1000 bytes", c, n)
	}
}

// BenchmarkLink is the link's own error: a stream at 99 % of the rate for two seconds. rate-error is how much the achieved
// rate differs from the set one, late how much later than due packets are handed over.
func BenchmarkLink(b *testing.B) {
	for _, rate := range []Rate{256_000, 2_000_000, 20_000_000} {
		b.Run(rate.String(), func(b *testing.B) {
			p := newPair(b, Line{There: Traits{Rate: rate, Delay: 25 * time.Millisecond}})
			from, to := udp(b, p)
			const size = 1400
			n := int(2 * int(rate) / 8 / size)
			worst := 0.0
			for b.Loop() {
				var g errgroup.Group
				g.Go(func() error {
					for range n {
						if _, err := from.Write(make([]byte, size-28)); err != nil {
							return err
						}
					}
					return nil
				})
				var first, last time.Time
				buf := make([]byte, 2000)
				for i := range n {
					if _, err := to.Read(buf); err != nil {
						b.Fatal(err)
					}
					if last = time.Now(); i == 0 {
						first = last
					}
				}
				if err := g.Wait(); err != nil {
					b.Fatal(err)
				}
				got := float64((n-1)*size*8) / last.Sub(first).Seconds()
				worst = max(worst, math.Abs(100*(got/float64(rate)-1)))
			}
			b.ReportMetric(worst, "rate-error-%")
			b.ReportMetric(float64(p.Late(0, A, 0.5).Microseconds()), "late-p50-µs")
			b.ReportMetric(float64(p.Late(0, A, 0.99).Microseconds()), "late-p99-µs")
			b.ReportMetric(0, "ns/op")
		})
	}
}

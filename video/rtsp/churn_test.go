package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video/rtsptest"
)

type usage struct {
	goroutines, files int
	heapMB            float64
}

func resources(t testing.TB) (u usage) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{runtime.NumGoroutine(), len(fds), float64(m.HeapAlloc) / (1 << 20)}
}

// cameras are as many as a box has.
const cameras = 24

// serveMany runs a server of that many cameras. One stream for all would do, but the server's library looks at the ports of a stream's other
// readers over UDP without a lock.
func serveMany(t testing.TB) *rtsptest.Server {
	t.Helper()
	s, err := rtsptest.Listen(rtsptest.Options{Addr: "127.0.0.1:0", UDP: true})
	if err != nil {
		t.Fatal(err)
	}
	var cams []*rtsptest.Camera
	for n := range cameras {
		cams = append(cams, s.Camera(fmt.Sprintf("c%d/main", n)))
	}
	sendFilm(t, s, cams, 20*time.Millisecond, 20*time.Millisecond, t.Logf) // clients go in the middle of a picture
	return s
}

// sendFilm runs a server until the test ends, and has its cameras send the footage in a loop, a picture every so often. failed is told when one cannot.
// Pictures that are late are made up for, least apart: RTP time that falls ever further behind would be taken for another clock.
func sendFilm(t testing.TB, s *rtsptest.Server, cams []*rtsptest.Camera, every, least time.Duration, failed func(format string, args ...any)) {
	t.Helper()
	units, err := footage()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	show := func(n int) {
		for _, c := range cams {
			if err := c.Write(units[n%len(units)], uint32(n*4500)); err != nil && ctx.Err() == nil {
				failed("a camera could not send: %v", err)
			}
		}
	}
	show(0) // a client that is faster would be told that there is no picture
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	wg.Go(func() {
		began := time.Now()
		for n := 1; ctx.Err() == nil; n++ {
			<-time.After(max(time.Duration(n)*every-time.Since(began), least))
			show(n)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// comeAndGo connects 24 cameras, half of them over UDP, and disconnects each when it has shown pictures.
func comeAndGo(t testing.TB, s *rtsptest.Server) {
	t.Helper()
	var wg sync.WaitGroup
	for n := range cameras {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			sink := &seen{enough: cancel}
			source := NewSource(Options{URL: s.URL(fmt.Sprintf("c%d/main", n)), UDP: n%2 == 0, Clock: edge.NewSystemClock(), Sink: sink,
				StallAfter: time.Minute, UDPWait: time.Minute}) // one connection, however busy the machine is
			source.dial = (&net.Dialer{}).DialContext
			err := source.Run(ctx)
			if !errors.Is(err, context.Canceled) || sink.count() == 0 {
				t.Errorf("got %v and %d pictures", err, sink.count())
			}
		})
	}
	wg.Wait()
}

func TestCamerasComeAndGo(t *testing.T) {
	s := serveMany(t)
	comeAndGo(t, s) // what is made once stays
	before := resources(t)
	for range 3 {
		comeAndGo(t, s)
	}
	waitFor(t, "goroutines and files as before", func() bool {
		now := resources(t)
		return now.goroutines <= before.goroutines && now.files <= before.files
	})
}

// BenchmarkCamerasComeAndGo is TestCamerasComeAndGo at length: -benchtime 200x. It reports what is left behind.
func BenchmarkCamerasComeAndGo(b *testing.B) {
	s := serveMany(b)
	comeAndGo(b, s)
	before := resources(b)
	for b.Loop() {
		comeAndGo(b, s)
	}
	<-time.After(time.Second) // the server's side of the last ones
	after := resources(b)
	b.ReportMetric(float64(after.goroutines-before.goroutines), "goroutines-more")
	b.ReportMetric(float64(after.files-before.files), "files-more")
	b.ReportMetric(after.heapMB-before.heapMB, "heap-MB-more")
}

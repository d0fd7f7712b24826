package main

import (
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkClipToSOC is how long after an alarm its still is at the SOC, and how long after its last picture the clip is ready there,
// in real processes: a camera of the named rate, the gateway, a line, the SOC. "rest" is what the line needs for the bytes that were
// not at the SOC when the last picture was over. Run with -benchtime 10x.
func BenchmarkClipToSOC(b *testing.B) {
	for _, c := range []struct {
		name   string
		camera int // bit/s
		line   int // bit/s, 0: loopback
	}{
		{"loopback, camera 2 Mbit", 2_000_000, 0},
		{"line 2 Mbit 50 ms, camera 512 kbit", 512_000, 2_000_000},
		{"line 2 Mbit 50 ms, camera 2 Mbit", 2_000_000, 2_000_000},
	} {
		b.Run(c.name, func(b *testing.B) { benchClip(b, c.camera, c.line) })
	}
}

func benchClip(b *testing.B, camera, rate int) {
	film := filepath.Join(b.TempDir(), "film.mp4")
	r := fmt.Sprint(camera)
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=15,noise=alls=12:allf=t", "-t", "20",
		"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-pix_fmt", "yuv420p", "-g", "15", "-bf", "0",
		"-b:v", r, "-maxrate", r, "-bufsize", r, film).CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg (install: apt-get install ffmpeg): %v: %s", err, out)
	}
	s := newSite(b, withCamera)
	if rate > 0 {
		config := s.read("gateway.yaml")
		s.write("gateway.yaml", strings.Replace(config, s.uplink, slowLine(b, s.uplink, rate, 25*time.Millisecond), 1))
	}
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom", "--file", film)
	l := plug(b, s.dir+"/panel")
	s.startGateway()
	l.must(blkAccount, ack)
	s.until("the ring holds the pre-alarm pictures", 40*time.Second, func() bool { return s.ringSeconds("stockroom") >= 5 })
	var still, whole, rest, more []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		if got := l.sayBytes(galaxyBlock('N', fmt.Sprintf("ti10:%02d:%02d/FA1011", i/60%60, i%60)), 5*time.Second); got != ack {
			b.Fatalf("answer %d is %q", i, got)
		}
		var id string
		s.until("the alarm", 10*time.Second, func() bool {
			alarms := 0
			for _, e := range s.events() {
				if e.Kind == "fire" && len(e.Clips) > 0 {
					alarms, id = alarms+1, e.Clips[0]
				}
			}
			return alarms == i+1
		})
		s.until("the still", 30*time.Second, func() bool {
			resp, err := http.Head(s.api + "/clips/" + id + ".jpg")
			return err == nil && resp.StatusCode == http.StatusOK
		})
		still = append(still, time.Since(began))
		var c socClip
		type had struct {
			at    time.Time
			bytes int64
		}
		var history []had
		s.until("the clip", 2*time.Minute, func() bool {
			if s.get("/clips/"+id, &c) == nil {
				history = append(history, had{time.Now(), c.Bytes})
			}
			return c.State == "ready"
		})
		to, err := time.Parse(time.RFC3339, c.To)
		if err != nil {
			b.Fatal(err)
		}
		there := int64(0)
		for _, h := range history {
			if h.at.Before(to) {
				there = h.bytes
			}
		}
		took := history[len(history)-1].at.Sub(to)
		whole = append(whole, took)
		if rate > 0 {
			t := time.Duration(float64(c.Bytes-there) * 8 / float64(rate) * float64(time.Second))
			rest, more = append(rest, t), append(more, took-t)
		}
	}
	report(b, "still", still)
	report(b, "clip", whole)
	if rate > 0 {
		report(b, "rest", rest)
		report(b, "clip-less-rest", more)
	}
	b.ReportMetric(0, "ns/op")
}

// slowLine is a line to addr in front of which bytes wait, and which takes a while: all connections share it.
func slowLine(tb testing.TB, addr string, rate int, delay time.Duration) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	there, back := &lane{rate: rate, delay: delay}, &lane{rate: rate, delay: delay}
	go func() {
		for {
			box, err := ln.Accept()
			if err != nil {
				return
			}
			soc, err := net.Dial("tcp", addr)
			if err != nil {
				box.Close()
				continue
			}
			go there.carry(soc, box)
			go back.carry(box, soc)
		}
	}()
	return ln.Addr().String()
}

// lateMost is how late timers may be here without the line losing by it.
const lateMost = 20 * time.Millisecond

// lane is one direction of a line.
type lane struct {
	rate  int
	delay time.Duration

	mu   sync.Mutex
	free time.Time // when it has sent what it has
}

// carry brings what comes from one connection to the other, in pieces of a segment.
func (l *lane) carry(to, from net.Conn) {
	type piece struct {
		due time.Time
		b   []byte
	}
	queue := make(chan piece, 32) // 46 KB: what does not fit waits at the sender
	go func() {
		defer to.Close()
		for p := range queue {
			<-time.After(time.Until(p.due))
			if _, err := to.Write(p.b); err != nil {
				from.Close()
			}
		}
	}()
	defer close(queue)
	for {
		b := make([]byte, 1448)
		n, err := from.Read(b)
		if n > 0 {
			l.mu.Lock()
			if idle := time.Now().Add(-lateMost); l.free.Before(idle) {
				l.free = idle
			}
			l.free = l.free.Add(time.Duration(n+52) * 8 * time.Second / time.Duration(l.rate))
			free := l.free
			l.mu.Unlock()
			queue <- piece{free.Add(l.delay), b[:n]}
			<-time.After(time.Until(free))
		}
		if err != nil {
			return
		}
	}
}

package pace_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sitewatch/uplink/pace"
)

const (
	kbit = 1e3
	mbit = 1e6
	ms   = time.Millisecond
)

// bulkTime is how long a bulk message, or a full packet, takes at rate.
func bulkTime(s *sim, rate float64) time.Duration {
	return time.Duration(float64(max(1500, pace.Wire(s.line.Size()))) * 8 / rate * 1e9)
}

func TestLines(t *testing.T) {
	for _, rate := range []float64{64 * kbit, 256 * kbit, mbit, 2 * mbit, 10 * mbit, 20 * mbit, 100 * mbit, 1000 * mbit} {
		for _, rtt := range []time.Duration{1 * ms, 20 * ms, 50 * ms, 120 * ms, 600 * ms} {
			for _, loss := range []float64{0, 0.005, 0.03} {
				t.Run(fmt.Sprintf("%g kbit/s, %v, %g %% loss", rate/1e3, rtt, loss*100), func(t *testing.T) {
					s := (&sim{rate: always(rate), rtt: always(rtt), queue: 1 << 20, loss: loss, length: 40 * time.Second, warm: 15 * time.Second,
						every: max(200*ms, time.Duration(600*8/rate*40e9))}).run()
					// Each loss leaves the line idle for about a round trip, for what came meanwhile waits for it.
					stalls := rate / 12000 * loss * (rtt + 5*ms).Seconds()
					want := 0.92 / (1 + stalls*5/4)
					if stalls > 1 {
						want = 0 // no transport fills such a line either
					}
					if rate*rtt.Seconds()/8 > pace.MaxCredit && loss == 0 {
						want = 0.2 // MaxCredit
					}
					if got := s.used(); got < want*0.9 || loss == 0 && got < want {
						t.Errorf("the line is used at %.3f, want %.3f", got, want)
					}
					if got, want := s.wait(0.99), 2*bulkTime(s, rate)+4*ms; got > want {
						t.Errorf("an alarm waits for %v (p99), want at most %v", got, want)
					}
				})
			}
		}
	}
}

// steps is a value that changes at times: v0, t1, v1, t2, v2 ... in seconds.
func steps(v ...float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		r := v[0]
		for i := 1; i < len(v); i += 2 {
			if at.Seconds() >= v[i] {
				r = v[i+1]
			}
		}
		return r
	}
}

func TestLinesThatChange(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    sim
		used float64         // at least
		wait []time.Duration // p99 at most, in each ten seconds from the tenth on
	}{
		{"falls from 10 to 1 Mbit/s and rises again", sim{rate: steps(10*mbit, 20, mbit, 40, 10*mbit), rtt: always(50 * ms), queue: 256 << 10},
			0.80, []time.Duration{8 * ms, 600 * ms, 18 * ms, 18 * ms, 8 * ms}},
		{"a queue of 1 MB", sim{rate: always(2. * mbit), rtt: always(50 * ms), queue: 1 << 20}, 0.92, []time.Duration{9 * ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms}},
		{"a queue of 16 KB", sim{rate: always(2. * mbit), rtt: always(50 * ms), queue: 16 << 10}, 0.92, []time.Duration{9 * ms, 9 * ms, 9 * ms, 9 * ms, 9 * ms}},
		{"jitter of 8 ms at 2 Mbit/s", sim{rate: always(2. * mbit), rtt: always(50 * ms), queue: 1 << 20, jitter: 8 * ms}, 0.88, []time.Duration{18 * ms, 18 * ms, 18 * ms, 18 * ms, 18 * ms}},
		{"jitter of 8 ms at 10 Mbit/s", sim{rate: always(10. * mbit), rtt: always(50 * ms), queue: 1 << 20, jitter: 8 * ms}, 0.88, []time.Duration{13 * ms, 13 * ms, 13 * ms, 13 * ms, 13 * ms}},
		{"a receiver that acks every 50 ms", sim{rate: always(2. * mbit), rtt: always(50 * ms), queue: 1 << 20, lump: 50 * ms}, 0.75, []time.Duration{40 * ms, 40 * ms, 40 * ms, 40 * ms, 40 * ms}},
		{"a receiver that acks every 5 ms", sim{rate: always(20. * mbit), rtt: always(20 * ms), queue: 1 << 20, lump: 5 * ms}, 0.75, []time.Duration{13 * ms, 13 * ms, 13 * ms, 13 * ms, 13 * ms}},
		{"others take half of it for 20 s", sim{rate: always(10. * mbit), rtt: always(50 * ms), queue: 1 << 20, others: steps(0, 20, 5*mbit, 40, 0)},
			0.68, []time.Duration{8 * ms, 70 * ms, 70 * ms, 18 * ms, 8 * ms}},
		{"the path grows by 100 ms", sim{rate: always(2. * mbit), rtt: func(at time.Duration) time.Duration {
			if at > 20*time.Second {
				return 150 * ms
			}
			return 50 * ms
		}, queue: 1 << 20}, 0.68, []time.Duration{9 * ms, 18 * ms, 18 * ms, 9 * ms, 9 * ms}},
		{"a limit of 1 Mbit/s", sim{rate: always(10. * mbit), rtt: always(50 * ms), queue: 1 << 20, limit: mbit}, 0.095, []time.Duration{2 * ms, 2 * ms, 2 * ms, 2 * ms, 2 * ms}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.s
			s.length, s.warm, s.every = 60*time.Second, 10*time.Second, 100*ms
			s.run()
			if got := s.used(); got < tt.used {
				t.Errorf("the line is used at %.3f, want %.3f", got, tt.used)
			}
			if got := s.used(); s.limit > 0 && got > float64(s.limit)/s.rate(0) {
				t.Errorf("the line is used at %.3f, the limit is %.3f", got, float64(s.limit)/s.rate(0))
			}
			for i, want := range tt.wait {
				from := time.Duration(i+1) * 10 * time.Second
				if got := s.waitIn(from, from+10*time.Second, 0.99); got > want {
					t.Errorf("from %v on an alarm waits for %v (p99), want at most %v", from, got, want)
				}
			}
		})
	}
}

// After a fall of the rate what is under way stands in the queue. It must be gone, and the new rate known, in 2 s.
func TestFallIsOverInTwoSeconds(t *testing.T) {
	for _, queue := range []int{64 << 10, 256 << 10, 1 << 20} {
		s := (&sim{rate: steps(10*mbit, 20, mbit), rtt: always(50 * ms), queue: queue, length: 40 * time.Second, warm: 10 * time.Second, every: 20 * ms}).run()
		if got := s.waitIn(22*time.Second, 40*time.Second, 1); got > 25*ms {
			t.Errorf("queue %d: an alarm waits for %v two seconds after the fall, want at most two messages", queue, got)
		}
	}
}

// A line that rises again is found out by small steps, and an alarm pays nothing for it.
func TestRiseIsFound(t *testing.T) {
	s := (&sim{rate: steps(mbit, 20, 10*mbit), rtt: always(50 * ms), queue: 1 << 20, length: 30 * time.Second, warm: 10 * time.Second, every: 20 * ms}).run()
	if got := s.waitIn(20*time.Second, 30*time.Second, 1); got > 15*ms {
		t.Errorf("an alarm waits for %v while the rate rises", got)
	}
	if got := s.line.Estimate().Rate; got < 8.5*mbit {
		t.Errorf("10 s after the rise the line is taken for %d bit/s, want 10 Mbit/s", got)
	}
}

func (s *sim) waitIn(from, to time.Duration, p float64) time.Duration {
	var w []time.Duration
	for i, at := range s.when {
		if at >= from && at < to {
			w = append(w, s.waits[i])
		}
	}
	slices.Sort(w)
	return w[min(len(w)-1, int(float64(len(w))*p))]
}

package uplink_test

import (
	"crypto/rand"
	"slices"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink"
)

// BenchmarkAlarmToAck is one alarm at a time over loopback: journalled (in memory) to acked, which is after the SOC's commit.
func BenchmarkAlarmToAck(b *testing.B) {
	s := newStation(b)
	o := newOutbox("0417")
	box(b, uplink.Options{Outbox: o, Files: newFiles(b), Identity: s.enrol("0417"), Paths: to(s.addr)})
	o.put(b, edge.Event{Kind: edge.KindStarted})
	eventually(b, "connected", o.allAcked)
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		seq := o.put(b, edge.Event{Kind: edge.KindFire, Zone: "1011", Why: "The fire panel reports a fire."})
		o.wait(edge.Urgent, seq)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkBacklog is 10,000 events after an outage, over loopback.
func BenchmarkBacklog(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := newStation(b)
		o := newOutbox("0417")
		for range 10_000 {
			o.put(b, edge.Event{Kind: edge.KindSet, Zone: "1011", Why: "The site was set by user 004."})
		}
		id := s.enrol("0417")
		b.StartTimer()
		_, stop := box(b, uplink.Options{Outbox: o, Files: newFiles(b), Identity: id, Paths: to(s.addr)})
		o.wait(edge.Routine, 10_000)
		b.StopTimer()
		stop()
		s.stop()
		b.StartTimer()
	}
}

// BenchmarkUpload is a clip of 32 MiB over loopback.
func BenchmarkUpload(b *testing.B) {
	s := newStation(b)
	f := newFiles(b)
	box(b, uplink.Options{Outbox: newOutbox("0417"), Files: f, Identity: s.enrol("0417"), Paths: to(s.addr)})
	data := make([]byte, 32<<20)
	rand.Read(data)
	b.SetBytes(int64(len(data)))
	n := 0
	for b.Loop() {
		f.put(b, edge.ClipID(edge.NewID()), edge.PartClip, 1, data)
		n++
		eventually(b, "stored", func() bool { _, done, _ := f.counts(); return done == n })
	}
}

// wait blocks until the lane is acked through seq.
func (o *outbox) wait(lane edge.Lane, seq edge.Seq) {
	for {
		o.mu.Lock()
		at, acked := o.marks[lane], o.ackCh()
		o.mu.Unlock()
		if at >= seq {
			return
		}
		<-acked
	}
}

// ackCh is closed at the next ack; the caller holds mu.
func (o *outbox) ackCh() <-chan struct{} {
	if o.acked == nil {
		o.acked = make(chan struct{})
	}
	return o.acked
}

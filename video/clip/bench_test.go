package clip

import (
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/ring"
)

// BenchmarkFromTheLastPictureToTheRow is what a clip of 30 s and 2 Mbit/s takes after the first picture behind its end: the last fragment, sync,
// rename, and the journal is told.
func BenchmarkFromTheLastPictureToTheRow(b *testing.B) {
	pictures, err := footage()
	if err != nil {
		b.Fatal(err)
	}
	const fps = 15
	r := ring.New(ring.Options{Keep: time.Hour, LimitBytes: 64 << 20})
	var p video.Params
	push := func(n int) {
		at := time.Duration(n) * time.Second / fps
		u, sps, pps, err := video.NewH264Unit(pictures[n%len(pictures)], video.TicksOf(at), edge.Stamp{Wall: wall0.Add(at), Mono: at, Boot: "b"})
		if err != nil {
			b.Fatal(err)
		}
		if sps != nil {
			if p, err = video.NewH264Params(sps, pps); err != nil {
				b.Fatal(err)
			}
		}
		filler := make([]byte, 2_000_000/8/fps)
		filler[0] = 6 // SEI
		u.Data = video.AppendNALU(append([]byte{}, u.Data...), filler)
		r.Push(u, p)
	}
	n := 0
	for b.Loop() {
		b.StopTimer()
		end := n + 30*fps
		for ; n < end; n++ {
			push(n)
		}
		last := time.Duration(n-1) * time.Second / fps
		job := alarm(last-20*time.Second, 10*time.Second, 20*time.Second)
		grown := make(chan struct{}, 64)
		j := newJournal()
		j.jobs[job.ID] = job
		stop := run(b, New(Options{Dir: b.TempDir(), Jobs: j, Clock: clock{last}, Log: quiet, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}},
			Growing: func(Growth) { grown <- struct{}{} }}).Run)
		for range 29 {
			<-grown
		}
		b.StartTimer()
		push(n)
		n++
		for done := false; !done; {
			changed := j.ClipsChanged()
			j.mu.Lock()
			_, done = j.ready[job.ID]
			j.mu.Unlock()
			if !done {
				<-changed
			}
		}
		b.StopTimer()
		stop()
		b.StartTimer()
	}
}

// BenchmarkManyAlarmsAtOnce is 32 clips of the same 30 s of one camera, from memory.
func BenchmarkManyAlarmsAtOnce(b *testing.B) {
	r := newRing()
	for range b.N {
		b.StopTimer()
		j := newJournal()
		for range 32 {
			job := alarm(15*time.Second, 5*time.Second, 5*time.Second)
			j.jobs[job.ID] = job
		}
		if r.Stats().Units == 0 {
			scripted(b, r, 0, 300)
		}
		b.StartTimer()
		stop := run(b, New(Options{Dir: b.TempDir(), Jobs: j, Clock: clock{30 * time.Second}, Log: quiet, Cameras: map[edge.CameraID]Camera{"stockroom": {Ring: r}}}).Run)
		for n := 0; n < 32; {
			changed := j.ClipsChanged()
			j.mu.Lock()
			n = len(j.ready)
			j.mu.Unlock()
			if n < 32 {
				<-changed
			}
		}
		stop()
	}
}

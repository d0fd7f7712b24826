package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/segment"
)

// TestPowerCutsWhileRecording takes the power from the gateway's disk while a camera is recorded. After each cut every picture that the status had
// called synced is on the disk, and what is there begins with a keyframe and has no hole; at the end a decoder plays all of it.
func TestPowerCutsWhileRecording(t *testing.T) {
	if *cuts == 0 {
		t.Skip("not tried: power cuts, which need root and loop devices (make torture-power)")
	}
	s := newFiles(t, func(s *site) string { return replaceOnce(t, recording(s), "segments: 64MiB", "segments: 2GiB") })
	x := newTorture(t, s)
	disks := onDisks(t, x, 4096)
	plug(t, x.dir+"/panel")
	x.start("sitesim", "camera", "--listen", x.rtsp, "--name", "stockroom")
	var w watched
	var lags []time.Duration
	for n := 1; n <= *cuts; n++ {
		x.live("gateway", "")
		began := time.Now()
		x.until("it is recorded", time.Minute, func() bool { return x.synced().After(began) })
		synced := x.synced()
		poll, end := time.NewTicker(20*time.Millisecond), time.After(time.Duration(x.rnd.IntN(3000))*time.Millisecond)
		for open := true; open; {
			select {
			case <-poll.C:
				if at := x.synced(); !at.IsZero() {
					synced = at
				}
			case <-end:
				open = false
			}
		}
		poll.Stop()
		cut := time.Now()
		disks["gateway"].cut()
		x.procs["gateway"].Process.Kill()
		<-x.procs["gateway"].ended
		delete(x.procs, "gateway")
		disks["gateway"].back()
		w.look(x, began)
		if !w.has(synced) {
			t.Errorf("cut %d: the picture of %v, which was synced, is not there; the newest is of %v", n, synced, w.newest())
		}
		lags = append(lags, cut.Sub(w.newest()))
		if n%25 == 0 {
			fmt.Fprintf(os.Stderr, "    %d power cuts in %.0f s; %d pictures\n", n, time.Since(x.began).Seconds(), len(x.recorded("stockroom")))
		}
	}
	pictures := x.play("stockroom")
	slices.Sort(lags)
	t.Logf("%d power cuts; %d pictures recorded, all played; the newest on disk was older than the cut by %v (median), %v (worst)",
		*cuts, pictures, lags[len(lags)/2].Round(time.Millisecond), lags[len(lags)-1].Round(time.Millisecond))
}

// TestDiskFullOfPictures fills the disk beside a camera that is recorded: recording gives way and stops, alarms are acked and their clips cut all the
// while, and it goes on by itself.
func TestDiskFullOfPictures(t *testing.T) {
	if *cuts == 0 {
		t.Skip("not tried: a full disk, which needs root and a loop device (make torture-power)")
	}
	x := newTorture(t, newFiles(t, recording))
	onDisks(t, x, 4096)
	l := plug(t, x.dir+"/panel")
	x.start("sitesim", "camera", "--listen", x.rtsp, "--name", "stockroom")
	x.live("gateway", "")
	x.until("it is recorded", time.Minute, func() bool { return time.Since(x.synced()) < 3*time.Second })
	x.until("the ring holds the pre-alarm pictures", time.Minute, func() bool { return x.ringSeconds("stockroom") >= 4 })
	ballast := filepath.Join(x.dir, "gateway", "lost+found", "ballast")
	var fs unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(ballast), &fs); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	err = unix.Fallocate(int(f.Fd()), 0, 0, int64(fs.Bavail)*fs.Bsize-(100<<20)) // clips still have room, recording has not
	if err := errors.Join(err, f.Close()); err != nil {                          // a file that is open would keep its room
		t.Fatal(err)
	}
	x.waitEvent("recording stops and says so", time.Minute, func(e socEvent) bool { return e.Kind == "task-failed" && strings.Contains(e.Why, "the disk is full") })
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := x.waitEvent("the alarm", 10*time.Second, kind("intruder"))
	var c socClip
	x.until("its clip is ready", time.Minute, func() bool { return x.get("/clips/"+e.Clips[0], &c) == nil && c.State == "ready" })
	if x.count("disk-full") > 0 {
		t.Error("the journal's disk is full although recording should have left room")
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	x.waitEvent("it goes on", 2*time.Minute, kind("task-failed-restored"))
	x.until("pictures are synced again", time.Minute, func() bool { return time.Since(x.synced()) < 3*time.Second })
}

// synced asks the gateway up to which picture a power cut can take nothing.
func (s *site) synced() time.Time {
	st, err := s.status()
	if err != nil || len(st.Cameras) == 0 {
		return time.Time{}
	}
	return st.Cameras[0].Recording.Synced
}

// watched is what one life left on the disk.
type watched struct{ at []time.Time }

// look reads what was recorded since began.
func (w *watched) look(x *torture, began time.Time) {
	x.t.Helper()
	w.at = nil
	last := video.AccessUnit{}
	x.eachRecorded("stockroom", edge.Stamp{Wall: began}, func(u video.AccessUnit, _ video.Params) {
		if u.Arrival.Wall.Before(began) {
			return
		}
		if len(w.at) == 0 && !u.Keyframe {
			x.t.Errorf("a life's recording does not begin with a keyframe")
		}
		if d := u.PTS - last.PTS; len(w.at) > 0 && (d <= 0 || d > 3*video.Second || u.Lost > 0) {
			x.t.Errorf("picture %d comes %v after the one before, with %d lost", len(w.at), d.Duration(), u.Lost)
		}
		w.at, last = append(w.at, u.Arrival.Wall), u
	})
}

func (w *watched) has(at time.Time) bool {
	return slices.ContainsFunc(w.at, func(t time.Time) bool { return t.Sub(at).Abs() < 2*time.Millisecond })
}

func (w *watched) newest() time.Time {
	if len(w.at) == 0 {
		return time.Time{}
	}
	return w.at[len(w.at)-1]
}

// eachRecorded gives what lies on the box's disk of a camera, from a time on.
func (s *site) eachRecorded(camera edge.CameraID, from edge.Stamp, see func(video.AccessUnit, video.Params)) {
	s.t.Helper()
	st := segment.Open(segment.Options{Dir: filepath.Join(s.dir, "gateway", "segments"), Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler)})
	rd, err := st.From(camera, from)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rd.Close()
	for {
		u, p, err := rd.Next(s.t.Context())
		if errors.Is(err, segment.ErrEnd) {
			return
		}
		if err != nil {
			s.t.Fatal(err)
		}
		see(u, p)
	}
}

// play decodes everything that is recorded of a camera and returns how many pictures that was. A decoder must have no complaint.
func (s *site) play(camera edge.CameraID) (n int) {
	s.t.Helper()
	path := filepath.Join(s.dir, string(camera)+".h264")
	f, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	s.eachRecorded(camera, edge.Stamp{}, func(u video.AccessUnit, p video.Params) {
		if u.Audio != nil {
			return
		}
		var b []byte
		if u.Keyframe {
			for _, set := range p.Sets() {
				b = append(append(b, 0, 0, 0, 1), set...)
			}
		}
		for nalu := range u.NALUs() {
			b = append(append(b, 0, 0, 0, 1), nalu...)
		}
		if _, err := f.Write(b); err != nil {
			s.t.Fatal(err)
		}
		n++
	})
	out, err := exec.Command("ffprobe", "-v", "error", "-f", "h264", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path).CombinedOutput()
	if got := fmt.Sprintf("%d\n", n); err != nil || string(out) != got {
		s.t.Errorf("the decoder says %.500q, %v; want %q pictures and no complaint", out, err, got)
	}
	return n
}

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/local"
	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

// recording is a site whose camera is recorded.
func recording(s *site) string {
	return strings.Replace(withCamera(s), `/sub"}`, `/sub", record: continuous}`, 1) + "limits: {segments: 64MiB}\n"
}

// status asks the gateway.
func (s *site) status() (local.Status, error) { return statusAt(s.local) }

func statusAt(addr string) (st local.Status, err error) {
	resp, err := http.Get("http://" + addr + "/api/v1/status")
	if err != nil {
		return st, err
	}
	defer resp.Body.Close()
	return st, json.NewDecoder(resp.Body).Decode(&st)
}

// recorded is what lies on the box's disk of a camera.
func (s *site) recorded(camera edge.CameraID) (out []video.AccessUnit) {
	s.t.Helper()
	s.eachRecorded(camera, edge.Stamp{}, func(u video.AccessUnit, p video.Params) {
		if u.Audio == nil && !p.Plausible(u) {
			s.t.Fatalf("picture %d of %d bytes is none", len(out), len(u.Data))
		}
		u.Data = nil
		out = append(out, u)
	})
	return out
}

// film shows a camera's pictures. Each is 0.1 s by its clock after the one before, however late the machine is with it: one that is not
// there has been lost on the way. It returns how many have been shown.
func (s *site) film(camera string) (shown func() int64) {
	s.t.Helper()
	var units [][][]byte
	if err := rtsptest.Encode(s.t.Context(), nil, rtsptest.TestPicture(320, 180, 10, 10, 4), func(nalus [][]byte) error {
		units = append(units, nalus)
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
	srv, err := rtsptest.Listen(rtsptest.Options{Addr: s.rtsp})
	if err != nil {
		s.t.Fatal(err)
	}
	c := srv.Camera(camera+"/main", camera+"/sub")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var n atomic.Int64
	wg.Go(func() { srv.Run(ctx) })
	wg.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			if err := c.Write(units[int(n.Load())%len(units)], uint32(n.Load()*9000)); err != nil && ctx.Err() == nil {
				s.t.Error(err)
			}
			n.Add(1)
			<-tick.C
		}
	})
	s.t.Cleanup(func() { cancel(); wg.Wait() })
	return n.Load
}

// TestRecordingSurvivesKills: what the status has told of is there after a kill, without a hole but that of the kill, and the next run
// goes on and seals what the one before left.
func TestRecordingSurvivesKills(t *testing.T) {
	t.Parallel()
	s := newSite(t, recording)
	shown := s.film("stockroom")
	plug(t, s.dir+"/panel")
	var newest []time.Time
	for range 2 {
		s.startGateway()
		began := time.Now()
		var first time.Time // a picture of this run: joining the camera takes as long as the machine lets it
		var before int64
		s.until("four seconds are recorded", 40*time.Second, func() bool {
			st, err := s.status()
			if err != nil || len(st.Cameras) == 0 {
				return false
			}
			r := st.Cameras[0].Recording
			if first.IsZero() && r.Newest.After(began) {
				first, before = r.Newest, shown()
			}
			if first.IsZero() || shown() < before+40 || r.Newest.Sub(first) < 4*time.Second {
				return false
			}
			if r.Mode != "continuous" || r.Reason != "" || r.Dropped != 0 || r.Bytes == 0 || st.Segments.Bytes != r.Bytes {
				t.Errorf("status is %+v with %+v", r, st.Segments)
			}
			newest = append(newest, r.Newest)
			return true
		})
		s.kill("gateway")
	}
	units := s.recorded("stockroom")
	if len(units) < 60 { // twice 40, less what a kill costs
		t.Fatalf("%d pictures are recorded, want 60 or more", len(units))
	}
	has := func(at time.Time) (ok bool) {
		for _, u := range units {
			ok = ok || u.Arrival.Wall.Sub(at).Abs() < 2*time.Millisecond
		}
		return ok
	}
	gaps := 0
	for i, u := range units[1:] {
		if u.PTS <= units[i].PTS {
			t.Errorf("picture %d has PTS %d after %d", i, u.PTS, units[i].PTS)
		}
		if u.PTS-units[i].PTS != 9000 {
			gaps++
		}
	}
	if gaps != 1 {
		t.Errorf("%d gaps, want that of the kill alone", gaps)
	}
	for _, at := range newest {
		if !has(at) {
			t.Errorf("the picture of %v, of which the status told, is not there", at)
		}
	}
	sealed, err := filepath.Glob(filepath.Join(s.dir, "gateway", "segments", "stockroom", "*.seg"))
	if err != nil || len(sealed) != 1 {
		t.Errorf("sealed are %v, %v; want the file of the first run", sealed, err)
	}
	s.oldID(units)
}

// oldID gives the camera another id and asks for what was recorded under the old one.
func (s *site) oldID(units []video.AccessUnit) {
	s.t.Helper()
	conf := replaceOnce(s.t, s.read("gateway.yaml"), "id: stockroom,", "id: till,")
	s.write("gateway.yaml", replaceOnce(s.t, conf, "cameras: [stockroom]", "cameras: [till]"))
	s.startGateway()
	from, to := units[10].Arrival.Wall, units[30].Arrival.Wall
	ask := func(camera string) socCommand {
		return s.outcome(s.ask(map[string]any{"kind": "clip", "camera": camera, "from": from, "to": to, "expires": time.Now().UTC().Add(time.Hour)}))
	}
	if c := ask("cellar"); c.State != "failed" {
		s.t.Errorf("a camera that never was: %+v", c)
	}
	c := ask("stockroom")
	id, found := strings.CutPrefix(c.Outcome, "clip ")
	if c.State != "done" || !found {
		s.t.Fatalf("a clip under the camera's old id: %+v", c)
	}
	var got socClip
	s.until("the clip of the old id is there", 40*time.Second, func() bool { return s.get("/clips/"+id, &got) == nil && got.State == "ready" })
}

// TestKilledWhileRecording dies between each two steps of a segment. What had been synced is there each time.
func TestKilledWhileRecording(t *testing.T) {
	t.Parallel()
	x := newTorture(t, newSite(t, recording))
	x.start("sitesim", "camera", "--listen", x.rtsp, "--name", "stockroom")
	for _, p := range of("gateway", recorded) {
		var synced time.Time
		x.live("gateway", x.pass(p))
		x.until("it is recorded", 40*time.Second, func() bool {
			st, err := x.status()
			if err == nil && len(st.Cameras) > 0 {
				synced = st.Cameras[0].Recording.Synced
			}
			return time.Since(synced) < 2*time.Second || x.ended("gateway")
		})
		if !x.ended("gateway") {
			x.procs["gateway"].Process.Signal(syscall.SIGTERM)
		}
		x.untilDead("gateway", 30*time.Second)
		units := x.recorded("stockroom")
		if i := slices.IndexFunc(units, func(u video.AccessUnit) bool { return u.Arrival.Wall.Sub(synced).Abs() < 2*time.Millisecond }); i < 0 && !synced.IsZero() {
			t.Errorf("%s: the picture of %v is not there, %d are", p.name, synced, len(units))
		}
	}
}

// ended says whether a program has ended by itself.
func (s *site) ended(name string) bool {
	select {
	case <-s.procs[name].ended:
		return true
	default:
		return false
	}
}

// TestRecordingThatCannotBeWritten: a shelf that is no directory ends the recording of that camera. The ring, the alarm and its clip go on,
// and so does the recording when it can.
func TestRecordingThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, recording)
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	l := plug(t, s.dir+"/panel")
	shelf := filepath.Join(s.dir, "gateway", "segments", "stockroom")
	if err := os.MkdirAll(filepath.Dir(shelf), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(shelf, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.startGateway()
	failed := s.waitEvent("the recording fails", 40*time.Second, kind("task-failed"))
	if len(failed.Cameras) != 1 || failed.Cameras[0] != "stockroom" || !strings.Contains(failed.Why, "Recording of camera stockroom") {
		t.Errorf("event is %+v", failed)
	}
	if st, err := s.status(); err != nil || st.Cameras[0].Recording.Reason == "" || st.Cameras[0].Recording.Dropped == 0 || st.Cameras[0].State != local.StateConnected {
		t.Errorf("status is %+v, %v", st.Cameras, err)
	}
	s.until("the ring holds the pre-alarm pictures", 40*time.Second, func() bool { return s.ringSeconds("stockroom") >= 4 })
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := s.waitEvent("the alarm", 10*time.Second, kind("intruder"))
	var c socClip
	s.until("the clip is ready", 40*time.Second, func() bool { return s.get("/clips/"+e.Clips[0], &c) == nil && c.State == "ready" })
	if err := os.Remove(shelf); err != nil {
		t.Fatal(err)
	}
	s.waitEvent("it goes on by itself", 90*time.Second, kind("task-failed-restored"))
	if n := s.count("task-failed"); n != 1 {
		t.Errorf("task-failed is there %d times, want once", n)
	}
	if us := s.recorded("stockroom"); len(us) == 0 {
		t.Error("nothing is recorded after it went on")
	}
}

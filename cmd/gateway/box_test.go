package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// panelOnly is a site with one panel and no camera.
func panelOnly(s *site) string {
	return fmt.Sprintf(`panels:
  - id: intruder
    driver: galaxy-sia
    port: %s/panel
    settings: {baud: 9600, format: 8N1, rs485: auto, ack_form: plain}
    zones:
      "1011": {name: Stock room, kind: intruder, partition: "1", route: interior}
`, s.dir)
}

// withCamera adds one camera to the zone.
func withCamera(s *site) string {
	return strings.Replace(panelOnly(s), "route: interior}", "route: interior, cameras: [stockroom]}", 1) +
		fmt.Sprintf("cameras:\n  - {id: stockroom, name: Stock room, main: \"rtsp://%s/stockroom/main\", sub: \"rtsp://%s/stockroom/sub\"}\n", s.rtsp, s.rtsp)
}

func TestWorkedBytesReachTheSOC(t *testing.T) {
	t.Parallel()
	s := newSite(t, panelOnly)
	l := plug(t, s.dir+"/panel")
	s.startGateway()

	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	l.must(blkText, ack)
	l.must(blkBad, reject)
	l.must(blkRestore, ack)

	e := s.waitEvent("the alarm with its text", 10*time.Second, func(e socEvent) bool { return e.Kind == "intruder" && e.Text != "" })
	if e.Lane != "urgent" || e.Code != "BA" || e.Zone != "1011" || e.ZoneName != "Stock room" || e.Partition != "1" || e.Site != "0417" || e.Panel != "intruder" {
		t.Errorf("alarm is %+v", e)
	}
	if want := strings.ToLower(strings.ReplaceAll(blkIntruder, " ", "")); e.Raw != want {
		t.Errorf("raw is %s, want %s", e.Raw, want)
	}
	if !strings.Contains(e.Text, "INTRUDER") || !strings.Contains(e.Text, "SHOP FLOOR") {
		t.Errorf("text is %q", e.Text)
	}
	if !strings.Contains(e.Why, "Stock room") {
		t.Errorf("why is %q after the text came, want the sentence with the zone's name", e.Why)
	}
	am := s.waitEvent("the amendment", 5*time.Second, kind("amended"))
	if am.Amends != e.Seq {
		t.Errorf("amends %d, want %d", am.Amends, e.Seq)
	}
	r := s.waitEvent("the restore", 5*time.Second, kind("intruder-restored"))
	if r.Lane != "urgent" || r.Seq < e.Seq {
		t.Errorf("restore is %+v", r)
	}
}

func TestRepeatAfterALostAckIsOneEvent(t *testing.T) {
	t.Parallel()
	s := newSite(t, panelOnly)
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	l.must(blkIntruder, ack) // as if our ack was lost
	s.kill("gateway")
	s.startGateway()
	l.must(blkIntruder, ack) // and once more to a new process
	l.must(blkText, ack)
	l.must(blkIntruder, ack) // news: the text in between proved that the ack arrived
	l.must(blkRestore, ack)
	s.waitEvent("the restore", 10*time.Second, kind("intruder-restored"))
	if n := s.count("intruder"); n != 2 {
		t.Errorf("%d intruder events, want 2", n)
	}
}

func TestAdapterUnpluggedAndBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, panelOnly)
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	l.must(blkAccount, ack)
	l.unplug()
	lost := s.waitEvent("panel-lost", 20*time.Second, kind("panel-lost"))
	if lost.Panel != "intruder" || lost.Lane != "routine" || lost.Why == "" {
		t.Errorf("panel-lost is %+v", lost)
	}
	// A restart neither says it again nor forgets that the return must be said.
	s.kill("gateway")
	s.startGateway()
	s.until("the second start is at the SOC", 20*time.Second, func() bool { return s.count("started") == 2 })
	s.kill("gateway")
	l = plug(t, s.dir+"/panel")
	s.startGateway()
	s.waitEvent("panel-lost-restored", 40*time.Second, kind("panel-lost-restored"))
	if n := s.count("panel-lost"); n != 1 {
		t.Errorf("panel-lost is there %d times, want once", n)
	}
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	s.waitEvent("the alarm over the new adapter", 10*time.Second, kind("intruder"))
}

func TestClipWithPreAlarmPictures(t *testing.T) {
	t.Parallel()
	s := newSite(t, withCamera)
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	s.until("the ring holds the pre-alarm pictures", 40*time.Second, func() bool { return s.ringSeconds("stockroom") >= 4 })
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := s.waitEvent("the alarm", 10*time.Second, kind("intruder"))
	if len(e.Clips) != 1 || len(e.Cameras) != 1 || e.Cameras[0] != "stockroom" {
		t.Fatalf("alarm is %+v, want one clip of stockroom", e)
	}
	id := e.Clips[0]
	var c struct {
		socClip
		SHA256 string
		Event  struct {
			Journal string
			Seq     int64
		}
	}
	s.until("the clip is ready", 40*time.Second, func() bool { return s.get("/clips/"+id, &c) == nil && c.State == "ready" })
	if c.Event.Seq != e.Seq || c.Event.Journal != e.Journal {
		t.Errorf("clip's event is %+v, want %s/%d", c.Event, e.Journal, e.Seq)
	}
	b := s.body("/clips/" + id + ".mp4")
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != c.SHA256 {
		t.Errorf("digest is %x, want %s", sum, c.SHA256)
	}
	if d := s.clipSeconds(id); d < 5 || d > 12 { // what a busy machine's camera sends late comes behind the end
		t.Errorf("clip lasts %v s, want the 4 s before, most of the 3 s after, and at most the rest of a GOP", d)
	}
	from, _ := time.Parse(time.RFC3339, c.From)
	var recorded struct {
		Items []struct {
			RecordedAt time.Time `json:"recorded_at"`
			Seq        int64
			Journal    string
		}
	}
	if err := s.get("/events?kind=intruder", &recorded); err != nil || len(recorded.Items) != 1 {
		t.Fatal(err, recorded)
	}
	if pre := recorded.Items[0].RecordedAt.Sub(from); pre < 4*time.Second-200*time.Millisecond {
		t.Errorf("first picture is %v before the alarm, want 4 s or more", pre)
	}
	if jpg := s.body("/clips/" + id + ".jpg"); !bytes.HasPrefix(jpg, []byte("\xff\xd8\xff")) {
		t.Errorf("still begins with % x, want a JPEG", jpg[:min(3, len(jpg))])
	}
}

func TestCameraThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, withCamera)
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	lost := s.waitEvent("camera-lost", 20*time.Second, kind("camera-lost"))
	if len(lost.Cameras) != 1 || lost.Cameras[0] != "stockroom" {
		t.Errorf("camera-lost is %+v", lost)
	}
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := s.waitEvent("the alarm goes on", 5*time.Second, kind("intruder"))
	var c socClip
	s.until("the clip says that it is lost", 30*time.Second, func() bool { return s.get("/clips/"+e.Clips[0], &c) == nil && c.State == "lost" })
	if !strings.Contains(c.Reason, "stockroom") {
		t.Errorf("reason is %q, want the camera's name in it", c.Reason)
	}
	s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "stockroom")
	s.waitEvent("camera-lost-restored", 30*time.Second, kind("camera-lost-restored"))
}

func TestSOCAwayThenBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, panelOnly)
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	s.kill("soc")
	l.must(blkAccount, ack)
	for i := range 20 {
		if got := l.sayBytes(galaxyBlock('N', fmt.Sprintf("ti11:%02d/FA1011", i)), patience); got != ack {
			t.Fatalf("answer while the SOC is away is %q, want %q", got, ack)
		}
	}
	s.kill("gateway")
	s.startGateway()
	s.start("soc", "run", "--config", s.dir+"/soc.yaml")
	s.until("all twenty are there", 40*time.Second, func() bool { return len(s.alarms()) >= 20 })
	var last int64
	for i, e := range s.alarms() {
		if want := fmt.Sprintf("ti11:%02d/", i); !strings.Contains(string(unhex(t, e.Raw)), want) || e.Seq <= last {
			t.Errorf("alarm %d is seq %d with %q, want %s in order", i, e.Seq, unhex(t, e.Raw), want)
		}
		last = e.Seq
	}
	if n := len(s.alarms()); n != 20 {
		t.Errorf("%d alarms, want 20", n)
	}
}

// count returns how many events of a kind the SOC has.
func (s *site) count(kind string) (n int) {
	for _, e := range s.events() {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// alarms returns the fires at the SOC in their order.
func (s *site) alarms() (as []socEvent) {
	for _, e := range s.events() {
		if e.Kind == "fire" {
			as = append(as, e)
		}
	}
	return as
}

// ringSeconds asks the gateway's status how much of a camera's past is in memory.
func (s *site) ringSeconds(camera string) float64 {
	var st struct {
		Cameras []struct {
			ID          string  `json:"id"`
			RingSeconds float64 `json:"ring_seconds"`
		} `json:"cameras"`
	}
	resp, err := http.Get("http://" + s.local + "/api/v1/status")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(b, &st) != nil {
		return 0
	}
	for _, c := range st.Cameras {
		if c.ID == camera {
			return c.RingSeconds
		}
	}
	return 0
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

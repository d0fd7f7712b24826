package main

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"
)

// debianPython is Debian's own, which has the bindings.
const debianPython = "/usr/bin/python3"

// needGStreamer ends the test when GStreamer's RTSP server is not there.
func needGStreamer(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(debianPython, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')").CombinedOutput(); err != nil {
		t.Fatalf("GStreamer's RTSP server is missing (make test installs it: python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly): %s", out)
	}
}

// TestCameraThatIsNotOurs takes pictures from GStreamer's RTSP server, through gateway.yaml alone.
func TestCameraThatIsNotOurs(t *testing.T) {
	t.Parallel()
	needGStreamer(t)
	s := newSite(t, func(s *site) string {
		return panelOnly(s) + fmt.Sprintf("cameras:\n  - {id: foreign, name: Foreign, main: \"rtsp://%s/cam\"}\n", s.rtsp)
	})
	s.write("gateway.yaml", replaceOnce(t, s.read("gateway.yaml"), "route: interior}", "route: interior, cameras: [foreign]}"))
	_, port, err := net.SplitHostPort(s.rtsp)
	if err != nil {
		t.Fatal(err)
	}
	camera := exec.Command(debianPython, "testdata/gst_camera.py", port)
	s.run("gstreamer", camera)
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	s.until("the ring holds the pre-alarm pictures", 40*time.Second, func() bool { return s.ringSeconds("foreign") >= 4 })
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := s.waitEvent("the alarm", 10*time.Second, kind("intruder"))
	var c socClip
	s.until("the clip is ready", 40*time.Second, func() bool { return s.get("/clips/"+e.Clips[0], &c) == nil && c.State == "ready" })
	d := s.clipSeconds(e.Clips[0])
	if d < 5 || d > 12 { // as in TestClipWithPreAlarmPictures
		t.Errorf("clip lasts %.1f s, want the 4 s before and most of the 3 s after", d)
	}
}

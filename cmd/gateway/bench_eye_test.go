package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkAlarmToEye has a camera in each of a dozen zones, which are watched and quiet, and an alarm of one zone after the other: an alarm
// holds for ten minutes, so that each zone serves once. It takes the time from the last byte of the panel's block to the first picture of that
// zone's camera that the eye decodes in alert: up to the ack, which comes after the eye has been told, and from then as the gateway's status says. So
// it counts what lies between telling and the ack twice, and up to 50 ms until the gateway hears the eye.
func BenchmarkAlarmToEye(b *testing.B) {
	const zones = 12
	film := filepath.Join(b.TempDir(), "quiet.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "smptehdbars=size=640x360:rate=10,noise=alls=4:allf=t", "-t", "20",
		"-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "main", "-pix_fmt", "yuv420p", "-g", "20", "-bf", "0", film).CombinedOutput(); err != nil {
		b.Fatalf("ffmpeg (install: apt-get install ffmpeg): %v: %s", err, out)
	}
	var whole, eye []time.Duration
	for b.Loop() {
		s := newSite(b, func(s *site) string {
			points, cameras := "", "cameras:\n"
			for n := range zones {
				points += fmt.Sprintf("      \"10%d\": {name: Zone %d, kind: fire, cameras: [c%d]}\n", 20+n, n, n)
				cameras += fmt.Sprintf("  - {id: c%d, main: \"rtsp://%s/c/main\", sub: \"rtsp://%s/c/sub\"}\n", n, s.rtsp, s.rtsp)
			}
			return panelOnly(s) + points + cameras
		})
		s.start("sitesim", "camera", "--listen", s.rtsp, "--name", "c", "--file", film)
		l := plug(b, s.dir+"/panel")
		s.startGateway()
		l.must(blkAccount, ack)
		s.until("the eyes know the cameras and sleep", time.Minute, func() bool {
			return slices.IndexFunc(s.eyes(), func(c cameraEye) bool { return c.Eye.Decoded == 0 || c.Eye.Awake }) < 0 && len(s.eyes()) == zones
		})
		for n := range zones {
			began := time.Now()
			if got := l.sayBytes(galaxyBlock('N', fmt.Sprintf("ti10:00:%02d/FA10%d", n, 20+n)), 5*time.Second); got != ack {
				b.Fatalf("zone %d is answered by %q", n, got)
			}
			acked := time.Since(began)
			var c cameraEye
			s.until("the eye decodes it", 10*time.Second, func() bool {
				for _, c = range s.eyes() {
					if c.ID == fmt.Sprintf("c%d", n) {
						break
					}
				}
				return c.Eye.Raise > 0
			})
			took := time.Duration(c.Eye.Raise * float64(time.Second))
			eye, whole = append(eye, took), append(whole, acked+took)
		}
	}
	report(b, "eye", eye)
	report(b, "alarm-to-eye", whole)
	b.ReportMetric(float64(slices.Max(whole).Microseconds())/1000, "alarm-to-eye-max-ms")
	b.ReportMetric(0, "ns/op")
}

// cameraEye is what the status says of a camera's eye.
type cameraEye struct {
	ID  string `json:"id"`
	Eye struct {
		Grade   string  `json:"grade"`
		Awake   bool    `json:"awake"`
		Decoded int     `json:"decoded"`
		Raise   float64 `json:"raise_seconds"`
	} `json:"eye"`
}

func (s *site) eyes() []cameraEye {
	resp, err := http.Get("http://" + s.local + "/api/v1/status")
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	var st struct {
		Cameras []cameraEye `json:"cameras"`
	}
	if json.NewDecoder(resp.Body).Decode(&st) != nil {
		return nil
	}
	slices.SortFunc(st.Cameras, func(a, b cameraEye) int { return strings.Compare(a.ID, b.ID) })
	return st.Cameras
}

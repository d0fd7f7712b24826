package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// foreignFilms are films that a server which is not ours sends as they are: a black picture that flashes at each full second, and a
// tone that begins with the flash. The name is the file's.
var foreignFilms = []struct {
	name         string
	args         []string
	video, audio string // as ffprobe calls them in the clip
	transport    string
}{
	{"h264-aac", []string{"-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "2", "-g", "20", "-c:a", "aac"}, "h264", "aac", "tcp"},
	{"h265-opus", []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "keyint=20:min-keyint=20:log-level=error", "-c:a", "libopus"}, "hevc", "opus", "udp"},
	{"h264-pcmu", []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-x264-params", "slices=4", "-g", "20", "-c:a", "pcm_mulaw", "-ar", "8000"}, "h264", "pcm_s16be", "udp"},
	{"h264-l16", []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-g", "20", "-c:a", "pcm_s16le", "-ar", "16000"}, "h264", "pcm_s16be", "tcp"},
}

// TestFilmsThatAreNotOurs takes H.264, H.265 and sound from GStreamer's RTSP server and compares what the SOC gets with the source.
func TestFilmsThatAreNotOurs(t *testing.T) {
	t.Parallel()
	needGStreamer(t)
	var cameras, ids strings.Builder
	s := newSite(t, func(s *site) string {
		for _, f := range foreignFilms {
			fmt.Fprintf(&ids, ", %s", f.name)
			fmt.Fprintf(&cameras, "  - {id: %s, main: \"rtsp://%s/%s\", transport: %s, audio: on}\n", f.name, s.rtsp, f.name, f.transport)
		}
		return panelOnly(s) + "cameras:\n" + cameras.String()
	})
	s.write("gateway.yaml", replaceOnce(t, s.read("gateway.yaml"), "route: interior}", fmt.Sprintf("route: interior, cameras: [%s]}", ids.String()[2:])))
	_, port, err := net.SplitHostPort(s.rtsp)
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"testdata/gst_camera.py", port}
	for _, f := range foreignFilms {
		film := filepath.Join(s.dir, f.name+".mkv")
		args = append(args, film)
		made := append([]string{"-v", "error", "-nostdin", "-f", "lavfi", "-i", "color=black:s=160x120:r=10:d=400,drawbox=0:0:160:120:white:fill:enable='lt(mod(t,1),0.1)'",
			"-f", "lavfi", "-i", "aevalsrc='0.5*sin(2000*PI*t)*lt(mod(t,1),0.1)':s=48000:d=400", "-pix_fmt", "yuv420p", "-ac", "1"}, f.args...)
		if out, err := exec.Command("ffmpeg", append(made, film)...).CombinedOutput(); err != nil {
			t.Fatalf("ffmpeg: %v: %s", err, out)
		}
	}
	s.run("gstreamer", exec.Command(debianPython, args...))
	l := plug(t, s.dir+"/panel")
	s.startGateway()
	for _, f := range foreignFilms { // the camera's reports say how sound and pictures belong together
		s.until(f.name+" is in the ring", 60*time.Second, func() bool { return s.ringSeconds(f.name) >= 6 && s.clockKnown(f.name) })
	}
	l.must(blkAccount, ack)
	l.must(blkIntruder, ack)
	e := s.waitEvent("the alarm", 10*time.Second, kind("intruder"))
	if len(e.Clips) != len(foreignFilms) {
		t.Fatalf("the alarm has %d clips, want %d", len(e.Clips), len(foreignFilms))
	}
	for i, f := range foreignFilms {
		t.Run(f.name, func(t *testing.T) {
			var c socClip
			s.until("the clip is ready", 60*time.Second, func() bool {
				return s.get("/clips/"+e.Clips[i], &c) == nil && (c.State == "ready" || c.State == "lost")
			})
			if c.State != "ready" || c.Reason != "" {
				t.Fatalf("clip is %s: %q", c.State, c.Reason)
			}
			clip := filepath.Join(s.dir, f.name+".mp4")
			s.write(f.name+".mp4", string(s.body("/clips/"+e.Clips[i]+".mp4")))
			got, source := packetsOf(t, clip), packetsOf(t, filepath.Join(s.dir, f.name+".mkv"))
			if got.codecs["video"] != f.video || got.codecs["audio"] != f.audio {
				t.Errorf("clip holds %v, want %s and %s", got.codecs, f.video, f.audio)
			}
			if n := len(got.hashes); n < 65 || n > 130 || !got.key || !runOf(got.hashes, source.hashes) {
				t.Errorf("%d pictures, which begin with a keyframe %v; want those of 4 s before and 3 s after the alarm as they are in the film", n, got.key)
			}
			flashes, tones := got.flashes(t, clip), tones(t, clip)
			if len(flashes) < 6 || len(tones) < 5 {
				t.Fatalf("flashes at %.2f, tones at %.2f: want one each second", flashes, tones)
			}
			last := flashes[len(flashes)-2] // its tone is in the clip as a whole
			apart := math.Inf(1)
			for _, at := range tones {
				apart = min(apart, math.Abs(at-last))
			}
			if apart > 0.1 {
				t.Errorf("flashes at %.2f, tones at %.2f: %.3f s apart at the end", flashes, tones, apart)
			}
		})
	}
}

// clockKnown says whether a camera's reports have been heard.
func (s *site) clockKnown(camera string) bool {
	var st struct {
		Cameras []struct {
			ID    string
			Clock struct{ State string }
		}
	}
	resp, err := http.Get("http://" + s.local + "/api/v1/status")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&st) != nil {
		return false
	}
	for _, c := range st.Cameras {
		if c.ID == camera {
			return c.Clock.State == "known"
		}
	}
	return false
}

// packets are a film's pictures as ffprobe sees them.
type packets struct {
	codecs map[string]string
	hashes []string
	shown  []float64 // in the order of showing
	key    bool      // the first is a keyframe
}

func packetsOf(t *testing.T, path string) packets {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_packets", "-show_data_hash", "sha256", path).CombinedOutput()
	var j struct {
		Streams []struct {
			Type string `json:"codec_type"`
			Name string `json:"codec_name"`
		}
		Packets []struct {
			Type  string  `json:"codec_type"`
			PTS   float64 `json:"pts_time,string"`
			Flags string
			Hash  string `json:"data_hash"`
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &j)
	}
	if err != nil {
		t.Fatalf("ffprobe: %v: %.500s", err, out)
	}
	p := packets{codecs: map[string]string{}}
	for _, st := range j.Streams {
		p.codecs[st.Type] = st.Name
	}
	for _, k := range j.Packets {
		if k.Type == "video" {
			p.key = p.key || len(p.hashes) == 0 && strings.HasPrefix(k.Flags, "K")
			p.hashes, p.shown = append(p.hashes, k.Hash), append(p.shown, k.PTS)
		}
	}
	slices.Sort(p.shown)
	return p
}

// runOf says whether part is in whole without a gap. At its beginning pictures may be left out that refer to those before the clip.
func runOf(part, whole []string) bool {
	const left = 4
	for i := range whole {
		if len(part) == 0 || whole[i] != part[0] {
			continue
		}
		for skip := range left + 1 {
			from := i + 1 + skip
			if to := from + len(part) - 1; to <= len(whole) && slices.Equal(part[1:], whole[from:to]) {
				return true
			}
		}
	}
	return false
}

// decoded lets ffmpeg, which may have nothing to say, decode a film.
func decoded(t *testing.T, path string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-i", path}, append(args, "pipe:1")...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Fatalf("ffmpeg: %v: %.500s", err, errs.String())
	}
	return b
}

// flashes are when the picture becomes white.
func (p packets) flashes(t *testing.T, path string) (at []float64) {
	t.Helper()
	b := decoded(t, path, "-map", "0:v", "-fps_mode", "passthrough", "-vf", "scale=1:1:flags=area,format=gray", "-f", "rawvideo")
	if len(b) != len(p.shown) {
		t.Fatalf("%d pictures are decoded, want %d", len(b), len(p.shown))
	}
	for i := 1; i < len(b); i++ {
		if b[i-1] < 128 && b[i] >= 128 {
			at = append(at, p.shown[i])
		}
	}
	return at
}

// tones are when a tone begins.
func tones(t *testing.T, path string) (at []float64) {
	t.Helper()
	const rate = 8000
	b := decoded(t, path, "-map", "0:a", "-af", "aresample=8000:async=1:first_pts=0", "-ac", "1", "-f", "s16le")
	quiet := 0
	for i := 0; i+1 < len(b); i += 2 {
		if v := int16(uint16(b[i]) | uint16(b[i+1])<<8); v > -4000 && v < 4000 {
			quiet++
			continue
		}
		if quiet > rate/2 {
			at = append(at, float64(i/2)/rate)
		}
		quiet = 0
	}
	return at
}

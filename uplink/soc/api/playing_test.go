package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/soc/preview"
)

// film is a fragmented MP4 by ffmpeg; args are of its pictures and sound.
func makeFilm(t testing.TB, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed: apt-get install ffmpeg")
	}
	path := filepath.Join(t.TempDir(), "film.mp4")
	all := append([]string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=10:duration=3", "-f", "lavfi", "-i", "sine=duration=3"}, args...)
	all = append(all, "-g", "10", "-movflags", "frag_keyframe+empty_moov+default_base_moof", path)
	if b, err := exec.Command("ffmpeg", all...).CombinedOutput(); err != nil {
		t.Skipf("this ffmpeg cannot: %s", b)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// probe says which codecs are in a film.
func probe(t testing.TB, film []byte) string {
	t.Helper()
	return ffprobe(t, film, "stream=codec_name")
}

// ffprobe is what it says of each stream of a film.
func ffprobe(t testing.TB, film []byte, entries string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe.mp4")
	if err := os.WriteFile(path, film, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := exec.Command("ffprobe", "-v", "error", "-show_entries", entries, "-of", "csv=p=0", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return strings.Join(strings.Fields(string(b)), " ")
}

func TestWhatAFilmIs(t *testing.T) {
	for name, c := range map[string]struct {
		args        []string
		codec, mime string
	}{
		"H.264":         {[]string{"-map", "0", "-c:v", "libx264", "-profile:v", "main", "-level", "3.1", "-pix_fmt", "yuv420p"}, "h264", `video/mp4; codecs="avc1.4d401f"`},
		"H.264 and AAC": {[]string{"-c:v", "libx264", "-profile:v", "main", "-level", "3.1", "-pix_fmt", "yuv420p", "-c:a", "aac"}, "h264", `video/mp4; codecs="avc1.4d401f, mp4a.40.2"`},
		"H.265": {[]string{"-map", "0", "-c:v", "libx265", "-x265-params", "log-level=none:pools=1", "-pix_fmt", "yuv420p", "-tag:v", "hvc1"}, "h265",
			`video/mp4; codecs="hvc1.1.6.L30.90"`},
	} {
		t.Run(name, func(t *testing.T) {
			film := makeFilm(t, c.args...)
			f := readFilm(bytes.NewReader(film), int64(len(film)), false)
			if f.codec != c.codec || f.mime != c.mime {
				t.Errorf("got %q, %q, want %q, %q", f.codec, f.mime, c.codec, c.mime)
			}
			ends := map[int64]bool{0: true} // what can be played always ends with a fragment
			for i := range film {
				if k := string(film[i:min(i+4, len(film))]); i >= 4 && (k == "moof" || k == "mfra") {
					ends[int64(i-4)] = true
				}
			}
			last := int64(0)
			for n := range film {
				p := readFilm(bytes.NewReader(film[:n]), int64(n), false).playable
				if p < last || p > int64(n) || !ends[p] {
					t.Fatalf("%d bytes of %d can be played", p, n)
				}
				last = p
			}
			if last == 0 {
				t.Error("nothing of it can ever be played")
			}
		})
	}
}

// FuzzFilm is a file that says anything at all of itself.
func FuzzFilm(f *testing.F) {
	box := func(kind string, body ...[]byte) []byte {
		b := bytes.Join(body, nil)
		return append([]byte{0, 0, byte((len(b) + 8) >> 8), byte(len(b) + 8), kind[0], kind[1], kind[2], kind[3]}, b...)
	}
	entry := func(kind, conf string) []byte {
		return box("moov", box("trak", box("mdia", box("minf", box("stbl", box("stsd", make([]byte, 8), box(kind, make([]byte, 78), box(conf, make([]byte, 20)))))))))
	}
	f.Add(append(entry("avc1", "avcC"), append(box("moof"), box("mdat")...)...))
	f.Add(append(entry("hvc1", "hvcC"), append(box("moof"), box("mdat")...)...))
	f.Add(entry("hvc1", "hvcC")[:100])
	f.Add([]byte("\x00\x00\x00\x01moov\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := readFilm(bytes.NewReader(b), int64(len(b)), false)
		if p.playable < 0 || p.playable > int64(len(b)) || len(p.mime) > 1000 {
			t.Errorf("got %+v of %d bytes", p, len(b))
		}
		for _, c := range []byte(p.mime) {
			if c < ' ' || c > '~' {
				t.Errorf("the type has the byte %q", c)
			}
		}
	})
}

// described is a clip in the API's words.
type described struct {
	State       ledger.ClipState
	Growing     bool
	Bytes       int64
	Codec, Mime string
}

func (f *front) described(id edge.ClipID) (c described) {
	f.t.Helper()
	if err := json.Unmarshal([]byte(f.get("/api/v1/clips/"+string(id))), &c); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func TestClipIsServedWhileItGrows(t *testing.T) {
	f := newFront(t)
	film := makeFilm(t, "-map", "0", "-c:v", "libx264", "-pix_fmt", "yuv420p")
	id := edge.ClipID(edge.NewID())
	path := "/api/v1/clips/" + string(id) + ".mp4"
	part := filepath.Join(f.clips, string(id)+".part")
	seq := f.event(edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(0), To: at(1)}}})
	if code, _, _ := f.do("GET", path, nil, ""); code != 404 {
		t.Errorf("before anything has come: %d", code)
	}
	if _, err := f.led.ClipOffered(t.Context(), ledger.ClipOffer{Site: "0417", ID: id, Part: edge.PartClip, Camera: "door", Journal: f.id, Seq: seq}); err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for n := 0; n <= len(film); n += len(film) / 40 {
		if err := os.WriteFile(part, film[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		c := f.described(id)
		code, head, body := f.do("GET", path, nil, "")
		want := readFilm(bytes.NewReader(film[:n]), int64(n), false).playable
		if c.Bytes != want || c.State != ledger.ClipUploading || !c.Growing || want > 0 && (c.Codec != "h264" || !strings.Contains(c.Mime, "avc1.")) {
			t.Fatalf("of %d bytes: %+v, want %d", n, c, want)
		}
		if want == 0 {
			if code != 404 {
				t.Errorf("nothing can be played: got %d", code)
			}
			continue
		}
		if code != 200 || body != string(film[:want]) || head.Get("Content-Length") != strconv.FormatInt(want, 10) || head.Get("Cache-Control") != "no-store" {
			t.Errorf("%d bytes, status %d, %v, want %d", len(body), code, head, want)
		}
		// What a player asks that has had some of it already.
		code, head, body = f.do("GET", path, map[string]string{"Range": fmt.Sprintf("bytes=%d-", last)}, "")
		if last == want {
			if code != 416 || head.Get("Content-Range") != fmt.Sprintf("bytes */%d", want) {
				t.Errorf("nothing new: %d, %v", code, head)
			}
		} else if code != 206 || body != string(film[last:want]) {
			t.Errorf("%d bytes, status %d, want those after %d", len(body), code, last)
		}
		last = want
	}
	// Of an older length If-Range gives all of it, never a wrong piece.
	if code, _, body := f.do("GET", path, map[string]string{"Range": "bytes=100-", "If-Range": fmt.Sprintf(`"%s-%d"`, id, 5)}, ""); code != 200 || int64(len(body)) != last {
		t.Errorf("status %d, %d bytes", code, len(body))
	}
	// Of a box that is destroyed nothing comes any more, and nobody says so.
	for age, want := range map[time.Duration]bool{2 * growingFor: false, 0: true} {
		when := time.Now().Add(-age)
		if err := os.Chtimes(part, when, when); err != nil {
			t.Fatal(err)
		}
		if c := f.described(id); c.Growing != want || c.Bytes != last {
			t.Errorf("nothing has come for %v: got %+v", age, c)
		}
	}
	// Lost: what came of it is all that there is.
	f.event(edge.Event{Kind: edge.KindClipLost, Clip: &edge.ClipFact{ID: id, Camera: "door", Reason: "the disk broke"}})
	if c := f.described(id); c.State != ledger.ClipLost || c.Growing || c.Bytes != last {
		t.Errorf("got %+v", c)
	}
	if code, _, body := f.do("GET", path, nil, ""); code != 200 || int64(len(body)) != last {
		t.Errorf("status %d, %d bytes", code, len(body))
	}
}

func TestPreview(t *testing.T) {
	f := newFront(t)
	film := makeFilm(t, "-c:v", "libx265", "-x265-params", "log-level=none:pools=1", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16be", "-strict", "-2", "-f", "mov")
	id := edge.ClipID(edge.NewID())
	path := "/api/v1/clips/" + string(id) + ".preview.mp4"
	if code, _, _ := f.do("GET", path, nil, ""); code != 404 {
		t.Errorf("of a clip that is not known: %d", code)
	}
	original := filepath.Join(f.clips, fmt.Sprintf("%s-%d", id, edge.PartClip))
	f.event(edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(0), To: at(1)}}})
	if code, _, _ := f.do("GET", path, nil, ""); code != 404 {
		t.Errorf("before anything has come: %d", code)
	}
	if err := os.WriteFile(original, film, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := f.led.ClipStored(t.Context(), "0417", id, edge.PartClip, int64(len(film)), [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if c := f.described(id); c.Codec != "h265" || c.Bytes != int64(len(film)) {
		t.Errorf("got %+v", c)
	}
	// The maker that finds no ffmpeg says what to do.
	f.previews(preview.Options{FFmpeg: "no-such-program"})
	if code, _, body := f.do("GET", path, nil, ""); code != 501 || !strings.Contains(body, "install ffmpeg on the SOC") {
		t.Errorf("without ffmpeg: %d %s", code, body)
	}
	f.previews(preview.Options{})
	code, head, body := f.do("GET", path, nil, "")
	if code != 200 || head.Get("Content-Type") != "video/mp4" || !strings.Contains(head.Get("Content-Disposition"), "preview") {
		t.Fatalf("got %d, %v", code, head)
	}
	if got := probe(t, []byte(body)); got != "h264 aac" {
		t.Errorf("the preview has %s, want h264 aac", got)
	}
	if got := ffprobe(t, []byte(body), "stream=start_time"); strings.Trim(got, "0. ") != "" {
		t.Errorf("pictures and sound of the preview begin at %s s, want both at 0", got)
	}
	if code, _, piece := f.do("GET", path, map[string]string{"Range": "bytes=100-199"}, ""); code != 206 || piece != body[100:200] {
		t.Errorf("a range of it: %d", code)
	}
	if b, err := os.ReadFile(original); err != nil || !bytes.Equal(b, film) {
		t.Errorf("the clip is not what it was (%v)", err)
	}
	if err := os.Remove(original); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := f.do("GET", path, nil, ""); code != 404 {
		t.Errorf("of a clip that is gone: %d", code)
	}
	if left, _ := filepath.Glob(filepath.Join(f.clips, "previews", "*")); len(left) > 0 {
		t.Errorf("%v stay", left)
	}
}

// A player asks for one film in many ranges: while the clip grows, they are of one preview.
func TestPreviewOfAClipThatGrows(t *testing.T) {
	f := newFront(t)
	film := makeFilm(t, "-map", "0", "-c:v", "libx264", "-pix_fmt", "yuv420p")
	id := edge.ClipID(edge.NewID())
	path, part := "/api/v1/clips/"+string(id)+".preview.mp4", filepath.Join(f.clips, string(id)+".part")
	seq := f.event(edge.Event{Kind: edge.KindIntruder, Clips: []edge.ClipRef{{ID: id, Camera: "door", From: at(0), To: at(1)}}})
	if _, err := f.led.ClipOffered(t.Context(), ledger.ClipOffer{Site: "0417", ID: id, Part: edge.PartClip, Camera: "door", Journal: f.id, Seq: seq}); err != nil {
		t.Fatal(err)
	}
	f.previews(preview.Options{})
	if err := os.WriteFile(part, film[:len(film)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	code, head, first := f.do("GET", path, map[string]string{"Range": "bytes=0-"}, "")
	if code != 206 {
		t.Fatalf("got %d %s", code, first)
	}
	if err := os.WriteFile(part, film, 0o600); err != nil {
		t.Fatal(err)
	}
	same := func(when, asked string, from int) {
		t.Helper()
		h := map[string]string{}
		if asked != "" {
			h["Range"] = asked
		}
		if _, again, body := f.do("GET", path, h, ""); body != first[from:] || again.Get("ETag") != head.Get("ETag") {
			t.Errorf("%s, %q: got %s and %d bytes, want %s and %d", when, asked, again.Get("ETag"), len(body), head.Get("ETag"), len(first)-from)
		}
	}
	same("at once", "", 0)
	same("at once", "bytes=0-", 0)
	same("at once", "bytes=100-", 100)
	made, err := filepath.Glob(filepath.Join(f.clips, "previews", "*"))
	if err != nil || len(made) != 1 {
		t.Fatal(made, err)
	}
	old := time.Now().Add(-2 * previewFresh)
	if err := os.Chtimes(made[0], old, old); err != nil {
		t.Fatal(err)
	}
	same("later", "bytes=100-", 100)
	if _, again, body := f.do("GET", path, map[string]string{"Range": "bytes=0-"}, ""); len(body) <= len(first) || again.Get("ETag") == head.Get("ETag") {
		t.Errorf("who begins anew gets %d bytes, want more than %d", len(body), len(first))
	}
}

// previews makes the API make previews so.
func (f *front) previews(o preview.Options) {
	f.t.Helper()
	o.Dir, o.Clock, o.Log, o.Timeout = filepath.Join(f.clips, "previews"), edge.NewSystemClock(), slog.New(slog.DiscardHandler), time.Minute
	o.Room = func() (uint64, error) { return 1 << 30, nil }
	m, err := preview.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.api.o.Previews = m
}

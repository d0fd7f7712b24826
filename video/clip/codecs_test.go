package clip

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// track is what ffprobe says of one stream of a clip.
type track struct {
	Codec, Tag        string
	Rate              string
	Packets           int
	Start, End        float64
	Frames            string
	hashes            []string
	firstKey, ordered bool
}

func (t *track) String() string {
	return fmt.Sprintf("%s (%s), %s Hz, %d packets from %v to %v", t.Codec, t.Tag, t.Rate, t.Packets, t.Start, t.End)
}

// tracks lets ffprobe and ffmpeg look at a clip: they may have nothing to say.
func tracks(t *testing.T, path string) map[string]*track {
	t.Helper()
	cmd := exec.Command("ffprobe", "-v", "warning", "-of", "json", "-show_packets", "-show_streams", "-count_frames", "-show_data_hash", "sha256", path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffprobe: %v: %s", err, stderr.String())
	}
	var p struct {
		Packets []struct {
			Type     string  `json:"codec_type"`
			PTS      float64 `json:"pts_time,string"`
			DTS      float64 `json:"dts_time,string"`
			Duration float64 `json:"duration_time,string"`
			Flags    string  `json:"flags"`
			Hash     string  `json:"data_hash"`
		} `json:"packets"`
		Streams []struct {
			Type   string `json:"codec_type"`
			Codec  string `json:"codec_name"`
			Tag    string `json:"codec_tag_string"`
			Rate   string `json:"sample_rate"`
			Frames string `json:"nb_read_frames"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	out := map[string]*track{}
	for _, s := range p.Streams {
		out[s.Type] = &track{Codec: s.Codec, Tag: s.Tag, Rate: s.Rate, Frames: s.Frames, Start: 1e9, ordered: true}
	}
	last := map[string]float64{}
	for _, k := range p.Packets {
		tr := out[k.Type]
		if tr.Packets == 0 {
			tr.firstKey = strings.HasPrefix(k.Flags, "K")
		} else if k.DTS <= last[k.Type] {
			tr.ordered = false
		}
		last[k.Type] = k.DTS
		tr.Packets++
		tr.Start, tr.End = min(tr.Start, k.PTS), max(tr.End, k.PTS+k.Duration)
		tr.hashes = append(tr.hashes, k.Hash)
	}
	for kind, tr := range out {
		if !tr.firstKey || !tr.ordered {
			t.Errorf("%s: begins with a keyframe %v, in order of decoding %v", kind, tr.firstKey, tr.ordered)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decodes(t, content)
	return out
}

func near(a, b, d float64) bool { return a-b < d && b-a < d }

// cutPieces cuts 5 s before and after second 10 of what a camera has sent.
func cutPieces(t *testing.T, pieces []piece) (edge.ClipFact, string) {
	t.Helper()
	fact, file, lost := cutOne(t, t.TempDir(), ringOf(pieces), 30*time.Second, alarm(10*time.Second, 5*time.Second, 5*time.Second), nil)
	if lost != "" {
		t.Fatalf("lost: %s", lost)
	}
	return fact, file.Path
}

func TestPicturesAndSound(t *testing.T) {
	for name, c := range map[string]struct {
		args         []string
		video, audio string // as ffprobe calls them
		codec, sound string // as the facts do
		packets      int    // of sound
	}{
		"H.264":             {args(picture, x264), "h264", "", "h264", "", 0},
		"H.265":             {args(picture, x265), "hevc", "", "h265", "", 0},
		"H.264 and AAC":     {args(picture, tone, x264, aac), "h264", "aac", "h264", "aac", 157},
		"H.265 and AAC":     {args(picture, tone, x265, aac), "hevc", "aac", "h265", "aac", 157},
		"H.264 and Opus":    {args(picture, tone, x264, []string{"-c:a", "libopus", "-b:a", "24k", "-strict", "-2"}), "h264", "opus", "h264", "opus", 502},
		"H.265, open GOPs":  {args(picture, []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=10:min-keyint=10:scenecut=0:bframes=2:b-adapt=0:open-gop=1", "-tag:v", "hvc1"}), "hevc", "", "h265", "", 0},
		"H.264, B-pictures": {args(picture, []string{"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "10"}), "h264", "", "h264", "", 0},
		"H.265, B-pictures": {args(picture, []string{"-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=10:min-keyint=10:scenecut=0:bframes=2:b-adapt=0:open-gop=0", "-tag:v", "hvc1"}), "hevc", "", "h265", "", 0},
		"AAC of 48 kHz":     {args(picture, tone, x264, []string{"-c:a", "aac", "-ar", "48000", "-ac", "1"}), "h264", "aac", "h264", "aac", 470},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fact, path := cutPieces(t, encoded(t, c.args...))
			if fact.Codec != c.codec || fact.Audio != c.sound || fact.Width != 160 || fact.Height != 120 || fact.Reason != "" {
				t.Errorf("fact %+v, want %s and %q of 160x120", fact, c.codec, c.sound)
			}
			got := tracks(t, path)
			v := got["video"]
			if v.Codec != c.video || !near(v.End-v.Start, 10.6, 0.7) || v.Packets < 98 || v.Packets > 113 {
				t.Errorf("pictures: %v, want 10 s and up to one GOP more of %s", v, c.video)
			}
			if shown := fact.To.Sub(fact.From).Seconds(); !near(v.End-v.Start, shown, 0.001) {
				t.Errorf("the fact says %.3f s, want those of %v", shown, v)
			}
			if name == "H.265, open GOPs" && v.Start > 0.001 {
				t.Errorf("nothing is shown for %v s, because pictures before the first are left out", v.Start)
			}
			a := got["audio"]
			if (a != nil) != (c.audio != "") {
				t.Fatalf("sound: %+v, want %q", a, c.audio)
			}
			if a != nil && (a.Codec != c.audio || a.Start < v.Start-0.001 || a.Start > v.Start+0.1 || !near(a.End, v.End, 0.2) || a.Packets < c.packets-4 || a.Packets > c.packets*112/100) {
				t.Errorf("sound: %v, want %s in about %d packets, beside the pictures: %v", a, c.audio, c.packets, v)
			}
		})
	}
}

// pcm adds sound of 20 ms a packet to the pictures.
func pcm(t *testing.T, pieces []piece, codec video.AudioCodec, format string, bytes int) []piece {
	t.Helper()
	raw, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=8000", "-t", "20", "-ac", "1", "-f", format, "pipe:1").Output()
	if err != nil {
		t.Fatal(err)
	}
	p, err := video.NewAudioParams(codec, 8000, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; (i+1)*bytes <= len(raw); i++ {
		at := time.Duration(i) * 20 * time.Millisecond
		pieces = append(pieces, piece{video.AccessUnit{Data: raw[i*bytes : (i+1)*bytes], PTS: video.TicksOf(at), Arrival: arrival(at), Audio: p}, pieces[0].p})
	}
	return inOrder(pieces)
}

func TestPCMIsKeptAsItSounds(t *testing.T) {
	pictures := encoded(t, args(picture, x264)...)
	for name, c := range map[string]struct {
		codec  video.AudioCodec
		format string
		bytes  int
	}{
		"µ-law": {video.PCMU, "mulaw", 160}, "A-law": {video.PCMA, "alaw", 160}, "L16": {video.LPCM, "s16be", 320},
	} {
		t.Run(name, func(t *testing.T) {
			pieces := pcm(t, append([]piece{}, pictures...), c.codec, c.format, c.bytes)
			fact, path := cutPieces(t, pieces)
			a := tracks(t, path)["audio"]
			if fact.Audio != "lpcm" || a == nil || a.Codec != "pcm_s16be" || a.Rate != "8000" || !near(a.Start, 0, 0.021) || !near(a.End, 10, 0.2) {
				t.Fatalf("fact %q, sound %v, want 10 s of 16 bits at 8 kHz", fact.Audio, a)
			}
			// What ffmpeg decodes of the source is what is in the clip, bit by bit.
			dir := t.TempDir()
			var source []byte
			for _, p := range pieces {
				if p.u.Audio != nil && p.u.Arrival.Mono >= 5*time.Second && p.u.Arrival.Mono <= 15*time.Second {
					source = append(source, p.u.Data...)
				}
			}
			raw := filepath.Join(dir, "raw")
			if err := os.WriteFile(raw, source, 0o600); err != nil {
				t.Fatal(err)
			}
			want, err := exec.Command("ffmpeg", "-v", "error", "-f", c.format, "-ar", "8000", "-ac", "1", "-i", raw, "-f", "s16be", "pipe:1").Output()
			if err != nil {
				t.Fatal(err)
			}
			got, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-map", "0:a", "-f", "s16be", "pipe:1").Output()
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("%d bytes of sound, want %d and the same", len(got), len(want))
			}
		})
	}
}

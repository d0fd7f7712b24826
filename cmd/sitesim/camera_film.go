package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"sitewatch/video/rtsptest"
)

// film is how a file is played.
type film struct {
	copy bool   // its pictures can be sent as they are
	why  string // they cannot
	step int64  // 1/90000 s from picture to picture
}

// probeFilm asks ffprobe what the file is. H.264 without B-pictures goes out unchanged, which costs next to nothing; a camera
// sends no B-pictures, and RTP times of the order of decoding would be wrong for them.
func probeFilm(ctx context.Context, path string) (f film, err error) {
	ffprobe, err := exec.LookPath("ffprobe")
	if err != nil {
		return f, rtsptest.ErrNoFFmpeg
	}
	out, err := exec.CommandContext(ctx, ffprobe, "-v", "error", "-select_streams", "v:0", "-of", "json",
		"-show_entries", "stream=codec_name,has_b_frames,avg_frame_rate,pix_fmt", path).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.New(strings.TrimSpace(string(exit.Stderr)))
		}
		return f, fmt.Errorf("film: %w", err)
	}
	var probed struct {
		Streams []struct {
			Codec  string `json:"codec_name"`
			B      int    `json:"has_b_frames"`
			Rate   string `json:"avg_frame_rate"`
			Pixels string `json:"pix_fmt"`
		}
	}
	if err := json.Unmarshal(out, &probed); err != nil {
		return f, fmt.Errorf("film: %w", err)
	}
	if len(probed.Streams) == 0 {
		return f, fmt.Errorf("film %s has no pictures", path)
	}
	s := probed.Streams[0]
	switch {
	case s.Codec != "h264":
		f.why = "it is " + s.Codec
	case s.B > 0:
		f.why = "it has B-pictures"
	case !strings.HasPrefix(s.Pixels, "yuv420p") && !strings.HasPrefix(s.Pixels, "yuvj420p") || strings.HasSuffix(s.Pixels, "le"):
		f.why = "its pixels are " + s.Pixels
	}
	f.copy, f.step = f.why == "", 90000/filmRate
	if f.copy {
		num, den, _ := strings.Cut(s.Rate, "/")
		n, _ := strconv.ParseInt(num, 10, 64)
		d, _ := strconv.ParseInt(den, 10, 64)
		if n > 0 && d > 0 {
			f.step = max(1, 90000*d/n)
		}
	}
	return f, nil
}

// filmRate is what a film that has to be encoded anew gets.
const filmRate = 12

// args are for rtsptest.Encode: once, in real time.
func (f film) args(path string) []string {
	a := []string{"-re", "-i", path, "-map", "0:v:0"}
	if f.copy {
		return append(a, "-c:v", "copy")
	}
	return append(a, "-vf", fmt.Sprintf("fps=%d,scale='min(1280,iw)':-2,format=yuv420p", filmRate),
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-threads", "1", "-g", strconv.Itoa(filmRate), "-b:v", "1200k")
}

package rtsptest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"time"
)

// ReadAnnexB splits an H.264 byte stream (Annex B) that has access unit delimiters and gives each access unit's NAL units
// to f, without the delimiter. They are f's to keep.
func ReadAnnexB(r io.Reader, f func(nalus [][]byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 1<<16), 16<<20)
	s.Split(splitNALU)
	var unit [][]byte
	for s.Scan() {
		n := bytes.TrimRight(s.Bytes(), "\x00")
		if len(n) == 0 {
			continue
		}
		if n[0]&0x1F == 9 {
			if len(unit) > 0 {
				if err := f(unit); err != nil {
					return err
				}
			}
			unit = nil
			continue
		}
		unit = append(unit, bytes.Clone(n))
	}
	if err := s.Err(); err != nil {
		return err
	}
	if len(unit) > 0 {
		return f(unit)
	}
	return nil
}

// splitNALU is a bufio.SplitFunc for what stands between start codes.
func splitNALU(data []byte, atEOF bool) (advance int, token []byte, err error) {
	start := bytes.Index(data, []byte{0, 0, 1})
	if start < 0 {
		if atEOF {
			return len(data), nil, nil
		}
		return 0, nil, nil
	}
	start += 3
	if end := bytes.Index(data[start:], []byte{0, 0, 1}); end >= 0 {
		return start + end, data[start : start+end], nil
	}
	if atEOF {
		return len(data), data[start:], nil
	}
	return 0, nil, nil
}

// ErrNoFFmpeg says what is missing.
var ErrNoFFmpeg = errors.New("ffmpeg is not installed: apt-get install ffmpeg")

// Encode runs ffmpeg with args, which name the input and the encoder, and gives each access unit to f as it comes.
// It needs Debian's ffmpeg.
func Encode(ctx context.Context, stdin io.Reader, args []string, f func(nalus [][]byte) error) error {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		return ErrNoFFmpeg
	}
	all := append([]string{"-hide_banner", "-loglevel", "error", "-nostdin"}, args...)
	all = append(all, "-an", "-bsf:v", "h264_mp4toannexb,h264_metadata=aud=insert", "-flush_packets", "1", "-f", "h264", "pipe:1")
	if stdin != nil {
		all = append(all[:3:3], all[4:]...) // -nostdin would be wrong then
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, all...)
	cmd.Stdin = stdin
	cmd.WaitDelay = 2 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	readErr := ReadAnnexB(out, f)
	if readErr != nil {
		cancel()
	}
	waitErr := cmd.Wait()
	switch {
	case readErr != nil:
		return readErr
	case waitErr != nil:
		return fmt.Errorf("ffmpeg: %w: %s", waitErr, bytes.TrimSpace(stderr.Bytes()))
	}
	return nil
}

// TestPicture returns arguments for Encode: seconds of ffmpeg's moving test picture at fps pictures a second, an IDR every gop
// pictures, no B-pictures.
func TestPicture(width, height, fps, gop int, seconds float64) []string {
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc=size=%dx%d:rate=%d", width, height, fps),
		"-t", strconv.FormatFloat(seconds, 'f', -1, 64), "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency",
		"-pix_fmt", "yuv420p", "-threads", "1", "-g", strconv.Itoa(gop), "-sc_threshold", "0", "-b:v", "500k"}
}

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
	return readAnnexB(r, func(n []byte) bool { return n[0]&0x1F == 9 }, f)
}

func readAnnexB(r io.Reader, delimits func([]byte) bool, f func(nalus [][]byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 1<<16), 16<<20)
	s.Split(splitNALU)
	var unit [][]byte
	for s.Scan() {
		n := bytes.TrimRight(s.Bytes(), "\x00")
		if len(n) == 0 {
			continue
		}
		if delimits(n) {
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
	return encode(ctx, stdin, append(args[:len(args):len(args)], "-an", "-bsf:v", "h264_mp4toannexb,h264_metadata=aud=insert", "-f", "h264"), ReadAnnexB, f)
}

// Encode265 is Encode for args that make H.265.
func Encode265(ctx context.Context, stdin io.Reader, args []string, f func(nalus [][]byte) error) error {
	read := func(r io.Reader, f func([][]byte) error) error {
		return readAnnexB(r, func(n []byte) bool { return n[0]>>1&0x3F == 35 }, f)
	}
	return encode(ctx, stdin, append(args[:len(args):len(args)], "-an", "-bsf:v", "hevc_mp4toannexb,hevc_metadata=aud=insert", "-f", "hevc"), read, f)
}

func encode(ctx context.Context, stdin io.Reader, args []string, read func(io.Reader, func([][]byte) error) error, f func(nalus [][]byte) error) error {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		return ErrNoFFmpeg
	}
	all := append([]string{"-hide_banner", "-loglevel", "error", "-nostdin"}, args...)
	all = append(all, "-flush_packets", "1", "pipe:1")
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
	readErr := read(out, f)
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

// TestPicture265 is TestPicture for Encode265, with B-pictures when open is set and then CRA pictures instead of IDR ones.
func TestPicture265(width, height, fps, gop int, seconds float64, open bool) []string {
	x265 := fmt.Sprintf("log-level=none:keyint=%d:min-keyint=%d:scenecut=0:repeat-headers=1:pools=1:frame-threads=1", gop, gop)
	if open {
		x265 += ":open-gop=1:bframes=3:b-adapt=0:rc-lookahead=10"
	} else {
		x265 += ":open-gop=0:bframes=0"
	}
	return []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc=size=%dx%d:rate=%d", width, height, fps),
		"-t", strconv.FormatFloat(seconds, 'f', -1, 64), "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", x265}
}

// Package film reads the pictures of an MP4 file, for scoring recordings.
//
// It takes H.264 and H.265, progressive and fragmented (ISO/IEC 14496-12 and 14496-15), and nothing that it does not need: one
// video track, in the order of the file. A file may come from anybody: every length is checked before it is believed, and
// what is held is bounded. It never writes. A Film is used by one goroutine.
package film

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// ErrFormat says that a file is no MP4 that can be read here.
var ErrFormat = errors.New("not an MP4 file with H.264 or H.265")

const hint = "make one with: ffmpeg -i FILE -an -c:v copy OUT.mp4 (or -c:v libx264)"

// Film is an open file.
type Film struct {
	Name    string
	Params  video.Params // before the first picture; Each tells when they change
	file    *os.File
	size    int64
	track   track
	samples []sample
}

type track struct {
	id       uint32
	scale    uint32 // units of time a second
	codec    video.Codec
	sets     [][]byte
	lenSize  int
	defaults defaults
	end      int64 // of the last picture, in the order of decoding
	start    int64 // what of the track comes before the film's time 0, by its edit list
	edited   bool  // it has one
}

type sample struct {
	offset, time int64 // time of display in the track's units
	size         uint32
	skip         bool // of a kind that cannot be read
}

const (
	maxTable   = 64 << 20 // bytes of moov or of one moof
	maxSamples = 4 << 20  // 77 hours at 15 pictures a second
)

// Open reads the tables of a file.
func Open(path string) (*Film, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // what is no file, such as a pipe that nobody writes to, must not hold us
	if err != nil {
		return nil, edge.WithHint(err, "name an MP4 file that is there")
	}
	f := &Film{Name: path, file: file}
	if err := f.index(); err != nil {
		file.Close()
		return nil, edge.WithHint(fmt.Errorf("%s: %w", path, err), hint)
	}
	return f, nil
}

// Close closes the file.
func (f *Film) Close() error { return f.file.Close() }

// Pictures is how many there are.
func (f *Film) Pictures() int { return len(f.samples) }

// Duration is the time from the first picture to the end of the last one.
func (f *Film) Duration() time.Duration {
	n := len(f.samples)
	if n < 2 {
		return 0
	}
	first, last := f.samples[0].time, f.samples[0].time
	for _, s := range f.samples {
		first, last = min(first, s.time), max(last, s.time)
	}
	span := f.ticks(last - first)
	return (span + span/video.Ticks90k(n-1)).Duration()
}

// Start is when the first picture is shown in the film's own time, by which people and players tell when something happens: later than 0 where another
// track begins before, and before 0 where the edit list hides the first pictures, as in a film that was cut without coding it again.
func (f *Film) Start() time.Duration {
	if !f.track.edited || len(f.samples) == 0 {
		return 0
	}
	return f.ticks(f.samples[0].time - f.track.start).Duration()
}

func (f *Film) ticks(v int64) video.Ticks90k {
	s := int64(f.track.scale)
	return video.Ticks90k(v/s*90000 + v%s*90000/s)
}

func (f *Film) index() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is no file", ErrFormat)
	}
	f.size = info.Size()
	for at := int64(0); at < f.size; {
		kind, head, n, err := f.box(at)
		if err != nil {
			return err
		}
		switch kind {
		case "moov":
			b, err := f.read(at+head, n-head)
			if err != nil {
				return err
			}
			if err := f.moov(b); err != nil {
				return err
			}
		case "moof":
			b, err := f.read(at+head, n-head)
			if err != nil {
				return err
			}
			if err := f.moof(b, at); err != nil {
				return err
			}
		}
		at += n
	}
	switch {
	case f.track.codec == 0:
		return fmt.Errorf("%w: no video track of these", ErrFormat)
	case len(f.samples) == 0:
		return fmt.Errorf("%w: no pictures", ErrFormat)
	}
	return nil
}

// box reads a header: its type, how long it is and how long all of the box is. A box that claims more than there is ends with the file: that
// is what a recording looks like that was cut short.
func (f *Film) box(at int64) (kind string, head, n int64, err error) {
	var b [16]byte
	got, err := f.file.ReadAt(b[:], at)
	if got < 8 {
		return "", 0, 0, fmt.Errorf("%w: cut short", ErrFormat)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", 0, 0, err
	}
	n, head = int64(binary.BigEndian.Uint32(b[:])), 8
	switch {
	case n == 0:
		n = f.size - at
	case n == 1 && got == 16:
		n, head = int64(binary.BigEndian.Uint64(b[8:])), 16
	}
	if n < head || n > f.size-at {
		if n < head || at == 0 {
			return "", 0, 0, fmt.Errorf("%w: a box of %d bytes", ErrFormat, n)
		}
		n = f.size - at
	}
	return string(b[4:8]), head, n, nil
}

func (f *Film) read(at, n int64) ([]byte, error) {
	if n > maxTable {
		return nil, fmt.Errorf("%w: a table of %d bytes, the limit is %d", ErrFormat, n, maxTable)
	}
	b := make([]byte, n)
	if _, err := f.file.ReadAt(b, at); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return b, nil
}

// Each gives every picture to take, in the order of the file, with the parameters that belong to it. PTS is 0 at the first
// picture. Pictures that are broken are left out, and the next says that something is missing.
func (f *Film) Each(take func(u video.AccessUnit, p video.Params) error) error {
	if err := f.parameters(f.track.sets); err != nil && len(f.track.sets) > 0 {
		return edge.WithHint(fmt.Errorf("%s: %w", f.Name, err), hint)
	}
	lost := uint32(0)
	for _, s := range f.samples {
		u, err := f.unit(s)
		if err != nil || !f.Params.Valid() {
			lost++
			continue
		}
		u.PTS, u.Lost, lost = f.ticks(s.time-f.samples[0].time), lost, 0
		if err := take(u, f.Params); err != nil {
			return err
		}
	}
	if !f.Params.Valid() {
		return edge.WithHint(fmt.Errorf("%s: %w: no parameter sets", f.Name, ErrFormat), hint)
	}
	return nil
}

// unit reads one picture and minds the parameter sets in it.
func (f *Film) unit(s sample) (u video.AccessUnit, err error) {
	if s.skip || s.size > video.MaxUnitBytes {
		return u, ErrFormat
	}
	b, err := f.read(s.offset, int64(s.size))
	if err != nil {
		return u, err
	}
	var nalus [][]byte
	for len(b) >= f.track.lenSize {
		n := 0
		for _, v := range b[:f.track.lenSize] {
			n = n<<8 | int(v)
		}
		if b = b[f.track.lenSize:]; n > len(b) {
			return u, ErrFormat
		}
		nalus, b = append(nalus, b[:n]), b[n:]
	}
	var vps, sps, pps []byte
	if f.track.codec == video.H265 {
		u, vps, sps, pps, err = video.NewH265Unit(nalus, 0, edge.Stamp{})
	} else {
		u, sps, pps, err = video.NewH264Unit(nalus, 0, edge.Stamp{})
	}
	if sps != nil && pps != nil {
		if f.track.codec == video.H265 && vps == nil {
			vps = f.Params.VPS
		}
		_ = f.parameters([][]byte{vps, sps, pps}) // those that cannot be used change nothing
	}
	return u, err
}

// parameters takes VPS, SPS and PPS; the first is nil with H.264.
func (f *Film) parameters(sets [][]byte) (err error) {
	if len(sets) != 3 {
		return fmt.Errorf("%w: no parameter sets", ErrFormat)
	}
	var p video.Params
	if f.track.codec == video.H265 {
		p, err = video.NewH265Params(sets[0], sets[1], sets[2])
	} else {
		p, err = video.NewH264Params(sets[1], sets[2])
	}
	if err == nil && !p.Equal(f.Params) {
		f.Params = p
	}
	return err
}

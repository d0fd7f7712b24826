package api

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"
)

// film is what the boxes of an MP4 file say (ISO/IEC 14496-12). It is read from what a box has sent: nothing of it is trusted.
type film struct {
	playable int64 // up to the end of the last whole fragment
	codec    string
	came     time.Time // when the last of the file came
	mime     string    // with the codecs of RFC 6381, as a browser is asked whether it plays it; "" when it is not known
}

const (
	boxesMost = 20_000  // of a file: a fragment a second of ten minutes is 1,200
	moovMost  = 1 << 20 // bytes of the header
)

// Playable is how many of the first size bytes of a clip that has not come in full are a header and whole fragments: what a player
// takes of it. 0: nothing yet.
func Playable(r io.ReaderAt, size int64) int64 { return readFilm(r, size, false).playable }

// readFilm goes through the boxes of the first size bytes; only the header, when head is set.
func readFilm(r io.ReaderAt, size int64, head bool) (f film) {
	fragment := false
	var b [16]byte
	for pos, n := int64(0), 0; n < boxesMost && pos <= size-8; n++ {
		if _, err := r.ReadAt(b[:8], pos); err != nil {
			break
		}
		length, begin := int64(binary.BigEndian.Uint32(b[:4])), int64(8)
		if length == 1 {
			if pos > size-16 {
				break
			}
			if _, err := r.ReadAt(b[8:], pos+8); err != nil {
				break
			}
			length, begin = int64(binary.BigEndian.Uint64(b[8:])), 16
		}
		if length < begin || length > size-pos {
			break // not all of it is here
		}
		switch string(b[4:8]) {
		case "moov":
			if length > moovMost {
				return f
			}
			moov := make([]byte, length-begin)
			if _, err := r.ReadAt(moov, pos+begin); err != nil {
				return f
			}
			f.tracks(moov)
			if head {
				return f
			}
		case "moof":
			fragment = f.mime != ""
		case "mdat":
			if fragment {
				f.playable = pos + length
			}
			fragment = false
		}
		pos += length
	}
	return f
}

// tracks reads which codecs a header names.
func (f *film) tracks(moov []byte) {
	var codecs []string
	for trak := range children(moov, "trak") {
		for mdia := range children(trak, "mdia") {
			for minf := range children(mdia, "minf") {
				for stbl := range children(minf, "stbl") {
					for stsd := range children(stbl, "stsd") {
						if c := f.entry(stsd); c != "" && len(codecs) < 8 {
							codecs = append(codecs, c)
						}
					}
				}
			}
		}
	}
	if len(codecs) > 0 {
		f.mime = `video/mp4; codecs="` + strings.Join(codecs, ", ") + `"`
	}
}

// entry is the codec of the first sample entry.
func (f *film) entry(stsd []byte) string {
	if len(stsd) < 16 {
		return ""
	}
	kind, body := string(stsd[12:16]), stsd[16:]
	const visual = 78 // bytes of a VisualSampleEntry before its boxes
	switch {
	case kind == "avc1" || kind == "avc3":
		f.codec = "h264"
		for c := range children(body[min(visual, len(body)):], "avcC") {
			if len(c) >= 4 {
				return kind + "." + hex.EncodeToString(c[1:4])
			}
		}
	case kind == "hvc1" || kind == "hev1":
		f.codec = "h265"
		for c := range children(body[min(visual, len(body)):], "hvcC") {
			if len(c) >= 13 {
				return kind + hevc(c)
			}
		}
	case kind == "mp4a":
		return "mp4a.40.2"
	case kind == "Opus":
		return "opus"
	}
	for _, r := range kind {
		if r < 'A' || r > 'z' || r > 'Z' && r < 'a' {
			if r < '0' || r > '9' {
				return "unknown"
			}
		}
	}
	return kind
}

// hevc is the end of a codec's name from its record (ISO/IEC 14496-15 §E.3).
func hevc(c []byte) string {
	space, tier := [4]string{"", "A", "B", "C"}[c[1]>>6], "L"
	if c[1]&0x20 != 0 {
		tier = "H"
	}
	s := fmt.Sprintf(".%s%d.%X.%s%d", space, c[1]&0x1f, bits.Reverse32(binary.BigEndian.Uint32(c[2:6])), tier, c[12])
	for constraints := c[6:12]; len(constraints) > 0 && strings.Trim(string(constraints), "\x00") != ""; constraints = constraints[1:] {
		s += fmt.Sprintf(".%X", constraints[0])
	}
	return s
}

// children are the bodies of the boxes of a kind in b.
func children(b []byte, kind string) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) >= 8 {
			n := int(binary.BigEndian.Uint32(b))
			if n < 8 || n > len(b) {
				return
			}
			if string(b[4:8]) == kind && !yield(b[8:n]) {
				return
			}
			b = b[n:]
		}
	}
}

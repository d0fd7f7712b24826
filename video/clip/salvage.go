package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"sitewatch/video"
)

// salvaged is what a file that may be cut short holds.
type salvaged struct {
	note note
	end  video.Ticks90k // of its last whole fragment, from the first picture

	codec, audio string // as the facts name them
	size         video.Size
}

var errNothing = errors.New("clip: no whole fragment in the file")

// maxBox bounds a box that is read into memory; a fragment ends at a quarter of it.
const maxBox = 4 * fragmentBytes

// salvage cuts path back to its last whole fragment and says what is left. It wants our own header and note, at least one
// fragment, and nothing else.
func salvage(path string) (s salvaged, err error) {
	defer func() {
		if r := recover(); r != nil { // the box library reads what a power cut has left
			err = fmt.Errorf("clip: unreadable file: %v", r)
		}
	}()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return s, err
	}
	defer f.Close()
	var good int64
	var moof, head []byte
	seen := map[string]bool{}
walk:
	for pos := int64(0); ; {
		kind, box, err := readBox(f, pos)
		if err != nil {
			break walk // cut short here
		}
		pos += int64(len(box))
		switch kind {
		case "ftyp":
			head = box
		case "moov":
			if err := s.header(append(head, box...)); err != nil {
				return s, err
			}
		case "uuid":
			if s.note, err = parseNote(box); err != nil {
				return s, err
			}
		case "moof":
			moof = box
		case "mdat":
			end, err := fragmentEnd(append(moof, box...))
			moof = nil
			if err != nil {
				break walk // what comes after a broken fragment is not to be trusted
			}
			s.end, good = end, pos
		}
		seen[kind] = true
	}
	if good == 0 || !seen["ftyp"] || !seen["moov"] || !seen["uuid"] {
		return s, errNothing
	}
	if err := f.Truncate(good); err != nil {
		return s, err
	}
	return s, f.Sync()
}

// header takes what the file is from its first boxes.
func (s *salvaged) header(b []byte) error {
	var init fmp4.Init
	if err := init.Unmarshal(bytes.NewReader(b)); err != nil {
		return err
	}
	for _, t := range init.Tracks {
		switch c := t.Codec.(type) {
		case *codecs.H264:
			if p, err := video.NewH264Params(c.SPS, c.PPS); err == nil {
				s.size = p.Size
			}
		case *codecs.H265:
			if p, err := video.NewH265Params(c.VPS, c.SPS, c.PPS); err == nil {
				s.size = p.Size
			}
		default:
			s.audio = codecName(c)
			continue
		}
		s.codec = codecName(t.Codec)
	}
	if s.codec == "" {
		return errors.New("clip: not a file of ours")
	}
	return nil
}

// readBox reads the whole box at pos.
func readBox(r io.ReaderAt, pos int64) (kind string, box []byte, err error) {
	var head [8]byte
	if _, err := r.ReadAt(head[:], pos); err != nil {
		return "", nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[:]))
	if size < 8 || size > maxBox {
		return "", nil, fmt.Errorf("clip: box of %d bytes", size)
	}
	box = make([]byte, size)
	if _, err := r.ReadAt(box, pos); err != nil {
		return "", nil, err
	}
	return string(head[4:]), box, nil
}

// fragmentEnd returns when the last picture of a fragment ends, in ticks from the first picture of the clip.
func fragmentEnd(b []byte) (video.Ticks90k, error) {
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil {
		return 0, err
	}
	if len(parts) != 1 {
		return 0, errNothing
	}
	for _, t := range parts[0].Tracks {
		if t.ID != pictureTrack || len(t.Samples) == 0 {
			continue
		}
		end := video.Ticks90k(t.BaseTime)
		for _, s := range t.Samples {
			end += video.Ticks90k(s.Duration)
		}
		return end, nil
	}
	return 0, errNothing
}

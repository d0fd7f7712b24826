package clip

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"sitewatch/video"
)

// salvaged is what a file that may be cut short holds.
type salvaged struct {
	note note
	end  video.Ticks90k // of its last whole fragment, from the first picture
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
	var moof []byte
	seen := map[string]bool{}
walk:
	for pos := int64(0); ; {
		kind, box, err := readBox(f, pos)
		if err != nil {
			break walk // cut short here
		}
		pos += int64(len(box))
		switch kind {
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

func parseNote(box []byte) (n note, err error) {
	if len(box) < 24 || [16]byte(box[8:24]) != noteID {
		return n, errors.New("clip: not a file of ours")
	}
	if err := json.Unmarshal(box[24:], &n); err != nil {
		return n, fmt.Errorf("clip: note: %w", err)
	}
	return n, nil
}

// fragmentEnd returns when the last picture of a fragment ends, in ticks from the first picture of the clip.
func fragmentEnd(b []byte) (video.Ticks90k, error) {
	var parts fmp4.Parts
	if err := parts.Unmarshal(b); err != nil {
		return 0, err
	}
	if len(parts) != 1 || len(parts[0].Tracks) != 1 || len(parts[0].Tracks[0].Samples) == 0 {
		return 0, errNothing
	}
	t := parts[0].Tracks[0]
	end := video.Ticks90k(t.BaseTime)
	for _, s := range t.Samples {
		end += video.Ticks90k(s.Duration)
	}
	return end, nil
}

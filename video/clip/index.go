package clip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"sitewatch/video"
)

// shifted is the output as the muxer sees it: it begins after ftyp.
type shifted struct{ f *os.File }

func (s *shifted) Write(b []byte) (int, error) { return s.f.Write(b) }
func (s *shifted) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		offset += int64(len(ftyp))
	}
	n, err := s.f.Seek(offset, whence)
	return n - int64(len(ftyp)), err
}

// trackTimes is what the muxer does not know of a track.
type trackTimes struct {
	delay video.Ticks90k // by how much it begins later than the pictures
	last  video.Ticks90k // how long its last sample is
}

// finishIndex puts right what the muxer says in the moov at the end of the file: every chunk begins later by what ftyp takes, the last
// sample of a track is not over at once, and a track that begins later than the pictures has an edit list
// (ISO/IEC 14496-12 §8.6.6) that says so.
func finishIndex(f *os.File, times []trackTimes) error {
	pos := int64(len(ftyp))
	var head [8]byte
	if _, err := f.ReadAt(head[:], pos); err != nil {
		return err
	}
	pos += int64(binary.BigEndian.Uint32(head[:]))
	kind, moov, err := readBox(f, pos)
	if err != nil || kind != "moov" {
		return errors.Join(err, errors.New("the muxer wrote no index"))
	}
	out := append([]byte{}, moov[:8]...)
	tracks, longest := 0, uint32(0)
	for b := moov[8:]; len(b) > 0; {
		n := boxSize(b)
		if n == 0 {
			return errCutShort
		}
		box := b[:n]
		b = b[n:]
		if string(box[4:8]) == "trak" && tracks < len(times) {
			if err := shiftChunks(box); err != nil {
				return err
			}
			long, err := lengthen(box, times[tracks].last)
			if err != nil {
				return err
			}
			if d := times[tracks].delay; d > 0 {
				box = delayed(box, d)
				long += inMovie(d)
			}
			longest = max(longest, long)
			tracks++
		}
		out = append(out, box...)
	}
	mvhd := child(out, "mvhd")
	if tracks != len(times) || len(mvhd) < 28 {
		return errCutShort
	}
	binary.BigEndian.PutUint32(mvhd[24:], longest)
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	_, err = f.WriteAt(out, pos)
	return err
}

var errCutShort = errors.New("the index is cut short")

// movieScale is the time scale of the muxer's mvhd, in which tracks as a whole are measured.
const movieScale = 10000

func inMovie(d video.Ticks90k) uint32 {
	return uint32((int64(d)*movieScale + int64(video.Second) - 1) / int64(video.Second))
}

// lengthen gives the last sample of a trak its duration, of which the muxer makes 0, and returns how long the track is.
func lengthen(trak []byte, last video.Ticks90k) (long uint32, err error) {
	tkhd, mdia := child(trak, "tkhd"), child(trak, "mdia")
	if len(tkhd) < 32 || mdia == nil {
		return 0, errCutShort
	}
	mdhd, stts := child(mdia, "mdhd"), mdia
	for _, want := range []string{"minf", "stbl", "stts"} {
		if stts = child(stts, want); stts == nil {
			return 0, errCutShort
		}
	}
	if len(mdhd) < 28 || len(stts) < 24 {
		return 0, errCutShort
	}
	if e := stts[len(stts)-8:]; binary.BigEndian.Uint32(e) == 1 && binary.BigEndian.Uint32(e[4:]) == 0 {
		binary.BigEndian.PutUint32(e[4:], uint32(last))
		binary.BigEndian.PutUint32(mdhd[24:], binary.BigEndian.Uint32(mdhd[24:])+uint32(last))
	}
	long = inMovie(video.Ticks90k(binary.BigEndian.Uint32(mdhd[24:])))
	binary.BigEndian.PutUint32(tkhd[28:], long)
	return long, nil
}

// shiftChunks adds what ftyp takes to every chunk offset of a trak.
func shiftChunks(box []byte) error {
	for _, want := range []string{"mdia", "minf", "stbl", "stco"} {
		if box = child(box, want); box == nil {
			return fmt.Errorf("the index has no %s", want)
		}
	}
	if len(box) < 16 || uint64(len(box)-16) < 4*uint64(binary.BigEndian.Uint32(box[12:])) {
		return errCutShort
	}
	for i := range int(binary.BigEndian.Uint32(box[12:])) {
		e := box[16+4*i:]
		binary.BigEndian.PutUint32(e, binary.BigEndian.Uint32(e)+uint32(len(ftyp)))
	}
	return nil
}

// delayed returns a trak whose track begins d later: first nothing for so long, then all of it.
func delayed(trak []byte, d video.Ticks90k) []byte {
	tkhd := child(trak, "tkhd") // the first box; lengthen has seen it
	duration, empty := binary.BigEndian.Uint32(tkhd[28:]), inMovie(d)
	edts := []byte("\x00\x00\x00\x30edts\x00\x00\x00\x28elst\x00\x00\x00\x00\x00\x00\x00\x02")
	for _, v := range []uint32{empty, 0xFFFFFFFF, 1 << 16, duration, 0, 1 << 16} { // length, from where (-1: nothing), rate
		edts = binary.BigEndian.AppendUint32(edts, v)
	}
	binary.BigEndian.PutUint32(tkhd[28:], empty+duration)
	out := append([]byte{}, trak[:8+len(tkhd)]...)
	out = append(append(out, edts...), trak[8+len(tkhd):]...)
	binary.BigEndian.PutUint32(out, uint32(len(out)))
	return out
}

// boxSize is the size of the box at the beginning of b, 0 when it is not whole.
func boxSize(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	if n := binary.BigEndian.Uint32(b); n >= 8 && uint64(n) <= uint64(len(b)) {
		return int(n)
	}
	return 0
}

// child returns the first box of that kind in a box; it aliases b.
func child(b []byte, kind string) []byte {
	for b = b[8:]; ; {
		n := boxSize(b)
		if n == 0 {
			return nil
		}
		if string(b[4:8]) == kind {
			return b[:n]
		}
		b = b[n:]
	}
}

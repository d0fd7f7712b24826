package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/deepch/vdk/av"
	"github.com/deepch/vdk/codec/h264parser"
	"github.com/deepch/vdk/format/mp4"

	"sitewatch/video"
)

// ftyp goes before what the muxer writes, which has none; some players refuse a file without it.
var ftyp = []byte("\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomavc1")

// Export writes the clip src as a progressive MP4 to dst, for players that do not open fragmented ones. The pictures are
// copied bit by bit. dst must not exist yet; it is removed when Export fails.
func Export(src, dst string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil { // the muxer panics on parameters that it cannot read
			err = fmt.Errorf("%v", r)
		}
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			os.Remove(dst)
			err = fmt.Errorf("export clip: %w", err)
		}
	}()
	if _, err := out.Write(ftyp); err != nil {
		return err
	}
	mux := mp4.NewMuxer(&shifted{out})
	if err := copyPictures(mux, in); err != nil {
		return err
	}
	if err := mux.WriteTrailer(); err != nil {
		return err
	}
	if err := shiftChunks(out); err != nil {
		return err
	}
	return out.Sync()
}

// copyPictures hands every picture of in to mux.
func copyPictures(mux *mp4.Muxer, in io.ReaderAt) error {
	var head seekablebuffer.Buffer
	var moof []byte
	var at time.Duration
	pictures := 0
	for pos := int64(0); ; {
		kind, box, err := readBox(in, pos)
		if errors.Is(err, io.EOF) && pictures > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		pos += int64(len(box))
		switch kind {
		case "ftyp":
			head.Write(box)
		case "moov":
			head.Write(box)
			if err := writeHeader(mux, head.Bytes()); err != nil {
				return err
			}
		case "moof":
			moof = box
		case "mdat":
			var parts fmp4.Parts
			if err := parts.Unmarshal(append(moof, box...)); err != nil {
				return err
			}
			for _, part := range parts {
				for _, track := range part.Tracks {
					for _, s := range track.Samples {
						err := mux.WritePacket(av.Packet{IsKeyFrame: !s.IsNonSyncSample, Data: s.Payload, Time: at,
							CompositionTime: roundedUp(video.Ticks90k(max(0, s.PTSOffset)))})
						if err != nil {
							return err
						}
						at += roundedUp(video.Ticks90k(s.Duration))
						pictures++
					}
				}
			}
		}
	}
}

func writeHeader(mux *mp4.Muxer, b []byte) error {
	var init fmp4.Init
	if err := init.Unmarshal(bytes.NewReader(b)); err != nil {
		return err
	}
	if len(init.Tracks) != 1 || init.Tracks[0].TimeScale != uint32(video.Second) {
		return errors.New("not a clip of ours")
	}
	c, ok := init.Tracks[0].Codec.(*codecs.H264)
	if !ok {
		return errors.New("not H.264")
	}
	data, err := h264parser.NewCodecDataFromSPSAndPPS(c.SPS, c.PPS)
	if err != nil {
		return err
	}
	return mux.WriteHeader([]av.CodecData{data})
}

// roundedUp converts ticks so that the muxer, which rounds down, comes back to the same number.
func roundedUp(t video.Ticks90k) time.Duration {
	d := t.Duration()
	if video.TicksOf(d) < t {
		d++
	}
	return d
}

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

// shiftChunks adds what ftyp takes to every chunk offset in the moov at the end of the file.
func shiftChunks(f *os.File) error {
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
	box := moov
	for _, want := range []string{"trak", "mdia", "minf", "stbl", "stco"} {
		if box = child(box, want); box == nil {
			return fmt.Errorf("the index has no %s", want)
		}
	}
	if len(box) < 16 || uint64(len(box)-16) < 4*uint64(binary.BigEndian.Uint32(box[12:])) {
		return errors.New("the index is cut short")
	}
	for i := range int(binary.BigEndian.Uint32(box[12:])) {
		e := box[16+4*i:]
		binary.BigEndian.PutUint32(e, binary.BigEndian.Uint32(e)+uint32(len(ftyp)))
	}
	_, err = f.WriteAt(moov, pos)
	return err
}

// child returns the first box of that kind in a box; it aliases b.
func child(b []byte, kind string) []byte {
	for b = b[8:]; len(b) >= 8; {
		n := binary.BigEndian.Uint32(b)
		if n < 8 || uint64(n) > uint64(len(b)) {
			return nil
		}
		if string(b[4:8]) == kind {
			return b[:n]
		}
		b = b[n:]
	}
	return nil
}

package clip

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"sitewatch/edge"
	"sitewatch/video"
)

// note says inside the file what it is and when its first picture came in, so that a file that was left behind, or that is
// found years later without its journal, explains itself. It is a box of type "uuid" (ISO/IEC 14496-12 §11.1), which
// players skip.
type note struct {
	Clip   edge.ClipID   `json:"clip"`
	Camera edge.CameraID `json:"camera"`
	Seq    edge.Seq      `json:"seq"`
	First  time.Time     `json:"first"`
}

// noteID is the extended type of the box.
var noteID = [16]byte{'s', 'i', 't', 'e', 'w', 'a', 't', 'c', 'h', '-', 'n', 'o', 't', 'e', '-', '1'}

func (n note) box() ([]byte, error) {
	b, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	box := binary.BigEndian.AppendUint32(nil, uint32(8+len(noteID)+len(b)))
	box = append(box, "uuid"...)
	box = append(box, noteID[:]...)
	return append(box, b...), nil
}

const trackID = 1

// file is a fragmented MP4 that is being written. Its header holds the parameters of the first picture; when they change in
// the middle, the pictures from then on carry theirs along.
type file struct {
	f         *os.File
	room      func(n int) error // asked before each write
	params    video.Params      // of the header
	dts       dts
	pending   *fmp4.Sample // the last picture, which lacks its duration
	pendingAt video.Ticks90k
	samples   []*fmp4.Sample
	bytes     int
	base      video.Ticks90k // of samples[0], from the beginning of the clip
	fragments uint32
	written   int64

	first, last video.AccessUnit // without Data
	origin      video.Ticks90k   // decoding time of the first picture
	end         video.Ticks90k   // PTS where the last picture ends
}

// create makes the file and writes its header.
func create(path string, p video.Params, n note, room func(n int) error) (*file, error) {
	var buf seekablebuffer.Buffer
	init := fmp4.Init{Tracks: []*fmp4.InitTrack{{
		ID: trackID, TimeScale: uint32(video.Second), Codec: &codecs.H264{SPS: p.SPS, PPS: p.PPS},
	}}}
	if err := init.Marshal(&buf); err != nil {
		return nil, fmt.Errorf("MP4 header: %w", err)
	}
	box, err := n.box()
	if err != nil {
		return nil, fmt.Errorf("MP4 note: %w", err)
	}
	if err := room(len(buf.Bytes()) + len(box)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(append(buf.Bytes(), box...)); err != nil {
		f.Close()
		return nil, err
	}
	return &file{f: f, room: room, params: p}, nil
}

// write adds a picture. The first one must be an IDR.
func (f *file) write(u video.AccessUnit, p video.Params) error {
	at := f.dts.next(u, p)
	if f.last.Arrival == (edge.Stamp{}) {
		f.first, f.origin = u, at
		f.first.Data = nil
	}
	if f.pending != nil {
		f.pending.Duration = uint32(at - f.pendingAt)
		if u.Keyframe || at-f.origin-f.base >= fragmentTicks || f.bytes >= fragmentBytes {
			if err := f.flush(); err != nil {
				return err
			}
		}
	}
	data := u.Data
	if u.Keyframe && !p.Equal(f.params) {
		data = video.AppendNALU(make([]byte, 0, len(data)+len(p.SPS)+len(p.PPS)+8), p.SPS)
		data = append(video.AppendNALU(data, p.PPS), u.Data...)
	}
	if len(f.samples) == 0 {
		f.base = at - f.origin
	}
	f.pending = &fmp4.Sample{PTSOffset: int32(u.PTS - at), IsNonSyncSample: !u.Keyframe, Payload: data}
	f.samples = append(f.samples, f.pending)
	f.bytes += len(data)
	f.pendingAt = at
	f.last = u
	f.last.Data = nil
	return nil
}

// flush writes the fragment.
func (f *file) flush() error {
	var buf seekablebuffer.Buffer
	part := fmp4.Part{SequenceNumber: f.fragments + 1,
		Tracks: []*fmp4.PartTrack{{ID: trackID, BaseTime: uint64(f.base), Samples: f.samples}}}
	if err := part.Marshal(&buf); err != nil {
		return fmt.Errorf("MP4 fragment: %w", err)
	}
	if err := f.room(buf.Len()); err != nil {
		return err
	}
	if _, err := f.f.Write(buf.Bytes()); err != nil {
		return err
	}
	f.fragments++
	f.written += int64(buf.Len())
	f.samples, f.bytes, f.pending = nil, 0, nil
	return nil
}

// flushNow writes what a fragment has so far, as far as that goes.
func (f *file) flushNow() {
	if f.pending != nil {
		f.pending.Duration = uint32(f.lastDuration())
		f.flush() // what fails here is missing from a clip that is sealed later and says that it was cut short
	}
}

// drop forgets the fragment that could not be written.
func (f *file) drop() { f.samples, f.pending = nil, nil }

// finish writes the last fragment, cuts off what a failed write may have left, and makes the file durable. The last picture
// is shown for as long as the one before it was. The caller closes it.
func (f *file) finish() error {
	if f.pending != nil {
		f.pending.Duration = uint32(f.lastDuration())
		f.end = f.last.PTS + video.Ticks90k(f.pending.Duration)
		if err := f.flush(); err != nil {
			return err
		}
	} else {
		found, err := salvage(f.f.Name())
		if err != nil {
			return err
		}
		f.end = f.first.PTS + found.end
	}
	return f.f.Sync()
}

func (f *file) lastDuration() video.Ticks90k {
	if n := len(f.samples); n > 1 {
		return video.Ticks90k(f.samples[n-2].Duration)
	}
	return video.Second / 10
}

func (f *file) Close() error { return f.f.Close() }

// publish gives a finished file its name: fsync, rename, fsync of the directory, so that after a power cut there is either
// the whole file under this name or none.
func publish(temp, final string) error {
	f, err := os.OpenFile(temp, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	f.Close()
	if err != nil {
		return err
	}
	edge.Crash("clip synced before rename")
	if err := os.Rename(temp, final); err != nil {
		return err
	}
	edge.Crash("clip renamed before directory sync")
	dir, err := os.Open(filepath.Dir(final))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// digest returns a file's size and SHA-256.
func digest(path string) (size int64, sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, sum, err
	}
	defer f.Close()
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return 0, sum, err
	}
	return size, [sha256.Size]byte(h.Sum(nil)), nil
}

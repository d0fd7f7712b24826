package clip

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"golang.org/x/sys/unix"

	"sitewatch/edge"
	"sitewatch/video"
)

// Tracks of the MP4. Sound has one only when some came with the pictures of the first fragment.
const (
	pictureTrack = 1
	soundTrack   = 2
)

// file is a fragmented MP4 that is being written, and never written twice at any place: what is on the disk is the beginning
// of what it will be. Its header goes with the first fragment and holds the parameters of the first picture; when they change
// in the middle, the pictures from then on carry theirs along.
type file struct {
	f    *os.File
	opt  fileOptions
	sum  hash.Hash // of what is written
	note note

	params    video.Params // of the header
	carried   bool         // they have changed: keyframes carry theirs
	dts       dts
	pending   *fmp4.Sample // the last picture, which lacks its duration
	pendingAt video.Ticks90k
	samples   []*fmp4.Sample
	bytes     int
	base      video.Ticks90k // of samples[0], from the beginning of the clip
	sound     sound
	leading   bool // pictures that refer to those before the last keyframe cannot be shown
	fragments uint32
	written   int64
	whole     video.Ticks90k // where the last fragment ends, from the beginning of the clip

	first, last video.AccessUnit // pictures, without Data
	latest      video.Ticks90k   // PTS of the picture that is shown last
	origin      video.Ticks90k   // decoding time of the first picture
	end         video.Ticks90k   // PTS where the last picture ends
	lost        uint64           // packets
}

// errOtherCodec says that a picture cannot go into a file of the pictures before it.
var errOtherCodec = errors.New("clip: pictures of another codec")

// fileOptions are what a file asks and tells.
type fileOptions struct {
	room func(n int) error // asked before each write
	grew func(size int64)  // told after each fragment
}

// create makes the file. Nothing is in it before the first fragment.
func create(path string, p video.Params, n note, opt fileOptions) (*file, error) {
	if err := opt.room(0); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &file{f: f, opt: opt, sum: sha256.New(), note: n, params: p, leading: true}, nil
}

// header is what goes before the first fragment.
func (f *file) header() ([]byte, error) {
	init := fmp4.Init{Tracks: []*fmp4.InitTrack{{ID: pictureTrack, TimeScale: uint32(video.Second), Codec: pictureCodec(f.params)}}}
	if f.sound.params != nil {
		init.Tracks = append(init.Tracks, &fmp4.InitTrack{ID: soundTrack, TimeScale: uint32(f.sound.params.Rate), Codec: f.sound.codec})
	}
	var buf seekablebuffer.Buffer
	if err := init.Marshal(&buf); err != nil {
		return nil, fmt.Errorf("MP4 header: %w", err)
	}
	box, err := f.note.box()
	if err != nil {
		return nil, fmt.Errorf("MP4 note: %w", err)
	}
	return append(buf.Bytes(), box...), nil
}

func pictureCodec(p video.Params) codecs.Codec {
	if p.Codec == video.H265 {
		return &codecs.H265{VPS: p.VPS, SPS: p.SPS, PPS: p.PPS}
	}
	return &codecs.H264{SPS: p.SPS, PPS: p.PPS}
}

// write adds a picture or a piece of sound. The first one must be a keyframe.
func (f *file) write(u video.AccessUnit, p video.Params) error {
	f.lost += uint64(u.Lost)
	if u.Audio != nil {
		if u.PTS-f.last.PTS > soundAhead {
			f.sound.miss("some sound is of another time and left out")
			return nil
		}
		f.sound.add(u, u.PTS-f.origin, f.first.PTS-f.origin)
		return nil
	}
	if p.Codec != f.params.Codec {
		return errOtherCodec
	}
	if u.Keyframe {
		f.leading = f.last.Arrival == (edge.Stamp{}) || u.Lost > 0
	} else if f.leading && p.Skipped(u) {
		return nil
	}
	at := f.dts.next(u, p)
	if f.last.Arrival == (edge.Stamp{}) {
		f.first, f.origin, f.latest = u, at, u.PTS
		f.first.Data = nil
	}
	if f.pending != nil {
		f.pending.Duration = uint32(at - f.pendingAt)
		if u.Keyframe || at-f.origin-f.base >= fragmentTicks || f.bytes+f.sound.bytes >= fragmentBytes {
			if err := f.flush(); err != nil {
				return err
			}
		}
	}
	data := u.Data
	f.carried = f.carried || u.Keyframe && !p.Equal(f.params)
	if u.Keyframe && f.carried { // also those of the header, which a player has forgotten by then
		data = make([]byte, 0, len(data)+len(p.VPS)+len(p.SPS)+len(p.PPS)+12)
		for _, set := range p.Sets() {
			data = video.AppendNALU(data, set)
		}
		data = append(data, u.Data...)
	}
	if len(f.samples) == 0 {
		f.base = at - f.origin
	}
	f.pending = &fmp4.Sample{PTSOffset: int32(u.PTS - at), IsNonSyncSample: !u.Keyframe, Payload: data}
	f.samples = append(f.samples, f.pending)
	f.bytes += len(data)
	f.pendingAt = at
	f.latest = max(f.latest, u.PTS)
	f.last = u
	f.last.Data = nil
	return nil
}

// flush writes the fragment.
func (f *file) flush() error {
	var head []byte
	if f.fragments == 0 {
		var err error
		if head, err = f.header(); err != nil {
			return err
		}
	}
	part := fmp4.Part{SequenceNumber: f.fragments + 1,
		Tracks: []*fmp4.PartTrack{{ID: pictureTrack, BaseTime: uint64(f.base), Samples: f.samples}}}
	if t := f.sound.track(); t != nil {
		part.Tracks = append(part.Tracks, t)
	}
	var buf seekablebuffer.Buffer
	if err := part.Marshal(&buf); err != nil {
		return fmt.Errorf("MP4 fragment: %w", err)
	}
	b := append(head, buf.Bytes()...)
	if err := f.opt.room(len(b)); err != nil {
		return err
	}
	if _, err := f.f.Write(b); err != nil {
		return err
	}
	// What goes to the disk now need not when the clip ends and is waited for. What this fails at, the sync finds too.
	_ = unix.SyncFileRange(int(f.f.Fd()), f.written, int64(len(b)), unix.SYNC_FILE_RANGE_WRITE)
	f.sum.Write(b)
	f.fragments++
	f.written += int64(len(b))
	f.whole = f.base
	for _, s := range f.samples {
		f.whole += video.Ticks90k(s.Duration)
	}
	f.samples, f.bytes, f.pending = nil, 0, nil
	f.sound.drop()
	if f.opt.grew != nil {
		f.opt.grew(f.written)
	}
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
func (f *file) drop() {
	f.samples, f.pending = nil, nil
	f.sound.drop()
}

// finish writes the last fragment, cuts off what a failed write may have left, and makes the file durable. The last picture
// is shown for as long as the one before it was. The caller closes it.
func (f *file) finish() error {
	if f.pending != nil {
		f.pending.Duration = uint32(f.lastDuration())
		f.end = f.latest + video.Ticks90k(f.pending.Duration)
		if err := f.flush(); err != nil {
			return err
		}
	} else {
		if err := f.f.Truncate(f.written); err != nil {
			return err
		}
		f.end = f.first.PTS + f.whole
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

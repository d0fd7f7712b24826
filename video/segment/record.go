package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"sitewatch/edge"
	"sitewatch/video"
)

// kind is the type of a record.
type kind uint8

const (
	kindFile    kind = 1
	kindParams  kind = 2
	kindSound   kind = 3
	kindPicture kind = 4
	kindPiece   kind = 5
	kindIndex   kind = 6
	kindEnd     kind = 7
)

// Flags of pictures and pieces of sound.
const (
	flagKeyframe = 1
	flagSynced   = 2
	flagUnset    = 4
)

const (
	headBytes  = 16
	unitBytes  = 32 // of a unit's body, before its data
	endBytes   = 40
	entryBytes = 24
	// maxBody bounds what a length may claim.
	maxBody = video.MaxUnitBytes + 1<<10
)

var (
	errShort   = errors.New("segment: the record goes on") // beyond the bytes that were given
	errDamaged = errors.New("segment: damaged record")
)

var (
	marker = [4]byte{'S', 'W', 'R', 1}
	castag = crc32.MakeTable(crc32.Castagnoli)
)

// record is one record as it lies in a buffer.
type record struct {
	kind  kind
	flags uint8
	body  []byte
}

// appendHead appends the head of a record whose body is the given pieces.
func appendHead(dst []byte, salt uint32, k kind, flags uint8, pieces ...[]byte) []byte {
	at, n := len(dst), 0
	for _, p := range pieces {
		n += len(p)
	}
	dst = append(dst, marker[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	dst = append(dst, byte(k), flags)
	dst = binary.BigEndian.AppendUint16(dst, uint16(crc32.Update(salt, castag, dst[at:])))
	sum := crc32.Update(salt, castag, dst[at:])
	for _, p := range pieces {
		sum = crc32.Update(sum, castag, p)
	}
	return binary.BigEndian.AppendUint32(dst, sum)
}

// appendRecord appends a whole record.
func appendRecord(dst []byte, salt uint32, k kind, flags uint8, body []byte) []byte {
	return append(appendHead(dst, salt, k, flags, body), body...)
}

// parseHead checks the first 16 bytes of b and returns how long the record is. Errors are errShort and errDamaged.
func parseHead(b []byte, salt uint32) (n int, err error) {
	if len(b) < headBytes {
		return 0, errShort
	}
	size := binary.BigEndian.Uint32(b[4:])
	if [4]byte(b) != marker || size > maxBody {
		return 0, errDamaged
	}
	if kind(b[8]) == kindFile {
		salt = 0
	}
	if binary.BigEndian.Uint16(b[10:]) != uint16(crc32.Update(salt, castag, b[:10])) {
		return 0, errDamaged
	}
	return headBytes + int(size), nil
}

// parse returns the record at the beginning of b, which it aliases, and its length. Errors are errShort, then n is how many
// bytes it takes to know more, and errDamaged.
func parse(b []byte, salt uint32) (r record, n int, err error) {
	n, err = parseHead(b, salt)
	if errors.Is(err, errShort) {
		return r, headBytes, err
	}
	if err != nil {
		return r, 0, err
	}
	if len(b) < n {
		return r, n, errShort
	}
	r = record{kind: kind(b[8]), flags: b[9], body: b[headBytes:n]}
	if r.kind == kindFile {
		salt = 0
	}
	if crc32.Update(crc32.Update(salt, castag, b[:12]), castag, r.body) != binary.BigEndian.Uint32(b[12:]) {
		return record{}, 0, errDamaged
	}
	return r, n, nil
}

// header is the body of the first record.
type header struct {
	salt   uint32
	number uint64
	line   uint64
	pts    video.Ticks90k
	mono   time.Duration
	wall   time.Time
	camera edge.CameraID
	boot   edge.BootID
}

const version = 1

func (h header) append(dst []byte) []byte {
	b := []byte{version}
	b = binary.BigEndian.AppendUint32(b, h.salt)
	b = binary.BigEndian.AppendUint64(b, h.number)
	b = binary.BigEndian.AppendUint64(b, h.line)
	b = binary.BigEndian.AppendUint64(b, uint64(h.pts))
	b = binary.BigEndian.AppendUint64(b, uint64(h.mono))
	b = binary.BigEndian.AppendUint64(b, uint64(h.wall.UnixNano()))
	for _, s := range []string{string(h.camera), string(h.boot)} {
		s = s[:min(len(s), math.MaxUint8)]
		b = append(append(b, byte(len(s))), s...)
	}
	return appendRecord(dst, 0, kindFile, 0, b)
}

func parseHeader(r record) (h header, err error) {
	b := r.body
	if r.kind != kindFile || len(b) < 46 {
		return h, errDamaged
	}
	if b[0] != version {
		return h, fmt.Errorf("segment: version %d is not known to this program", b[0])
	}
	h.salt, h.number, h.line = binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint64(b[5:]), binary.BigEndian.Uint64(b[13:])
	h.pts, h.mono, h.wall = video.Ticks90k(binary.BigEndian.Uint64(b[21:])), time.Duration(binary.BigEndian.Uint64(b[29:])), wallOf(b[37:])
	b = b[45:]
	var ids [2]string
	for i := range ids {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return h, errDamaged
		}
		ids[i], b = string(b[1:1+b[0]]), b[1+b[0]:]
	}
	h.camera, h.boot = edge.CameraID(ids[0]), edge.BootID(ids[1])
	return h, nil
}

func wallOf(b []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC() }

// appendUnit appends head and fixed part of a unit; its data follows.
func appendUnit(dst []byte, salt uint32, u *video.AccessUnit, dropped uint32) []byte {
	var f [unitBytes]byte
	binary.BigEndian.PutUint64(f[0:], uint64(u.PTS))
	binary.BigEndian.PutUint64(f[8:], uint64(u.Arrival.Mono))
	binary.BigEndian.PutUint64(f[16:], uint64(u.Arrival.Wall.UnixNano()))
	binary.BigEndian.PutUint32(f[24:], u.Lost)
	binary.BigEndian.PutUint32(f[28:], dropped)
	k, flags := kindPicture, uint8(0)
	if u.Audio != nil {
		k = kindPiece
	}
	if u.Keyframe {
		flags |= flagKeyframe
	}
	if u.Arrival.Synced {
		flags |= flagSynced
	}
	if u.Arrival.Unset {
		flags |= flagUnset
	}
	return append(appendHead(dst, salt, k, flags, f[:], u.Data), f[:]...)
}

// parseUnit returns the unit, whose Data aliases the record, without Boot and Audio.
func parseUnit(r record) (u video.AccessUnit, dropped uint32, err error) {
	if len(r.body) < unitBytes {
		return u, 0, errDamaged
	}
	b := r.body
	u.PTS, u.Arrival.Mono, u.Arrival.Wall = video.Ticks90k(binary.BigEndian.Uint64(b)), time.Duration(binary.BigEndian.Uint64(b[8:])), wallOf(b[16:])
	u.Lost, dropped, u.Data = binary.BigEndian.Uint32(b[24:]), binary.BigEndian.Uint32(b[28:]), b[unitBytes:]
	u.Keyframe, u.Arrival.Synced, u.Arrival.Unset = r.flags&flagKeyframe != 0, r.flags&flagSynced != 0, r.flags&flagUnset != 0
	if len(u.Data) > video.MaxUnitBytes {
		return u, 0, errDamaged
	}
	return u, dropped, nil
}

func appendParams(dst []byte, salt uint32, p *video.Params) []byte {
	b := []byte{byte(p.Codec)}
	for _, s := range p.Sets() {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
	}
	return appendRecord(dst, salt, kindParams, 0, b)
}

// parseParams checks the sets as if they came from a camera: they did.
func parseParams(r record) (video.Params, error) {
	if len(r.body) < 1 {
		return video.Params{}, errDamaged
	}
	var sets [][]byte
	for b := r.body[1:]; len(b) > 0; {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return video.Params{}, errDamaged
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		sets, b = append(sets, b[2:n]), b[n:]
	}
	switch codec := video.Codec(r.body[0]); {
	case codec == video.H264 && len(sets) == 2:
		return video.NewH264Params(sets[0], sets[1])
	case codec == video.H265 && len(sets) == 3:
		return video.NewH265Params(sets[0], sets[1], sets[2])
	}
	return video.Params{}, errDamaged
}

func appendSound(dst []byte, salt uint32, a *video.AudioParams) []byte {
	b := binary.BigEndian.AppendUint32([]byte{byte(a.Codec), byte(a.Channels)}, uint32(a.Rate))
	return appendRecord(dst, salt, kindSound, 0, append(b, a.Config...))
}

func parseSound(r record) (*video.AudioParams, error) {
	b := r.body
	if len(b) < 6 {
		return nil, errDamaged
	}
	return video.NewAudioParams(video.AudioCodec(b[0]), int(binary.BigEndian.Uint32(b[2:])), int(b[1]), bytes.Clone(b[6:]))
}

// entry is one GOP in the index.
type entry struct {
	at   int64 // of its parameters record
	mono time.Duration
	wall time.Time
}

func appendIndex(dst []byte, salt uint32, entries []entry) []byte {
	b := make([]byte, 0, len(entries)*entryBytes)
	for _, e := range entries {
		b = binary.BigEndian.AppendUint64(b, uint64(e.at))
		b = binary.BigEndian.AppendUint64(b, uint64(e.mono))
		b = binary.BigEndian.AppendUint64(b, uint64(e.wall.UnixNano()))
	}
	return appendRecord(dst, salt, kindIndex, 0, b)
}

// parseIndex checks that the places grow and lie before end.
func parseIndex(r record, end int64) ([]entry, error) {
	if r.kind != kindIndex || len(r.body)%entryBytes != 0 || len(r.body)/entryBytes > maxGOPs {
		return nil, errDamaged
	}
	var out []entry
	for b := r.body; len(b) > 0; b = b[entryBytes:] {
		e := entry{at: int64(binary.BigEndian.Uint64(b)), mono: time.Duration(binary.BigEndian.Uint64(b[8:])), wall: wallOf(b[16:])}
		if e.at <= 0 || e.at >= end || len(out) > 0 && e.at <= out[len(out)-1].at {
			return nil, errDamaged
		}
		out = append(out, e)
	}
	return out, nil
}

// ending is the body of the last record.
type ending struct {
	index int64
	units uint64
	pts   video.Ticks90k
	mono  time.Duration
	wall  time.Time
}

func (e ending) append(dst []byte, salt uint32) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(e.index))
	b = binary.BigEndian.AppendUint64(b, e.units)
	b = binary.BigEndian.AppendUint64(b, uint64(e.pts))
	b = binary.BigEndian.AppendUint64(b, uint64(e.mono))
	b = binary.BigEndian.AppendUint64(b, uint64(e.wall.UnixNano()))
	return appendRecord(dst, salt, kindEnd, 0, b)
}

func parseEnding(r record) (e ending, err error) {
	if r.kind != kindEnd || len(r.body) != endBytes {
		return e, errDamaged
	}
	b := r.body
	return ending{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:]), video.Ticks90k(binary.BigEndian.Uint64(b[16:])),
		time.Duration(binary.BigEndian.Uint64(b[24:])), wallOf(b[32:])}, nil
}

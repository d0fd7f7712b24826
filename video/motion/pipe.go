package motion

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"sitewatch/edge"
	"sitewatch/video"
)

// MaxMessageBytes bounds a message: the largest access unit and what is around it.
const MaxMessageBytes = video.MaxUnitBytes + 1<<20

// ErrPipe says that what came was no message.
var ErrPipe = errors.New("motion: bad message on the pipe")

const (
	kindOpen   = 0x01
	kindUnit   = 0x02
	kindStill  = 0x03
	kindReady  = 0x81
	kindMotion = 0x82
	kindReply  = 0x83
)

// AppendMessage appends m as it goes over the pipe. Strings that are too long are cut.
func AppendMessage(b []byte, m Message) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, m.kind())
	b = m.append(b)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// ReadMessage reads one message. The parts of it that are bytes are not shared with anything.
func ReadMessage(r io.Reader) (Message, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n < 1 || n > MaxMessageBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrPipe, n)
	}
	m := newMessage(head[4])
	if m == nil {
		return nil, fmt.Errorf("%w: type %#02x", ErrPipe, head[4])
	}
	body := make([]byte, n-1)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("%w: cut short: %w", ErrPipe, err)
	}
	f := &fields{b: body}
	if m.parse(f); f.bad || len(f.b) > 0 {
		return nil, fmt.Errorf("%w: type %#02x with a body of %d bytes", ErrPipe, head[4], len(body))
	}
	return m, nil
}

func newMessage(kind byte) Message {
	switch kind {
	case kindOpen:
		return &OpenCamera{}
	case kindUnit:
		return &Unit{}
	case kindStill:
		return &StillRequest{}
	case kindReady:
		return &Ready{}
	case kindMotion:
		return &Motion{}
	case kindReply:
		return &StillReply{}
	}
	return nil
}

func (*OpenCamera) kind() byte   { return kindOpen }
func (*Unit) kind() byte         { return kindUnit }
func (*StillRequest) kind() byte { return kindStill }
func (*Ready) kind() byte        { return kindReady }
func (*Motion) kind() byte       { return kindMotion }
func (*StillReply) kind() byte   { return kindReply }

func (m *OpenCamera) append(b []byte) []byte {
	return appendParams(appendString(b, string(m.Camera)), m.Params)
}
func (m *OpenCamera) parse(r *fields) { m.Camera, m.Params = edge.CameraID(r.string()), r.params() }

func (m *Unit) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(appendString(b, string(m.Camera)), uint64(m.PTS))
	return appendBytes(append(b, flag(m.Keyframe)), m.Data)
}
func (m *Unit) parse(r *fields) {
	m.Camera, m.PTS, m.Keyframe, m.Data = edge.CameraID(r.string()), video.Ticks90k(r.uint64()), r.flag(), r.bytes()
}

func (m *StillRequest) append(b []byte) []byte {
	return appendBytes(appendParams(binary.BigEndian.AppendUint32(b, m.ID), m.Params), m.Data)
}
func (m *StillRequest) parse(r *fields) { m.ID, m.Params, m.Data = r.uint32(), r.params(), r.bytes() }

func (m *Ready) append(b []byte) []byte {
	return appendString(binary.BigEndian.AppendUint16(b, m.Version), m.Build)
}
func (m *Ready) parse(r *fields) { m.Version, m.Build = r.uint16(), r.string() }

func (m *Motion) append(b []byte) []byte {
	b = append(appendString(b, string(m.Camera)), byte(m.State))
	return appendString(binary.BigEndian.AppendUint64(b, uint64(m.PTS)), m.Why)
}
func (m *Motion) parse(r *fields) {
	m.Camera, m.State, m.PTS, m.Why = edge.CameraID(r.string()), State(r.uint8()), video.Ticks90k(r.uint64()), r.string()
	r.bad = r.bad || m.State < Start || m.State > End
}

func (m *StillReply) append(b []byte) []byte {
	return appendBytes(append(binary.BigEndian.AppendUint32(b, m.ID), flag(m.OK)), m.Data)
}
func (m *StillReply) parse(r *fields) { m.ID, m.OK, m.Data = r.uint32(), r.flag(), r.bytes() }

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	s = s[:min(len(s), 255)]
	return append(append(b, byte(len(s))), s...)
}

func appendBytes(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

func appendParams(b []byte, p video.Params) []byte {
	return appendBytes(appendBytes(append(b, byte(p.Codec)), p.SPS), p.PPS)
}

// fields takes a body apart. After the first field that is not there it is bad and gives zeros.
type fields struct {
	b   []byte
	bad bool
}

func (r *fields) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return make([]byte, min(n, 8))
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *fields) uint8() byte    { return r.take(1)[0] }
func (r *fields) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *fields) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *fields) uint64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }
func (r *fields) string() string { return string(r.take(int(r.uint8()))) }
func (r *fields) flag() bool {
	v := r.uint8()
	r.bad = r.bad || v > 1
	return v == 1
}

func (r *fields) bytes() []byte {
	n := r.uint32()
	if n > MaxMessageBytes {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// params checks the parameter sets again: the eye trusts its pipe as little as the gateway trusts a camera.
func (r *fields) params() video.Params {
	codec, sps, pps := video.Codec(r.uint8()), r.bytes(), r.bytes()
	if r.bad || codec != video.H264 {
		r.bad = true
		return video.Params{}
	}
	p, err := video.NewH264Params(sps, pps)
	r.bad = r.bad || err != nil
	return p
}

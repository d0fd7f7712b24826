package motion

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"sitewatch/edge"
	"sitewatch/video"
)

// MaxMessageBytes bounds a message: the largest access unit and what is around it.
const MaxMessageBytes = video.MaxUnitBytes + 1<<20

// ErrPipe says that what came was no message.
var ErrPipe = errors.New("motion: bad message on the pipe")

const (
	kindOpen      = 0x01
	kindUnit      = 0x02
	kindStill     = 0x03
	kindSetup     = 0x04
	kindHint      = 0x05
	kindRecall    = 0x06
	kindReady     = 0x81
	kindMotion    = 0x82
	kindReply     = 0x83
	kindScene     = 0x84
	kindHand      = 0x85
	kindTally     = 0x86
	kindHandStill = 0x87
	kindDone      = 0x88
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
	case kindSetup:
		return &Setup{}
	case kindHint:
		return &Hint{}
	case kindRecall:
		return &Recall{}
	case kindScene:
		return &Scene{}
	case kindHand:
		return &Hand{}
	case kindTally:
		return &Tally{}
	case kindHandStill:
		return &HandStill{}
	case kindDone:
		return &Done{}
	}
	return nil
}

func (*OpenCamera) kind() byte   { return kindOpen }
func (*Unit) kind() byte         { return kindUnit }
func (*StillRequest) kind() byte { return kindStill }
func (*Ready) kind() byte        { return kindReady }
func (*Motion) kind() byte       { return kindMotion }
func (*StillReply) kind() byte   { return kindReply }
func (*Setup) kind() byte        { return kindSetup }
func (*Hint) kind() byte         { return kindHint }
func (*Recall) kind() byte       { return kindRecall }
func (*Scene) kind() byte        { return kindScene }
func (*Hand) kind() byte         { return kindHand }
func (*Tally) kind() byte        { return kindTally }
func (*HandStill) kind() byte    { return kindHandStill }
func (*Done) kind() byte         { return kindDone }

func (m *OpenCamera) append(b []byte) []byte {
	return appendParams(appendString(b, string(m.Camera)), m.Params)
}
func (m *OpenCamera) parse(r *fields) { m.Camera, m.Params = edge.CameraID(r.string()), r.params() }

func (m *Unit) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(appendString(b, string(m.Camera)), m.Number)
	b = binary.BigEndian.AppendUint64(b, uint64(m.PTS))
	return appendBytes(append(b, flag(m.Keyframe)|flag(m.Lost)<<1), m.Data)
}
func (m *Unit) parse(r *fields) {
	m.Camera, m.Number, m.PTS = edge.CameraID(r.string()), r.uint32(), video.Ticks90k(r.uint64())
	flags := r.uint8()
	m.Keyframe, m.Lost, m.Data = flags&1 != 0, flags&2 != 0, r.bytes()
	r.bad = r.bad || flags > 3
}

func (m *Setup) append(b []byte) []byte {
	o := m.Options
	b = append(appendString(b, string(m.Camera)), byte(m.Grade))
	b = binary.BigEndian.AppendUint16(b, uint16(math.Round(100*o.Sensitivity)))
	b = binary.BigEndian.AppendUint16(b, uint16(math.Round(10000*o.MinSize)))
	b = append(b, byte(min(len(o.Areas), MaxAreas)))
	for _, a := range o.Areas[:min(len(o.Areas), MaxAreas)] {
		b = append(b, flag(a.Mask), byte(min(len(a.Points), MaxPoints)))
		for _, p := range a.Points[:min(len(a.Points), MaxPoints)] {
			b = binary.BigEndian.AppendUint16(b, p.X)
			b = binary.BigEndian.AppendUint16(b, p.Y)
		}
	}
	return b
}
func (m *Setup) parse(r *fields) {
	m.Camera, m.Grade = edge.CameraID(r.string()), Grade(r.uint8())
	m.Options.Sensitivity, m.Options.MinSize = float64(r.uint16())/100, float64(r.uint16())/10000
	areas := int(r.uint8())
	r.bad = r.bad || areas > MaxAreas || m.Grade < Watching || m.Grade > Alert
	for i := 0; i < areas && !r.bad; i++ {
		a := Area{Mask: r.flag()}
		for range r.uint8() {
			a.Points = append(a.Points, Point{r.uint16(), r.uint16()})
		}
		r.bad = r.bad || len(a.Points) > MaxPoints
		m.Options.Areas = append(m.Options.Areas, a)
	}
}

func (m *Hint) append(b []byte) []byte { return appendString(b, string(m.Camera)) }
func (m *Hint) parse(r *fields)        { m.Camera = edge.CameraID(r.string()) }

func (m *Recall) append(b []byte) []byte {
	return appendBytes(append(appendString(b, string(m.Camera)), byte(m.Trouble)), m.Usual)
}
func (m *Recall) parse(r *fields) {
	m.Camera, m.Trouble, m.Usual = edge.CameraID(r.string()), Trouble(r.uint8()), r.bytes()
	r.bad = r.bad || m.Trouble < Covered || m.Trouble > Defocused || len(m.Usual) > maxUsualBytes
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
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(m.PTS)), uint64(m.At))
	for _, v := range []uint16{m.Box.X0, m.Box.Y0, m.Box.X1, m.Box.Y1} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return appendString(binary.BigEndian.AppendUint64(b, m.Where), m.Why)
}
func (m *Motion) parse(r *fields) {
	m.Camera, m.State = edge.CameraID(r.string()), State(r.uint8())
	m.PTS, m.At = video.Ticks90k(r.uint64()), video.Ticks90k(r.uint64())
	m.Box = Box{r.uint16(), r.uint16(), r.uint16(), r.uint16()}
	m.Where, m.Why = r.uint64(), r.string()
	r.bad = r.bad || m.State < Start || m.State > End
}

func (m *Scene) append(b []byte) []byte {
	b = append(appendString(b, string(m.Camera)), byte(m.Trouble), byte(m.State))
	b = appendString(binary.BigEndian.AppendUint64(b, uint64(m.PTS)), m.Why)
	return appendBytes(b, m.Usual)
}
func (m *Scene) parse(r *fields) {
	m.Camera, m.Trouble, m.State = edge.CameraID(r.string()), Trouble(r.uint8()), State(r.uint8())
	m.PTS, m.Why, m.Usual = video.Ticks90k(r.uint64()), r.string(), r.bytes()
	r.bad = r.bad || m.Trouble < Covered || m.Trouble > Defocused || m.State != Start && m.State != End || len(m.Usual) > maxUsualBytes
}

func (m *Hand) append(b []byte) []byte { return binary.BigEndian.AppendUint32(b, m.Number) }
func (m *Hand) parse(r *fields)        { m.Number = r.uint32() }

func (m *HandStill) append(b []byte) []byte { return binary.BigEndian.AppendUint32(b, m.ID) }
func (m *HandStill) parse(r *fields)        { m.ID = r.uint32() }

func (*Done) append(b []byte) []byte { return b }
func (*Done) parse(*fields)          {}

func (m *Tally) append(b []byte) []byte {
	b = appendString(b, string(m.Camera))
	for _, v := range []uint32{m.Units, m.Decoded, m.Damaged} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return append(b, flag(m.Awake))
}
func (m *Tally) parse(r *fields) {
	m.Camera, m.Units, m.Decoded, m.Damaged, m.Awake = edge.CameraID(r.string()), r.uint32(), r.uint32(), r.uint32(), r.flag()
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
	b = append(b, byte(p.Codec))
	for _, set := range p.Sets() {
		b = appendBytes(b, set)
	}
	return b
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
func (r *fields) params() (p video.Params) {
	var err error
	switch codec := video.Codec(r.uint8()); codec {
	case video.H264:
		sps, pps := r.bytes(), r.bytes()
		p, err = video.NewH264Params(sps, pps)
	case video.H265:
		vps, sps, pps := r.bytes(), r.bytes(), r.bytes()
		p, err = video.NewH265Params(vps, sps, pps)
	default:
		r.bad = true
	}
	if r.bad = r.bad || err != nil; r.bad {
		return video.Params{}
	}
	return p
}

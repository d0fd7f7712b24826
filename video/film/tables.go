package film

import (
	"encoding/binary"
	"fmt"

	"sitewatch/video"
)

// boxes walks over the boxes in b; those that are not whole end it.
func boxes(b []byte, each func(kind string, body []byte) error) error {
	for len(b) >= 8 {
		n, head := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		if n == 1 && len(b) >= 16 {
			n, head = binary.BigEndian.Uint64(b[8:]), 16
		}
		if n == 0 {
			n = uint64(len(b))
		}
		if n < head || n > uint64(len(b)) {
			return fmt.Errorf("%w: a box of %d bytes in %d", ErrFormat, n, len(b))
		}
		if err := each(string(b[4:8]), b[head:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// reader takes fields; after the first one that is not there it is bad and gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return make([]byte, min(n, 8))
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}
func (r *reader) u8() int     { return int(r.take(1)[0]) }
func (r *reader) u16() int    { return int(binary.BigEndian.Uint16(r.take(2))) }
func (r *reader) u32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return binary.BigEndian.Uint64(r.take(8)) }

func (r *reader) err(what string) error {
	if r.bad {
		return fmt.Errorf("%w: %s is cut short", ErrFormat, what)
	}
	return nil
}

// table is a full box with entries of so many bytes: its version, flags and the rest, which has all entries.
func table(body []byte, each int) (version int, n int, r *reader, err error) {
	r = &reader{b: body}
	version = r.u8()
	r.take(3)
	n = int(r.u32())
	if r.bad || n < 0 || n > maxSamples || n*each > len(r.b) {
		return 0, 0, nil, fmt.Errorf("%w: a table of %d entries in %d bytes", ErrFormat, n, len(body))
	}
	return version, n, r, nil
}

// moov takes the first video track that can be read.
func (f *Film) moov(b []byte) error {
	scale := uint32(0) // of the film's own time
	err := boxes(b, func(kind string, body []byte) error {
		if kind == "mvhd" {
			r := afterTimes(body)
			scale = r.u32()
			return r.err(kind)
		}
		if kind != "trak" || f.track.codec != 0 {
			return nil
		}
		t := tables{}
		if err := t.walk(body); err != nil {
			return err
		}
		if t.codec == 0 {
			return nil
		}
		if t.scale == 0 {
			return fmt.Errorf("%w: no time scale", ErrFormat)
		}
		if err := t.edit(scale); err != nil {
			return err
		}
		f.track = t.track
		if err := t.samples(&f.samples); err != nil {
			return err
		}
		f.track.end = t.end
		return nil
	})
	if err != nil {
		return err
	}
	return boxes(b, func(kind string, body []byte) error {
		if kind != "mvex" {
			return nil
		}
		return boxes(body, func(kind string, body []byte) error {
			if kind == "trex" {
				r := &reader{b: body}
				r.take(4)
				if id := r.u32(); id == f.track.id {
					r.take(4)
					f.track.defaults = defaults{duration: r.u32(), size: r.u32()}
				}
				return r.err("trex")
			}
			return nil
		})
	})
}

// tables are those of one track.
type tables struct {
	track
	stts, ctts, stsc []byte
	stsz, stco, elst []byte
	wide             bool // stco has 64 bits
}

// afterTimes reads the head of a box of version 0 or 1 up to behind its two times (ISO/IEC 14496-12 §8.3.2, §8.4.2).
func afterTimes(body []byte) *reader {
	r := &reader{b: body}
	wide := r.u8() == 1
	if r.take(3); wide {
		r.take(16)
	} else {
		r.take(8)
	}
	return r
}

func (t *tables) walk(b []byte) error {
	return boxes(b, func(kind string, body []byte) error {
		switch kind {
		case "mdia", "minf", "stbl", "edts":
			return t.walk(body)
		case "tkhd":
			r := afterTimes(body)
			t.id = r.u32()
			return r.err(kind)
		case "mdhd":
			r := afterTimes(body)
			t.scale = r.u32()
			return r.err(kind)
		case "elst":
			t.elst = body
		case "stsd":
			return t.entry(body)
		case "stts":
			t.stts = body
		case "ctts":
			t.ctts = body
		case "stsc":
			t.stsc = body
		case "stsz":
			t.stsz = body
		case "stco", "co64":
			t.stco, t.wide = body, kind == "co64"
		}
		return nil
	})
}

// entry reads the first sample entry, ISO/IEC 14496-12 §12.1.3.
func (t *tables) entry(body []byte) error {
	if len(body) < 8 {
		return fmt.Errorf("%w: stsd is cut short", ErrFormat)
	}
	return boxes(body[8:], func(kind string, body []byte) error {
		codec := map[string]video.Codec{"avc1": video.H264, "avc3": video.H264, "hvc1": video.H265, "hev1": video.H265}[kind]
		if codec == 0 || t.codec != 0 || len(body) < 78 {
			return nil
		}
		return boxes(body[78:], func(kind string, body []byte) error {
			r := &reader{b: body}
			switch kind {
			case "avcC": // ISO/IEC 14496-15 §5.3.3.1
				r.take(4)
				t.codec, t.lenSize, t.sets = codec, r.u8()&3+1, make([][]byte, 3)
				for i, n := 1, r.u8()&31; i < 3 && !r.bad; i, n = i+1, r.u8() {
					for range n {
						if b := r.take(r.u16()); t.sets[i] == nil {
							t.sets[i] = b
						}
					}
					if i == 2 {
						break
					}
				}
			case "hvcC": // §8.3.3.1
				r.take(21)
				t.codec, t.lenSize, t.sets = codec, r.u8()&3+1, make([][]byte, 3)
				for range r.u8() {
					kind := r.u8() & 63
					for range r.u16() {
						if b := r.take(r.u16()); kind >= 32 && kind <= 34 && t.sets[kind-32] == nil {
							t.sets[kind-32] = b
						}
						if r.bad {
							break
						}
					}
				}
			default:
				return nil
			}
			if r.bad || t.sets[1] == nil || t.sets[2] == nil {
				t.sets = nil // they are among the pictures, or nowhere
			}
			return nil
		})
	})
}

// samples makes a list of the tables, ISO/IEC 14496-12 §8.6 and §8.7.
func (t *tables) samples(out *[]sample) error {
	if len(t.stsz) < 12 {
		return nil // fragmented
	}
	r := &reader{b: t.stsz[4:]}
	same, n := r.u32(), int(r.u32())
	if n > maxSamples || same == 0 && n*4 > len(r.b) {
		return fmt.Errorf("%w: %d samples", ErrFormat, n)
	}
	list := make([]sample, n)
	for i := range list {
		if list[i].size = same; same == 0 {
			list[i].size = r.u32()
		}
	}
	if err := t.times(list); err != nil {
		return err
	}
	if err := t.places(list); err != nil {
		return err
	}
	*out = list
	return nil
}

func (t *tables) times(list []sample) error {
	_, n, r, err := table(t.stts, 8)
	if err != nil {
		return err
	}
	at, i := int64(0), 0
	for range n {
		count, delta := r.u32(), int64(r.u32())
		for ; count > 0 && i < len(list); count-- {
			list[i].time = at
			at += delta
			i++
		}
	}
	t.end = at
	if t.ctts == nil {
		return nil
	}
	if _, n, r, err = table(t.ctts, 8); err != nil {
		return err
	}
	i = 0
	for range n {
		count, offset := r.u32(), int64(int32(r.u32()))
		for ; count > 0 && i < len(list); count-- {
			list[i].time += offset
			i++
		}
	}
	return nil
}

func (t *tables) places(list []sample) error {
	width := 4
	if t.wide {
		width = 8
	}
	_, chunks, offsets, err := table(t.stco, width)
	if err != nil {
		return err
	}
	_, runs, r, err := table(t.stsc, 12)
	if err != nil {
		return err
	}
	i, chunk := 0, 1
	for run := range runs {
		first, per := int(r.u32()), int(r.u32())
		r.take(4)
		next := chunks + 1
		if run+1 < runs {
			next = int(binary.BigEndian.Uint32(r.b))
		}
		if first != chunk || next < first || next > chunks+1 {
			return fmt.Errorf("%w: stsc is out of order", ErrFormat)
		}
		for ; chunk < next; chunk++ {
			at := int64(0)
			if t.wide {
				at = int64(offsets.u64())
			} else {
				at = int64(offsets.u32())
			}
			for k := 0; k < per && i < len(list); k++ {
				list[i].offset = at
				list[i].skip = at < 0
				at += int64(list[i].size)
				i++
			}
		}
	}
	for ; i < len(list); i++ {
		list[i].skip = true
	}
	return nil
}

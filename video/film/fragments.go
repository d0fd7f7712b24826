package film

import "fmt"

// defaults are what a fragment does not say of its samples.
type defaults struct{ duration, size uint32 }

// moof adds the samples of a fragment that begins at at, ISO/IEC 14496-12 §8.8.
func (f *Film) moof(b []byte, at int64) error {
	if f.track.codec == 0 {
		return nil
	}
	return boxes(b, func(kind string, body []byte) error {
		if kind != "traf" {
			return nil
		}
		d, base, mine := f.track.defaults, at, false
		time, next := f.track.end, int64(0) // unless the fragment says when it begins
		return boxes(body, func(kind string, body []byte) error {
			r := &reader{b: body}
			version := r.u8()
			flags := r.u8()<<16 | r.u8()<<8 | r.u8()
			switch kind {
			case "tfhd":
				mine = r.u32() == f.track.id
				if flags&1 != 0 {
					base = int64(r.u64())
				}
				if flags&2 != 0 {
					r.take(4)
				}
				if flags&8 != 0 {
					d.duration = r.u32()
				}
				if flags&16 != 0 {
					d.size = r.u32()
				}
				next = base
				return r.err(kind)
			case "tfdt":
				if version == 1 {
					time = int64(r.u64())
				} else {
					time = int64(r.u32())
				}
				return r.err(kind)
			case "trun":
				if !mine {
					return nil
				}
				n := int(r.u32())
				if n > maxSamples-len(f.samples) {
					return fmt.Errorf("%w: more than %d pictures", ErrFormat, maxSamples)
				}
				if flags&1 != 0 {
					next = base + int64(int32(r.u32()))
				}
				if flags&4 != 0 {
					r.take(4)
				}
				if flags&0xF00 == 0 && n > int(f.size) {
					return fmt.Errorf("%w: %d pictures in %d bytes", ErrFormat, n, f.size)
				}
				for range n {
					duration, s := d.duration, sample{offset: next, time: time, size: d.size}
					if flags&0x100 != 0 {
						duration = r.u32()
					}
					if flags&0x200 != 0 {
						s.size = r.u32()
					}
					if flags&0x400 != 0 {
						r.take(4)
					}
					if flags&0x800 != 0 {
						s.time += int64(int32(r.u32()))
					}
					if r.bad {
						return r.err(kind)
					}
					s.skip = next < 0 || next > f.size
					f.samples = append(f.samples, s)
					next += int64(s.size)
					time += int64(duration)
				}
				f.track.end = time
			}
			return nil
		})
	})
}

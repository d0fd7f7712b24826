package rtsptest

import (
	"bytes"
	"context"
)

// each changes every packet.
func each(f func(k *packet)) func(*peer, int, []packet) []packet {
	return func(_ *peer, _ int, ps []packet) []packet {
		for i := range ps {
			f(&ps[i])
		}
		return ps
	}
}

// endlessly sends one picture's beginning and then fragments of it until the client has enough or so many bytes are out.
func endlessly(size int, most int) func(context.Context, *peer) {
	return func(_ context.Context, p *peer) {
		ts := uint32(p.shown+1) * ticksApart
		send := func(payload []byte, times int) error {
			var b []byte
			for range times {
				b = packet{channel: p.channels[0], kind: videoType, seq: p.seq, ts: ts, ssrc: ssrc, payload: payload}.append(b)
				p.seq++
			}
			return p.write(b)
		}
		if send(append([]byte{0x7C, 0x85, 0xB8}, make([]byte, 9)...), 1) != nil { // FU-A, start, the head of an IDR slice
			return
		}
		piece := append([]byte{0x7C, 0x05}, bytes.Repeat([]byte{0xA5}, size)...)
		for n := 0; n < most; n += 32 * size {
			if send(piece, 32) != nil {
				return
			}
		}
	}
}

// badPackets are those whose packets are wrong, or right in a way that few cameras have.
func badPackets() []Bad {
	return []Bad{
		{Name: "sequence-jumps", Does: "leaves out 1,000 sequence numbers now and then, and no packet", From: "RFC 3550 §5.1; encoders that restart", Plays: true,
			mangle: func(p *peer, n int, ps []packet) []packet {
				if n%20 == 9 {
					p.seq += 1000
				}
				return ps
			}},
		{Name: "sends-twice", Does: "sends every packet twice", From: "RFC 3550 §A.1; mesh Wi-Fi", Plays: true,
			mangle: func(_ *peer, n int, ps []packet) (out []packet) {
				if n%20 < 10 { // GOPs without it in between
					return ps
				}
				for _, k := range ps {
					out = append(out, k, k)
				}
				return out
			}},
		{Name: "out-of-order", Does: "swaps packets, over TCP", From: "RFC 3550 §5.1; cameras with two sending threads", Plays: true,
			mangle: func(p *peer, n int, ps []packet) []packet {
				switch n % 20 {
				case 14:
					p.held, ps = ps, nil
				case 15:
					ps = append(ps, p.held...)
				}
				return ps
			}},
		{Name: "loses-packets", Does: "loses every 50th packet", From: "RFC 3550 §A.3; Wi-Fi", Plays: true,
			mangle: func(_ *peer, _ int, ps []packet) (out []packet) {
				for _, k := range ps {
					if k.seq%50 != 49 {
						out = append(out, k)
					}
				}
				return out
			}},
		{Name: "source-changes", Does: "changes its SSRC, sequence and time every 15 pictures", From: "RFC 3550 §8.2; Uniview (gortsplib 687)", Plays: true,
			mangle: func(_ *peer, n int, ps []packet) []packet {
				for i := range ps {
					turn := uint32(n / 15)
					ps[i].ssrc += turn
					ps[i].seq += uint16(turn * 7777)
					ps[i].ts += turn * 77777777
				}
				return ps
			}},
		{Name: "no-marker", Does: "never sets the marker bit", From: "RFC 6184 §5.1", Plays: true, mangle: each(func(k *packet) { k.marker = false })},
		{Name: "marker-on-all", Does: "sets the marker bit on every packet of a single NAL unit, parameter sets too", From: "RFC 6184 §5.1; Reolink RLC-822A, firmware v3.0.0.177 (retina 13)", Plays: true,
			mangle: each(func(k *packet) { k.marker = k.marker || k.payload[0]&0x1F != 28 })},
		{Name: "marker-on-sei", Does: "sets the marker bit on the SEI ahead of a picture", From: "RFC 6184 §5.1; Ivel LV-IP22IR40DVBL (moonfire-nvr 352)", Plays: true,
			nalus: func(_ *peer, _ int, pic picture) [][]byte {
				return append(append(append([][]byte{}, pic.sets...), []byte{0x06, 0x05, 0x11, 0xDC, 0x45, 0xE9, 0xBD, 0xE6, 0xD9, 0x48, 0xB7, 0x96, 0x2C, 0xD8, 0x20, 0xD9, 0x23, 0xEE, 0xEF, 0x41, 0x80}), pic.nalus...)
			},
			mangle: each(func(k *packet) { k.marker = k.marker || k.payload[0] == 0x06 })},
		{Name: "other-payload-type", Does: "sends packets of a payload type that it did not describe", From: "RFC 3550 §5.1", mangle: each(func(k *packet) { k.kind = 111 })},
		{Name: "extensions", Does: "sends RTP with extension header, contributing sources and padding", From: "RFC 3550 §5.1, §5.3.1; ONVIF Streaming §6.3", Plays: true,
			mangle: func(_ *peer, _ int, ps []packet) []packet {
				for i, k := range ps {
					k.channel = 0
					b := k.append(nil)[4:]
					wire := append([]byte{}, b[:12]...)
					wire[0] = 0x80 | 0x20 | 0x10 | 1 // padding, extension, one contributing source
					wire = append(wire, 1, 2, 3, 4, 0xAB, 0xAC, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
					wire = append(append(wire, b[12:]...), 0, 0, 0, 4)
					ps[i] = interleaved(ps[i].channel, wire)
				}
				return ps
			}},
		{Name: "empty-packets", Does: "sends packets with nothing in them between pictures", From: "RFC 3550 §5.1", Plays: true,
			mangle: func(p *peer, _ int, ps []packet) []packet {
				p.seq++
				last := ps[len(ps)-1]
				return append(ps, packet{channel: last.channel, kind: last.kind, seq: last.seq + 1, ts: last.ts, ssrc: last.ssrc})
			}},
		{Name: "short-packets", Does: "sends packets that are shorter than an RTP header", From: "RFC 3550 §5.1", Plays: true,
			mangle: func(_ *peer, n int, ps []packet) []packet {
				return append(ps, interleaved(ps[0].channel, make([]byte, n%12)))
			}},
		{Name: "rubbish-payloads", Does: "sends RTP whose payloads are random bytes", From: "a wrong key of encryption",
			mangle: func(_ *peer, n int, ps []packet) []packet {
				types := []byte{1, 5, 7, 8, 24, 24, 28, 28, 28, 25, 29, 0, 31}
				for i := range ps {
					b, x := make([]byte, len(ps[i].payload)), uint32(ps[i].seq)*2654435761+1
					for j := range b {
						x ^= x << 13
						x ^= x >> 17
						x ^= x << 5
						b[j] = byte(x)
					}
					b[0] = 0x60 | types[int(ps[i].seq)%len(types)]
					ps[i].payload = b
				}
				return ps
			}},
		{Name: "fragment-without-end", Does: "never sends the last fragment of an IDR", From: "RFC 6184 §5.8",
			mangle: func(p *peer, _ int, ps []packet) []packet {
				if len(ps) > 1 {
					p.seq-- // as if it had never been
					ps = ps[:len(ps)-1]
				}
				return ps
			}},
		{Name: "fragment-without-start", Does: "never sends the first fragment of an IDR", From: "RFC 6184 §5.8",
			mangle: func(_ *peer, _ int, ps []packet) []packet {
				for i := range ps {
					if k := &ps[i]; k.payload[0]&0x1F == 28 {
						k.payload[1] &^= 0x80
					}
				}
				return ps
			}},
		{Name: "tiny-fragments", Does: "sends its pictures in fragments of 50 bytes", From: "RFC 6184 §5.8, an MTU set wrong", Plays: true, fragment: 50},
		{Name: "one-byte-fragments", Does: "sends fragments of one byte of a picture that never ends", From: "RFC 6184 §5.8", play: func(ctx context.Context, p *peer) {
			endlessly(1, 1<<18)(ctx, p)
			silence(ctx, p)
		}},
		{Name: "unit-of-200-mb", Does: "sends five pictures and then one of 200 MB", From: "RFC 6184 §5.8; a last fragment that got lost", pictures: 5, after: endlessly(1400, 200<<20)},
	}
}

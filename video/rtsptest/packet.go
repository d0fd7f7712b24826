package rtsptest

import "encoding/binary"

// packet is one RTP packet of a bad camera, before it is written.
type packet struct {
	channel byte // interleaved, RFC 2326 §10.12
	kind    byte // payload type
	marker  bool
	seq     uint16
	ts      uint32
	ssrc    uint32
	payload []byte
	raw     []byte // written as it is, instead of all that
}

// append writes the packet as it goes over TCP.
func (p packet) append(b []byte) []byte {
	if p.raw != nil {
		return append(b, p.raw...)
	}
	b = append(b, '$', p.channel)
	b = binary.BigEndian.AppendUint16(b, uint16(12+len(p.payload)))
	kind := p.kind
	if p.marker {
		kind |= 0x80
	}
	b = append(b, 0x80, kind)
	b = binary.BigEndian.AppendUint16(b, p.seq)
	b = binary.BigEndian.AppendUint32(b, p.ts)
	b = binary.BigEndian.AppendUint32(b, p.ssrc)
	return append(b, p.payload...)
}

// interleaved is anything at all on a channel.
func interleaved(channel byte, payload []byte) packet {
	b := append([]byte{'$', channel}, byte(len(payload)>>8), byte(len(payload)))
	return packet{raw: append(b, payload...)}
}

// mtu is what bad cameras put into one packet: small, so that most pictures need several.
const mtu = 400

// payloads makes of a NAL unit what RTP carries: itself, or fragments (RFC 6184 §5.8, RFC 7798 §4.4.3).
func (f *film) payloads(nalu []byte, most int) (out [][]byte) {
	if len(nalu) <= most {
		return [][]byte{nalu}
	}
	head, t := []byte{nalu[0]&0xE0 | 28}, nalu[0]&0x1F
	body := nalu[1:]
	if f.h265 {
		head, t = []byte{nalu[0]&0x81 | 49<<1, nalu[1]}, nalu[0]>>1&0x3F
		body = nalu[2:]
	}
	for first := true; len(body) > 0; first = false {
		n := min(most-len(head)-1, len(body))
		mark := t
		if first {
			mark |= 0x80
		}
		if n == len(body) {
			mark |= 0x40
		}
		out = append(out, append(append(append([]byte{}, head...), mark), body[:n]...))
		body = body[n:]
	}
	return out
}

// stapA puts NAL units of H.264 into one packet, RFC 6184 §5.7.1.
func stapA(nalus [][]byte) []byte {
	b := []byte{24}
	for _, n := range nalus {
		b[0] |= n[0] & 0x60
		b = binary.BigEndian.AppendUint16(b, uint16(len(n)))
		b = append(b, n...)
	}
	return b
}

// senderReport is RTCP's (RFC 3550 §6.4.1): the camera says what its clock shows at an RTP time. ntp is in 1/2^32 s since 1900.
func senderReport(channel byte, ssrc uint32, ntp uint64, ts uint32) packet {
	b := []byte{0x80, 200, 0, 6}
	b = binary.BigEndian.AppendUint32(b, ssrc)
	b = binary.BigEndian.AppendUint64(b, ntp)
	b = binary.BigEndian.AppendUint32(b, ts)
	return interleaved(channel, append(b, 0, 0, 0, 1, 0, 0, 1, 0))
}

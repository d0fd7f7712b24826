package rtsptest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
)

// badSessions are those whose connection goes wrong while pictures come.
func badSessions() []Bad {
	return []Bad{
		{Name: "silent-from-the-start", Does: "answers PLAY and sends no picture", From: "an encoder that does not run", play: silence},
		{Name: "silent", Does: "stops sending after 15 pictures, the connection stays", From: "Wi-Fi cameras; the peer has gone without a FIN", pictures: 15, after: silence},
		{Name: "stalls-in-a-picture", Does: "stops in the middle of a packet", From: "a full buffer in the camera", pictures: 15,
			after: func(ctx context.Context, p *peer) {
				var b []byte
				for _, k := range p.picture(20) {
					b = k.append(b)
				}
				p.write(b[:len(b)/2])
				silence(ctx, p)
			}},
		{Name: "drops-in-a-gop", Does: "closes the connection between two pictures of a GOP", From: "cameras that restart their encoder each night", pictures: 15},
		{Name: "says-goodbye", Does: "sends RTCP BYE and nothing more", From: "RFC 3550 §6.6", pictures: 15,
			after: func(ctx context.Context, p *peer) {
				p.send([]packet{interleaved(p.channels[0]+1, []byte{0x81, 203, 0, 1, 0x51, 0x73, 0x51, 0x73})})
				silence(ctx, p)
			}},
		{Name: "needs-keepalive", Does: "hangs up when nothing is asked for 15 s, five times what its Session header says", From: "RFC 2326 §12.37", Plays: true, timeout: 3 * time.Second},
		{Name: "keepalive-454", Does: "answers keepalives with 454 and goes on", From: "RFC 2326 §11.3.4", Plays: true, timeout: 3 * time.Second, answer: refuseKeepalive("454 Session Not Found")},
		{Name: "keepalive-501", Does: "answers keepalives with 501 and goes on", From: "RFC 2326 §11.3.14", Plays: true, timeout: 3 * time.Second, answer: refuseKeepalive("501 Not Implemented")},
		{Name: "keepalive-ignored", Does: "does not answer keepalives and goes on", From: "RFC 2326 §12.37", Plays: true, timeout: 3 * time.Second,
			answer: func(_ context.Context, p *peer, q request) (bool, error) {
				return p.asked["PLAY"] > 0 && q.method != "PLAY" && q.method != "TEARDOWN", nil
			}},
		{Name: "pictures-before-play", Does: "sends pictures ahead of its answer to PLAY", From: "RFC 2326 §10.5 does not forbid it; Reolink (membrane_rtsp 54), v4l2rtspserver (retina 46)", Plays: true,
			answer: func(_ context.Context, p *peer, q request) (bool, error) {
				if q.method != "PLAY" {
					return false, nil
				}
				for ; p.shown < 3; p.shown++ {
					if err := p.send(p.picture(p.shown)); err != nil {
						return true, err
					}
				}
				return false, nil
			}},
		{Name: "asks-the-client", Does: "asks OPTIONS of the client while pictures come", From: "RFC 2326 §10.1, either may ask", Plays: true,
			mangle: func(_ *peer, n int, ps []packet) []packet {
				if n%10 == 5 {
					ps = append(ps, packet{raw: fmt.Appendf(nil, "OPTIONS * RTSP/1.0\r\nCSeq: %d\r\n\r\n", n)})
				}
				return ps
			}},
		{Name: "unknown-channel", Does: "sends packets on channels that nobody asked for", From: "RFC 2326 §10.12; live555 before 2017.06.04, as in Reolink (retina 17)", Plays: true,
			mangle: func(_ *peer, n int, ps []packet) []packet {
				return append([]packet{interleaved(byte(200+n%50), bytes.Repeat([]byte{0xAA}, 300))}, ps...)
			}},
		{Name: "channels-of-its-own", Does: "sends on other channels than it was asked for, and says so", From: "RFC 2326 §12.39; Streaming Server/2.9.0.0 (bluenviron/gortsplib 72)", Plays: true, channel: 10},
		{Name: "garbage-between", Does: "sends bytes between packets that are nothing at all", From: "serial console text in the stream; RFC 2326 §10.12", Plays: true,
			mangle: func(_ *peer, n int, ps []packet) []packet {
				if n%10 == 5 {
					ps = append(ps, packet{raw: []byte("\x00\x01\xfe\xffpanic: watchdog\x80\x81\r\n\r\n")})
				}
				return ps
			}},
		{Name: "garbage", Does: "sends ten pictures and then random bytes for ever", From: "memory gone bad", pictures: 10,
			after: func(_ context.Context, p *peer) {
				b, x := make([]byte, 4096), uint32(2463534242)
				for {
					for i := range b {
						x ^= x << 13 // xorshift: the same bytes each time
						x ^= x >> 17
						x ^= x << 5
						b[i] = byte(x)
					}
					if p.write(b) != nil {
						return
					}
				}
			}},
		{Name: "giant-rtcp", Does: "sends RTCP packets of 65,535 bytes", From: "RFC 3550 §6.1 knows no limit", Plays: true,
			mangle: func(p *peer, n int, ps []packet) []packet {
				if n%10 == 5 {
					b := bytes.Repeat([]byte{0x81, 202, 0x3F, 0xFF}, 1<<14)
					ps = append(ps, interleaved(p.channels[0]+1, b[:65535]))
				}
				return ps
			}},
		{Name: "odd-rtcp", Does: "sends RTCP packets that are cut short or say wrong lengths", From: "RFC 3550 §A.2", Plays: true,
			mangle: func(p *peer, n int, ps []packet) []packet {
				for _, b := range [][]byte{{}, {0x80}, {0x9F, 200, 0xFF, 0xFF, 1, 2}, {0xDF, 201, 0, 1, 0, 0, 0, 0}, {0x81, 206, 0, 0}} {
					ps = append(ps, interleaved(p.channels[0]+1, b))
				}
				return ps
			}},
		{Name: "audio-first", Does: "describes and sends sound ahead of the pictures", From: "RFC 4566 §5.14, the order is free", Plays: true,
			sdp: func(head, media string) string { return head + "m=audio 0 RTP/AVP 0\r\na=control:track=1\r\n" + media },
			mangle: func(p *peer, n int, ps []packet) []packet {
				if p.channels[1] == 0 { // nobody asked for it
					return ps
				}
				sound := packet{channel: p.channels[1], kind: audioType, marker: n == 0, seq: uint16(n), ts: uint32(n * 320), ssrc: ssrc + 1, payload: bytes.Repeat([]byte{0xD5}, 320)}
				return append([]packet{sound}, ps...)
			}},
		{Name: "nonce-expires", Does: "asks for the password again, with another nonce, at SETUP", From: "RFC 2617 §3.3, stale=true", Plays: true,
			answer: func(_ context.Context, p *peer, q request) (bool, error) {
				nonce := "first"
				if q.method == "SETUP" || q.method == "PLAY" {
					nonce = "second"
				}
				if q.method == "OPTIONS" || q.method == "TEARDOWN" || strings.Contains(q.header["authorization"], `nonce="`+nonce) {
					return false, nil
				}
				return true, p.reply(q, "401 Unauthorized", "", fmt.Sprintf(digest, nonce)+", stale=true")
			}},
	}
}

// refuseKeepalive answers with status what is asked after PLAY.
func refuseKeepalive(status string) func(context.Context, *peer, request) (bool, error) {
	return func(_ context.Context, p *peer, q request) (bool, error) {
		if p.asked["PLAY"] == 0 || q.method != "OPTIONS" && q.method != "GET_PARAMETER" && q.method != "SET_PARAMETER" {
			return false, nil
		}
		return true, p.reply(q, status, "")
	}
}

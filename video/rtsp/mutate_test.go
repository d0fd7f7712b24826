package rtsp

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sitewatch/video/rtsptest"
)

// FuzzDialogue is FuzzSource with a camera that knows what it is doing: a dialogue of the catalogue in which a few things are otherwise.
// An input is the number of a dialogue and edits of editBytes each. Lengths that an edit has made wrong are put right, unless the lie is
// the edit, so that what comes behind is heard.
func FuzzDialogue(f *testing.F) {
	all := dialogues(f)
	for i := range all {
		f.Add([]byte{byte(i)})
	}
	for i, d := range all {
		name := strings.SplitN(d.Notes[0], ":", 2)[0]
		if !slices.Contains([]string{"audio-first", "h265-cra", "odd-rtcp", "clock-drifts", "aggregates", "nonce-expires", "b-pictures"}, name) {
			continue
		}
		for op := range byte(edits) { // each edit, at a line of the description and at a picture
			f.Add([]byte{byte(i), op, 0, 20, 1, 0, 2})
			f.Add([]byte{byte(i), op, 0, 50, 7, 0, 30})
		}
		for sound := range byte(len(voices)) { // sound of each kind, and packets of it
			s := []byte{byte(i), opSound, 0, 0, sound, 0, 0}
			for n := range byte(8) {
				s = append(s, opPacket, 0, 60+n, 2, n, n)
			}
			s = append(s, opReport, 0, 64, 0, 0, 1, opReport, 0, 65, 2, 0, 0, opPacket, 0, 70, 2, 0, 17)
			f.Add(s)
		}
	}
	fuzzSource(f, func(b []byte) func(net.Conn) {
		if len(b) == 0 {
			return func(net.Conn) {}
		}
		m := newMutant(all[int(b[0])%len(all)])
		for b = b[1:min(len(b), 1+40*editBytes)]; len(b) >= editBytes; b = b[editBytes:] {
			m.edit(all, b[0], int(binary.BigEndian.Uint16(b[1:])), b[3], int(binary.BigEndian.Uint16(b[4:])))
		}
		return m.serve
	})
}

// item is a line or a packet of a dialogue.
type item struct {
	data []byte
	turn int
	cseq bool // it is the number of the request
	lies bool // its length stays as it is
}

func (it item) rtp() bool { return len(it.data) >= 16 && it.data[0] == '$' }

func (it item) line() bool { return bytes.HasSuffix(it.data, []byte("\r\n")) && it.data[0] != '$' }

func (it item) clone() item { it.data = bytes.Clone(it.data); return it }

// mutant is a camera that says what another has said, but for some edits.
type mutant struct {
	methods []string // by turn
	items   []item
	closes  bool
	kind    byte // payload type of the sound

	mu   sync.Mutex // after a redirect there is a second connection
	next int
}

func newMutant(d *rtsptest.Dialogue) *mutant {
	m := &mutant{closes: d.End == rtsptest.EndCloses}
	for n, t := range d.Turns {
		method, _, _ := strings.Cut(t.Request, " ")
		m.methods = append(m.methods, method)
		number := cseq.FindString(t.Request)
		for _, s := range t.Said {
			for i := range min(s.Times, 3) {
				it := item{data: bytes.Clone(s.Data), turn: n, cseq: number != "" && string(s.Data) == number+"\r\n"}
				if it.rtp() {
					it.add16(6, i)
				}
				m.items = append(m.items, it)
			}
		}
	}
	return m
}

func (it item) add16(at, n int) {
	if len(it.data) >= at+2 {
		binary.BigEndian.PutUint16(it.data[at:], binary.BigEndian.Uint16(it.data[at:])+uint16(n))
	}
}

func (it item) add32(at, n int) {
	if len(it.data) >= at+4 {
		binary.BigEndian.PutUint32(it.data[at:], binary.BigEndian.Uint32(it.data[at:])+uint32(n))
	}
}

const (
	editBytes = 6
	opSound   = 16
	opPacket  = 17
	opReport  = 19
	edits     = 22
	mostItems = 4000
	mostBytes = 1 << 20
)

var (
	numbers  = regexp.MustCompile(`[0-9]+`)
	setText  = regexp.MustCompile(`[A-Za-z0-9+/]{6,}=*`)
	oddities = []string{"0", "-1", "1", "255", "256", "65535", "65536", "2147483647", "2147483648", "4294967295", "4294967296", "9223372036854775807",
		"18446744073709551616", "1e9", "0x10", "00", "", "99999999999999999999999999999999", "NaN", " "}
	tokens = []string{"\x00", "\r\n", "\r\n\r\n", "$\x00\x00\x04abcd", "RTSP/1.0 200 OK\r\n", "RTSP/1.0 302 Moved\r\nLocation: rtsp://127.0.0.1/\r\n", ";", "=", ",", "/", "*", "../", "%", "\xff\xfe",
		"interleaved=2-3", "interleaved=0-0", "interleaved=255-256", "ssrc=FFFFFFFF", "timeout=0", "timeout=4294967295", "a=control:\r\n", "a=control:rtsp://other/x\r\n",
		"m=video 0 RTP/AVP 97\r\na=rtpmap:97 H265/90000\r\n", "m=video 0 RTP/SAVP 96\r\n", "a=rtpmap:96 H264/0\r\n", "a=rtpmap:96 H265/90000\r\n", "a=fmtp:96 packetization-mode=2\r\n",
		"a=fmtp:96 sprop-max-don-diff=1\r\n", "a=key-mgmt:mikey AAAAAA==\r\n", "a=sendonly\r\n", "Content-Encoding: gzip\r\n", "Transfer-Encoding: chunked\r\n",
		"WWW-Authenticate: Digest realm=\"a\", nonce=\"b\", stale=true\r\n", "WWW-Authenticate: Basic realm=\"a\"\r\n", strings.Repeat("A", 5000)}
	voices = []string{
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\na=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408\r\na=control:track=1\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MP4A-LATM/24000/2\r\na=fmtp:97 profile-level-id=1;object=2;cpresent=0;config=400026203fc0\r\na=control:track=1\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MP4A-LATM/16000/1\r\na=fmtp:97 cpresent=1\r\na=control:track=1\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:track=1\r\n",
		"m=audio 0 RTP/AVP 0\r\na=control:track=1\r\n",
		"m=audio 0 RTP/AVP 8\r\na=control:track=1\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/16000/2\r\na=control:track=1\r\n",
		"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 G726-32/8000\r\na=control:track=1\r\n",
		"m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:track=1\r\n",
	}
	// payloads are beginnings of payloads: pictures of both codings, whole, in pieces and together, sound, and RTCP.
	payloads = [][]byte{
		{0x65, 0x88, 0x84, 0x00}, {0x7C, 0x85, 0x88}, {0x7C, 0x45}, {0x7C, 0x05}, {0x78, 0x00, 0x05, 0x65, 0x88}, {0x78, 0xFF, 0xFF, 0x67}, {0x79, 0, 0}, {0x7D, 0x85, 0, 0},
		{0x26, 0x01, 0xAF}, {0x62, 0x01, 0x93}, {0x62, 0x01, 0x53}, {0x60, 0x01, 0x00, 0x06, 0x26, 0x01}, {0x60, 0x01, 0xFF, 0xFF}, {0x64, 0x01, 0, 0}, {0x42, 0x01, 0x01}, {0x67, 0x42, 0xC0}, {0x68, 0xCE},
		{0, 16, 0, 32, 1, 2, 3, 4}, {0, 32, 0, 16, 0, 16, 1, 2, 3, 4}, {0, 16, 0xFF, 0xFF}, {0xFF, 0xFF, 0, 8}, {255, 255, 255, 3}, {0x0B, 0xE4, 0xC1}, {0xFC, 1, 2, 3}, {}, {0},
	}
	reports = [][]byte{
		{0x80, 200, 0, 6, 0x53, 0x73, 0x51, 0x73, 0xEE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0},
		{0x80, 200, 0, 6, 0x51, 0x73, 0x51, 0x73, 0xEE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0E, 0x10, 0, 0, 0, 9, 0, 0, 1, 0}, {0x81, 203, 0, 1, 0x51, 0x73, 0x51, 0x73}, {0x81, 202, 0, 4, 0x51, 0x73, 0x51, 0x73, 1, 4, 'a', 'b', 'c', 'd', 0, 0, 0, 0, 0, 0},
		{0x81, 201, 0, 7, 1, 2, 3, 4}, {0x80, 204, 0, 3, 1, 2, 3, 4, 'n', 'a', 'm', 'e', 0, 0, 0, 0}, {0x8F, 205, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8}, {0x80, 207, 0xFF, 0xFF, 1, 2, 3, 4}, {0x9F, 200, 0, 0},
	}
)

// edit makes one thing otherwise; it means something for all numbers.
func (m *mutant) edit(all []*rtsptest.Dialogue, op byte, at int, x byte, y int) {
	if len(m.items) == 0 || len(m.items) > mostItems {
		return
	}
	at %= len(m.items)
	it := &m.items[at]
	n := len(it.data)
	if n == 0 {
		return
	}
	insert := func(its ...item) { m.items = slices.Insert(m.items, at, its...) }
	was := it.cseq
	it.cseq = false
	switch op % edits {
	case 0:
		it.data[y%n] = x
	case 1:
		it.data[y%n] ^= 1 << (x % 8)
	case 2:
		m.items = slices.Delete(m.items, at, at+1)
	case 3:
		for i := range 1 + int(x%32) {
			c := it.clone()
			if c.rtp() && x >= 0x80 {
				c.add16(6, i+1)
			}
			insert(c)
			it = &m.items[at]
		}
	case 4:
		o := &m.items[y%len(m.items)]
		it.data, o.data = o.data, it.data
	case 5:
		it.data = it.data[:1+y%n]
	case 6:
		it.data = append(it.data, bytes.Repeat([]byte{x}, y)...)
	case 7, 8: // of another camera
		from := newMutant(all[int(x)%len(all)]).items
		if len(from) == 0 {
			break
		}
		o := from[y%len(from)]
		o.turn, o.cseq = it.turn, false
		if op%edits == 7 {
			*it = o
		} else {
			insert(o)
		}
	case 9: // a number of a line
		if places := numbers.FindAllIndex(it.data, -1); len(places) > 0 {
			p := places[int(x)%len(places)]
			it.data = slices.Concat(it.data[:p[0]], []byte(oddities[y%len(oddities)]), it.data[p[1]:])
		}
	case 10:
		it.data = slices.Insert(it.data, int(x)%n, []byte(tokens[y%len(tokens)])...)
	case 11: // the head of what a packet carries
		if it.rtp() && n > 18 {
			it.data[16], it.data[17] = x, byte(y)
			if y > 255 {
				it.data[18] = byte(y >> 8)
			}
		}
	case 12:
		it.add32(8, int(int16(y))<<(x%20))
	case 13:
		it.add16(6, y)
	case 14: // source, kind or marker
		switch {
		case n < 16:
		case y%4 == 0:
			it.data[12] ^= x
		case y%4 == 1:
			it.data[5] = x
		case y%4 == 2:
			it.data[5] ^= 0x80
		default:
			it.data[4] = x
		}
	case 15: // a bit of a parameter set
		if places := setText.FindAllIndex(it.data, -1); it.line() && len(places) > 0 {
			p := places[int(x)%len(places)]
			if set, err := base64.StdEncoding.DecodeString(string(it.data[p[0]:p[1]])); err == nil && len(set) > 0 {
				set[y/8%len(set)] ^= 1 << (y % 8)
				it.data = slices.Concat(it.data[:p[0]], []byte(base64.StdEncoding.EncodeToString(set)), it.data[p[1]:])
			}
		}
	case opSound:
		voice := voices[int(x)%len(voices)]
		kind, _ := strconv.Atoi(numbers.FindAllString(voice, 2)[1])
		m.kind = byte(kind)
		for i := len(m.items) - 1; i >= 0; i-- {
			if bytes.HasPrefix(m.items[i].data, []byte("m=")) {
				at = i
				if y%2 == 1 { // as the last
					for at = i + 1; at < len(m.items) && m.items[at].turn == m.items[i].turn && m.items[at].line(); at++ {
					}
				}
				m.items = slices.Insert(m.items, at, item{data: []byte(voice), turn: m.items[i].turn})
				break
			}
		}
	case opPacket:
		p := payloads[y%len(payloads)]
		b := []byte{'$', x % 4, 0, 0, 0x80, 96, 0, byte(at), 0, 0, byte(y >> 9), x, 0x51, 0x73, 0x51, 0x73}
		if x%4 > 1 {
			b[5], b[12] = m.kind, 0x53
		}
		b[5] |= byte(y>>8&1) << 7
		insert(item{data: append(append(b, p...), bytes.Repeat([]byte{x}, int(x))...), turn: it.turn})
	case 18: // a length that is none
		if n >= 4 && it.data[0] == '$' {
			binary.BigEndian.PutUint16(it.data[2:], uint16(y))
			it.lies = true
		}
	case opReport:
		r := bytes.Clone(reports[y%len(reports)])
		r[len(r)-1-int(x)%len(r)] ^= byte(y >> 8)
		insert(item{data: append([]byte{'$', 1 + x&2, 0, 0}, r...), turn: it.turn})
	case 20: // inside of another packet
		if it.rtp() {
			head := [][]byte{{24, byte(y >> 8), byte(y)}, {48 << 1, 1, byte(y >> 8), byte(y)}, {28, x}, {49 << 1, 1, x}, {0, 16, byte(y >> 8), byte(y)}}[int(x)%5]
			it.data = slices.Insert(it.data, 16, head...)
		}
	case 21: // a length of a body that is none
		for i := range m.items {
			if bytes.HasPrefix(m.items[i].data, []byte("Content-Length:")) {
				m.items[i] = item{data: fmt.Appendf(nil, "Content-Length: %s\r\n", oddities[y%len(oddities)]), turn: m.items[i].turn, lies: true}
			}
		}
	default:
		it.cseq = was
	}
}

// said is all of a turn, lengths put right.
func (m *mutant) said(turn int, number []byte) (b []byte) {
	items := slices.DeleteFunc(slices.Clone(m.items), func(it item) bool { return it.turn != turn })
	for i, it := range items {
		switch {
		case len(b) > mostBytes:
			return b
		case it.cseq:
			b = append(append(b, number...), "\r\n"...)
			continue
		case it.lies:
		case len(it.data) >= 4 && it.data[0] == '$':
			binary.BigEndian.PutUint16(it.data[2:], uint16(len(it.data)-4))
		case bytes.HasPrefix(it.data, []byte("Content-Length:")):
			body, in := 0, false
			for _, o := range items[i+1:] {
				if !o.line() || in && bytes.HasPrefix(o.data, []byte("RTSP/1.0")) {
					break
				}
				if in {
					body += len(o.data)
				}
				in = in || len(o.data) == 2
			}
			it.data = fmt.Appendf(nil, "Content-Length: %d\r\n", body)
		}
		b = append(b, it.data...)
	}
	return b
}

var transport = regexp.MustCompile(`Transport: [^\r\n]*`)

// serve answers requests until the client leaves.
func (m *mutant) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	for {
		head, err := readHead(in)
		if err != nil {
			return
		}
		if bytes.HasPrefix(head, []byte("RTSP/")) { // it answers what the camera has asked
			continue
		}
		answer, last := m.answer(head)
		if _, err := conn.Write(answer); err != nil || last {
			return
		}
	}
}

// answer is what followed the next request of that method; last: the camera hangs up then.
func (m *mutant) answer(head []byte) (b []byte, last bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	method, _, _ := strings.Cut(string(head), " ")
	if i := slices.Index(m.methods[m.next:], method); i >= 0 {
		m.next += i + 1
		return m.said(m.next-1, cseq.Find(head)), m.closes && m.next == len(m.methods)
	}
	return fmt.Appendf(nil, "RTSP/1.0 200 OK\r\n%s\r\nSession: 5A17E0CC\r\n%s\r\n\r\n", cseq.Find(head), transport.Find(head)), false
}

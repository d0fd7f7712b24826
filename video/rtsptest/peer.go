package rtsptest

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// peer is one connection, as a bad camera sees it.
type peer struct {
	bad   *Bad
	film  *film
	other *film // of a camera that changes
	conn  net.Conn
	in    *bufio.Reader

	asked    map[string]int // requests by method
	channels [2]byte        // of the pictures and of the sound, as SETUP agreed
	last     time.Duration  // how long the client may be silent, 0: as long as it likes

	shown int      // pictures sent
	seq   uint16   // of the next packet
	held  []packet // to be sent later

	mu   sync.Mutex // guards writing
	over *udp       // nil: RTP goes over the connection
}

const (
	session    = "5A17E0CC"
	ssrc       = 0x51735173
	videoType  = 96
	audioType  = 0 // PCMU
	ticksApart = 3600
	rate       = 25 // pictures a second
)

var errHungUp = errors.New("the camera hangs up")

// Serve plays the camera on one connection until it ends, the camera hangs up or ctx ends; it closes conn.
func (b Bad) Serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	defer conn.Close()
	defer cancel()
	p := &peer{bad: &b, film: loadFilm(b.film), conn: conn, in: bufio.NewReaderSize(conn, maxLine), asked: map[string]int{}}
	defer func() { p.over.close() }()
	for playing := false; ; {
		q, err := p.patient(ctx)
		if err != nil {
			return
		}
		p.asked[q.method]++
		if b.answer != nil {
			if done, err := b.answer(ctx, p, q); err != nil {
				return
			} else if done {
				continue
			}
		}
		if err := p.answer(q); err != nil {
			return
		}
		if q.method == "PLAY" && !playing {
			playing = true
			wg.Go(func() {
				defer cancel()
				p.play(ctx)
			})
		}
	}
}

// patient reads for as long as the session lives without a word of the client.
func (p *peer) patient(ctx context.Context) (request, error) {
	if p.last > 0 {
		ctx, cancel := context.WithTimeout(ctx, p.last)
		defer cancel()
		defer context.AfterFunc(ctx, func() { p.conn.Close() })()
	}
	return readRequest(p.in)
}

func (p *peer) write(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.conn.Write(b)
	return err
}

// reply writes a response; lines are further header lines.
func (p *peer) reply(q request, status, body string, lines ...string) error {
	return p.write([]byte(response(q, status, body, lines...)))
}

// answer is what a good camera says.
func (p *peer) answer(q request) error {
	switch q.method {
	case "OPTIONS":
		return p.reply(q, "200 OK", "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
	case "DESCRIBE":
		return p.reply(q, "200 OK", p.sdp(), "Content-Base: "+strings.TrimSuffix(q.url, "/")+"/", "Content-Type: application/sdp")
	case "SETUP":
		return p.setup(q)
	case "PLAY":
		return p.reply(q, "200 OK", "", "Session: "+session, "Range: npt=0.000-")
	case "GET_PARAMETER", "SET_PARAMETER":
		return p.reply(q, "200 OK", "", "Session: "+session)
	case "TEARDOWN":
		return errors.Join(p.reply(q, "200 OK", "", "Session: "+session), errHungUp)
	}
	return p.reply(q, "501 Not Implemented", "")
}

func (p *peer) setup(q request) error {
	t := q.header["transport"]
	if p.bad.udp {
		return p.setupUDP(q, t)
	}
	if !strings.Contains(t, "RTP/AVP/TCP") {
		return p.reply(q, "461 Unsupported Transport", "")
	}
	track := 0
	if strings.Contains(q.url, "track=1") {
		track = 1
	}
	first := 2 * track
	if _, ids, ok := strings.Cut(t, "interleaved="); ok {
		fmt.Sscanf(ids, "%d", &first)
	}
	if p.bad.channel > 0 {
		first = int(p.bad.channel) + 2*track
	}
	p.channels[track] = byte(first)
	life := 60
	if p.bad.timeout > 0 {
		life, p.last = int(p.bad.timeout/time.Second), 5*p.bad.timeout // a client on a busy machine may be late
	}
	return p.reply(q, "200 OK", "", fmt.Sprintf("Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d;ssrc=%08X", first, first+1, ssrc),
		fmt.Sprintf("Session: %s;timeout=%d", session, life))
}

// sdp describes the film.
func (p *peer) sdp() string {
	var fmtp, name string
	b64 := base64.StdEncoding.EncodeToString
	switch s := p.film.sets; {
	case p.film.h265:
		name = "H265"
		fmtp = fmt.Sprintf("a=fmtp:%d sprop-vps=%s; sprop-sps=%s; sprop-pps=%s\r\n", videoType, b64(s[0]), b64(s[1]), b64(s[2]))
	default:
		name = "H264"
		fmtp = fmt.Sprintf("a=fmtp:%d packetization-mode=1; sprop-parameter-sets=%s,%s\r\n", videoType, b64(s[0]), b64(s[1]))
	}
	head := "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
	media := fmt.Sprintf("m=video 0 RTP/AVP %d\r\na=rtpmap:%d %s/90000\r\n%sa=control:track=0\r\n", videoType, videoType, name, fmtp)
	if p.bad.sdp != nil {
		return p.bad.sdp(head, media)
	}
	return head + media
}

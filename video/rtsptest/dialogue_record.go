package rtsptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"sync"
	"time"

	"sitewatch/edge"
)

const (
	recordBytes = 7 << 10   // of different things that the camera sends; text counts an eighth
	recordAll   = 300 << 20 // with repeats
	recordQuiet = time.Second
)

// Record has a small client talk to the camera, which asks what every client asks and then listens, and writes down what both
// said. It takes a few seconds at most.
func (b Bad) Record(ctx context.Context, clock edge.Clock) *Dialogue {
	ctx, cancel := context.WithCancel(ctx)
	ours, theirs := net.Pipe()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer ours.Close()
	defer cancel()
	wg.Go(func() { b.Serve(ctx, theirs) })
	r := &recorder{conn: ours, buf: make([]byte, 2<<20), clock: clock, d: &Dialogue{Notes: []string{b.Name + ": " + b.Does + ".", b.From + "."}}}
	r.run()
	return r.d
}

// recorder is the client. Over a pipe each write of the camera arrives as one read.
type recorder struct {
	conn  net.Conn
	clock edge.Clock
	d     *Dialogue
	cseq  int
	buf   []byte
	left  []byte // not yet told apart
	size  int    // of what differs
	all   int

	nonce string // with which to ask again
	asked string // the one before
}

// run asks OPTIONS, DESCRIBE, SETUP and PLAY and listens.
func (r *recorder) run() {
	const at = "rtsp://" + recordedHost + "/main"
	authorization := ""
	for _, q := range []struct{ method, url, more string }{
		{"OPTIONS", at, ""}, {"DESCRIBE", at, "Accept: application/sdp\r\n"},
		{"SETUP", at + "/track=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"}, {"PLAY", at + "/", "Range: npt=0-\r\n"},
	} {
		for {
			status := r.ask(q.method, q.url, q.more+authorization)
			if status == 401 && r.nonce != "" && r.d.End == "" {
				authorization = "Authorization: Digest username=\"u\", realm=\"camera\", nonce=\"" + r.nonce + "\", uri=\"" + at + "\", response=\"00112233445566778899aabbccddeeff\"\r\n"
				r.nonce = ""
				continue
			}
			if r.d.End == "" && (status < 200 || status > 299) {
				r.d.End = EndSilent
			}
			break
		}
		if r.d.End != "" {
			return
		}
	}
	for r.d.End == "" {
		r.hear()
	}
	r.flush()
}

var (
	challenge     = regexp.MustCompile(`nonce="([^"]*)"`)
	contentLength = regexp.MustCompile(`Content-Length: (\d+)`)
	statusLine    = regexp.MustCompile(`^(?:RTSP|HTTP)/1\.\d (\d{3}) `)
)

// ask sends a request and listens until its answer is whole, or something else has come to an end.
func (r *recorder) ask(method, url, more string) (status int) {
	r.cseq++
	text := fmt.Sprintf("%s %s RTSP/1.0\r\nCSeq: %d\r\n%s\r\n", method, url, r.cseq, more)
	r.d.Turns = append(r.d.Turns, Turn{Request: text})
	if _, err := io.WriteString(r.conn, text); err != nil {
		r.d.End = EndCloses
		return 0
	}
	var whole []byte
	for r.d.End == "" {
		whole = append(whole, r.hear()...)
		at := bytes.LastIndex(whole, []byte("RTSP/1.0 ")) // pictures may have come before it
		if at < 0 {
			continue
		}
		head, body, ok := bytes.Cut(whole[at:], []byte("\r\n\r\n"))
		if !ok {
			if len(whole) > recordBytes {
				whole = whole[:recordBytes] // it is not going to be an answer
			}
			continue
		}
		if m := statusLine.FindSubmatch(head); m != nil {
			status, _ = strconv.Atoi(string(m[1]))
		}
		if m := challenge.FindSubmatch(head); m != nil && string(m[1]) != r.asked {
			r.nonce, r.asked = string(m[1]), string(m[1])
		}
		want := 0
		if m := contentLength.FindSubmatch(head); m != nil {
			want, _ = strconv.Atoi(string(m[1]))
		}
		if len(body) >= want {
			break
		}
		if len(body) > recordBytes {
			whole = whole[:at+len(head)+4] // nor will this become whole
		}
	}
	r.flush()
	return status
}

// hear takes one write of the camera. It sets End when there is no other, or enough has been heard.
func (r *recorder) hear() []byte {
	b := r.buf
	r.conn.SetReadDeadline(r.clock.Now().Wall.Add(recordQuiet))
	n, err := r.conn.Read(b)
	r.left = append(r.left, b[:n]...)
	r.all += n
	r.split(false)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.d.End = EndSilent
	case err != nil:
		r.d.End = EndCloses
	case r.size > recordBytes || r.all > recordAll:
		r.d.End = EndGoesOn
	}
	return b[:n]
}

func (r *recorder) flush() { r.split(true) }

// split tells lines, packets and other bytes apart.
func (r *recorder) split(end bool) {
	const piece = 8 << 10
	for len(r.left) > 0 {
		n := len(r.left)
		line := bytes.Index(r.left, []byte("\r\n"))
		switch {
		case r.left[0] == '$' && len(r.left) >= 4 && len(r.left) >= 4+int(r.left[2])<<8+int(r.left[3]):
			n = 4 + int(r.left[2])<<8 + int(r.left[3])
		case r.left[0] == '$' && !end:
			return
		case line >= 0 && isLine(r.left[:line+2]):
			n = line + 2
		case n >= piece:
			n = piece
		case !end && isPrintable(r.left): // the line may come yet
			return
		}
		r.say(r.left[:n])
		r.left = r.left[n:]
	}
}

func (r *recorder) say(b []byte) {
	t := &r.d.Turns[len(r.d.Turns)-1]
	if n := len(t.Said); n > 0 && bytes.Equal(t.Said[n-1].step(t.Said[n-1].Times), b) {
		t.Said[n-1].Times++
		return
	}
	t.Said = append(t.Said, Said{Data: bytes.Clone(b), Times: 1})
	if isLine(b) {
		r.size += len(b) / 8
	} else {
		r.size += len(hexRuns(b)) / 2
	}
}

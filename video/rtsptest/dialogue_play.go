package rtsptest

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
)

// Serve plays the camera's part on one connection until the client leaves or ctx ends; it closes conn. A request is answered
// with what followed the next request of that method, so that a client may ask a little more, or less, than the recorded one.
func (d *Dialogue) Serve(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	defer cancel()
	in, next := bufio.NewReaderSize(conn, maxLine), 0
	for {
		q, err := readRequest(in)
		if err != nil {
			return
		}
		at := next
		for at < len(d.Turns) && d.Turns[at].method() != q.method {
			at++
		}
		switch {
		case at < len(d.Turns):
			next = at + 1
			if d.Turns[at].play(conn, q) != nil {
				return
			}
			if next == len(d.Turns) && d.End == EndCloses {
				return
			}
		case next == len(d.Turns): // what the recorded client did not ask: keepalives
			conn.Write([]byte(response(q, "200 OK", "", "Session: "+session)))
		default:
			conn.Write([]byte(response(q, "501 Not Implemented", "")))
		}
	}
}

func (t Turn) method() string {
	m, _, _ := strings.Cut(t.Request, " ")
	return m
}

// play writes what the camera said, addressed to whoever asks now.
func (t Turn) play(conn net.Conn, q request) error {
	w := bufio.NewWriterSize(conn, 1<<16)
	for _, s := range t.Said {
		for i := range s.Times {
			if _, err := w.Write(t.address(s.step(i), q)); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// address puts the sequence and the host of q in place of the recorded ones.
func (t Turn) address(b []byte, q request) []byte {
	if !isLine(b) {
		return b
	}
	if was, err := readRequest(bufio.NewReader(strings.NewReader(t.Request))); err == nil && string(b) == "CSeq: "+was.header["cseq"]+"\r\n" {
		return []byte("CSeq: " + q.header["cseq"] + "\r\n")
	}
	if rest, ok := strings.CutPrefix(q.url, "rtsp://"); ok {
		host, _, _ := strings.Cut(rest, "/")
		b = bytes.ReplaceAll(b, []byte("rtsp://"+recordedHost), []byte("rtsp://"+host))
	}
	return b
}

// recordedHost stands in dialogues for the camera's address.
const recordedHost = "camera"

// Answers is what the camera sent after each request, with at most so many repeats: seeds for a fuzz target.
func (d *Dialogue) Answers(repeats int) (out [][]byte) {
	for _, t := range d.Turns {
		var b []byte
		for _, s := range t.Said {
			for i := range min(s.Times, repeats) {
				b = append(b, s.step(i)...)
			}
		}
		out = append(out, b)
	}
	return out
}

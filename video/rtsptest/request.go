package rtsptest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// request is what a client asked.
type request struct {
	method, url string
	header      map[string]string // keys in lower case
}

const (
	maxLine    = 4096 // of a request
	maxHeaders = 64
)

// readRequest takes the next request. What the client sends on interleaved channels is of no interest.
func readRequest(in *bufio.Reader) (q request, err error) {
	for {
		c, err := in.ReadByte()
		if err != nil {
			return q, err
		}
		if c != '$' {
			in.UnreadByte()
			break
		}
		var head [3]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return q, err
		}
		if _, err := io.CopyN(io.Discard, in, int64(head[1])<<8|int64(head[2])); err != nil {
			return q, err
		}
	}
	q.header = map[string]string{}
	for n := 0; ; n++ {
		line, err := in.ReadSlice('\n')
		if err != nil || n > maxHeaders {
			return q, fmt.Errorf("read request: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
		text := strings.TrimRight(string(line), "\r\n")
		switch key, value, ok := strings.Cut(text, ":"); {
		case text == "" && q.method != "":
			return q, nil
		case text == "":
		case q.method == "":
			q.method, q.url, _ = strings.Cut(text, " ")
			q.url, _, _ = strings.Cut(q.url, " ")
		case ok:
			q.header[strings.ToLower(key)] = strings.TrimSpace(value)
		}
	}
}

// response writes an answer to q; lines are further header lines.
func response(q request, status, body string, lines ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "RTSP/1.0 %s\r\nCSeq: %s\r\n", status, q.header["cseq"])
	for _, l := range lines {
		s.WriteString(l + "\r\n")
	}
	if body != "" {
		fmt.Fprintf(&s, "Content-Length: %d\r\n", len(body))
	}
	return s.String() + "\r\n" + body
}

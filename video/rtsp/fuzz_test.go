package rtsp

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sitewatch/edge"
	"sitewatch/video"
	"sitewatch/video/rtsptest"
)

// nextAnswer stands in a fuzz input between what a camera sends after one request and after the next.
var nextAnswer = []byte("\n<<<>>>\n")

const (
	maxAnswers = 16
	maxInput   = 1 << 18
)

// FuzzSource lets a Source talk to a camera that answers its requests with arbitrary bytes, dialogues of the catalogue at first.
// Whatever it sends, the Source ends soon after the camera has hung up, nothing is left behind and memory stays bounded.
func FuzzSource(f *testing.F) {
	files, err := filepath.Glob(dialogueFile("*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no dialogues: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		d, err := rtsptest.ParseDialogue(string(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Join(d.Answers(16), nextAnswer))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { ln.Close() })
	passwords := filepath.Join(f.TempDir(), "pw")
	if err := os.WriteFile(passwords, []byte("hall und rauch\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), maxInput)]
		ignore, before := goleak.IgnoreCurrent(), allocated()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			conn, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			answerAll(conn.(*net.TCPConn), bytes.SplitN(b, nextAnswer, maxAnswers))
		})
		sink := &careful{t: t}
		err := NewSource(Options{URL: "rtsp://" + ln.Addr().String() + "/main", User: "u", PasswordFile: passwords, Audio: true, Sink: sink, Clock: edge.NewSystemClock()}).Run(ctx)
		if err == nil || ctx.Err() != nil {
			t.Errorf("got %v, want that it ends with the connection", err)
		}
		wg.Wait()
		if err := goleak.Find(ignore); err != nil {
			t.Error(err)
		}
		if grew := allocated() - before; grew > 64<<20+64*uint64(len(b)) {
			t.Errorf("%d bytes of a camera made it allocate %d MB", len(b), grew>>20)
		}
	})
}

// careful is a Sink that holds units against what a Source promises.
type careful struct {
	t     *testing.T
	begun bool
}

func (c *careful) OnUnit(u video.AccessUnit, p video.Params) {
	if !p.Valid() || len(u.Data) > video.MaxUnitBytes || !c.begun && u.Audio == nil && !u.Keyframe {
		c.t.Errorf("got a unit of %d bytes, key %v, parameters %+v", len(u.Data), u.Keyframe, p)
	}
	c.begun = c.begun || u.Audio == nil
}
func (*careful) Lost(context.Context, string)   {}
func (*careful) Restored(context.Context)       {}
func (*careful) Frozen(context.Context, string) {}
func (*careful) Thawed(context.Context)         {}

var cseq = regexp.MustCompile(`CSeq: ?[0-9]*`)

// answerAll answers each request with the next piece and hangs up. A client that waits for something else is not waited for.
func answerAll(conn *net.TCPConn, pieces [][]byte) {
	defer conn.Close()
	conn.SetLinger(0) // thousands a minute would use up the ports
	in := bufio.NewReader(conn)
	for _, b := range pieces {
		conn.SetDeadline(time.Now().Add(20 * time.Millisecond))
		head, err := readHead(in)
		if err == nil {
			b = cseq.ReplaceAll(b, cseq.Find(head))
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
	conn.CloseWrite()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	for {
		if _, err := readHead(in); err != nil {
			return
		}
	}
}

// readHead reads the lines of a request.
func readHead(in *bufio.Reader) (head []byte, err error) {
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		head = append(head, line...)
	}
	return head, nil
}

// allocated is all that the process ever allocated.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

package rtsp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
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
func FuzzSource(f *testing.F) {
	for _, d := range dialogues(f) {
		f.Add(bytes.Join(d.Answers(16), nextAnswer))
	}
	fuzzSource(f, func(b []byte) func(net.Conn) {
		pieces := bytes.SplitN(b[:min(len(b), maxInput)], nextAnswer, maxAnswers)
		return func(conn net.Conn) { answerAll(conn, pieces) }
	})
}

// dialogues are those of the catalogue, in the order of their names.
func dialogues(t testing.TB) (ds []*rtsptest.Dialogue) {
	t.Helper()
	files, err := filepath.Glob(dialogueFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		d, err := rtsptest.ParseDialogue(string(text))
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	return ds
}

// fuzzSource lets a Source talk to cameras over a pipe, in fake time: waiting costs nothing, and a goroutine that is left behind fails
// the input. camera makes of an input what answers each connection; it returns when that has ended. Whatever it sends, the Source ends
// soon after the camera has hung up or has nothing more to say, and memory stays bounded.
func fuzzSource(f *testing.F, camera func([]byte) func(net.Conn)) {
	edgetest.Fuzz(f)
	passwords := filepath.Join(f.TempDir(), "pw")
	if err := os.WriteFile(passwords, []byte("hall und rauch\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		answer, before := camera(b), allocated()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			var wg sync.WaitGroup
			defer wg.Wait()
			s := NewSource(Options{URL: "rtsp://camera/main", User: "u", PasswordFile: passwords, Audio: true, Sink: &careful{t: t}, Clock: edge.NewSystemClock()})
			s.dial = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				wg.Go(func() { answer(theirs); theirs.Close() })
				return piped{ours, net.IPv4(192, 0, 2, 9)}, nil
			}
			s.listen = func(string, string) (net.PacketConn, error) { return nil, errors.New("no UDP in a bubble") }
			if err := s.Run(ctx); err == nil || ctx.Err() != nil {
				t.Errorf("got %v, want that it ends with the connection", err)
			}
		})
		if grew := allocated() - before; grew > 64<<20+64*uint64(len(b)) {
			t.Errorf("%d bytes of a camera made it allocate %d MB", len(b), grew>>20)
		}
	})
}

// piped is a pipe that takes itself for a TCP connection, of one machine to another.
type piped struct {
	net.Conn
	there net.IP
}

func (piped) LocalAddr() net.Addr    { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 40000} }
func (p piped) RemoteAddr() net.Addr { return &net.TCPAddr{IP: p.there, Port: 554} }

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
func answerAll(conn net.Conn, pieces [][]byte) {
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

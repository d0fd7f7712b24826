package uplink

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// scripted is a SOC in a function: it is told each message and may answer.
type scripted struct {
	grpc.ClientStream
	ctx     context.Context
	answer  func(m *wire.UploadRequest) []*wire.UploadReply
	replies chan *wire.UploadReply
}

func (s *scripted) Context() context.Context { return s.ctx }
func (s *scripted) Send(m *wire.UploadRequest) error {
	for _, r := range s.answer(m) {
		s.replies <- r
	}
	return nil
}
func (s *scripted) Recv() (*wire.UploadReply, error) { return nil, io.EOF }

// cuttingFiles are of one clip, which is complete at some time.
type cuttingFiles struct {
	nothing
	mu     sync.Mutex
	ready  []edge.ClipFile
	asked  int
	change chan struct{}
}

func (c *cuttingFiles) UploadsChanged() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.change
}
func (c *cuttingFiles) NextUpload(_ context.Context, not ...edge.ClipID) (f edge.ClipFile, ok bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if len(c.ready) > 0 && len(not) == 0 {
		return c.ready[0], true, nil
	}
	return f, false, nil
}
func (c *cuttingFiles) UploadDone(context.Context, edge.ClipID, edge.FilePart) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = nil
	return nil
}
func (c *cuttingFiles) complete(f edge.ClipFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = []edge.ClipFile{f}
	close(c.change)
	c.change = make(chan struct{})
}

// session runs an upload against a SOC in a function; the clip has 100,000 bytes and grows once a second. It returns what was said.
func session(t *testing.T, answer func(m *wire.UploadRequest, said []*wire.UploadRequest) []*wire.UploadReply) (said []*wire.UploadRequest, files *cuttingFiles, err error) {
	path := filepath.Join(t.TempDir(), "c.mp4")
	if err := os.WriteFile(path, make([]byte, 100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	files = &cuttingFiles{change: make(chan struct{})}
	c := New(Options{Outbox: &ledgerless{t, map[edge.Lane]edge.Seq{}}, Files: files, Cuts: &Cuts{}, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler), Paths: []Path{{Name: "a", SOC: []string{"soc:1"}}}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The replies' channel has room: the real reader is a goroutine of its own.
	s := &scripted{ctx: ctx, replies: make(chan *wire.UploadReply, 1000)}
	s.answer = func(m *wire.UploadRequest) []*wire.UploadReply {
		said = append(said, m)
		return answer(m, said)
	}
	u := &upload{Client: c, path: c.paths[0], line: c.paths[0].line, stream: s, replies: s.replies, refused: map[edge.ClipID]refusal{}, grown: map[edge.ClipID]growth{}}
	done := make(chan error, 1)
	go func() { done <- u.run(ctx) }()
	clip := edge.ClipFile{ID: "c", Part: edge.PartClip, Camera: "door", Seq: 1, Path: path}
	for n := int64(10_000); n < 100_000; n += 10_000 {
		clip.SizeBytes = n
		c.o.Cuts.Grew(clip)
		time.Sleep(time.Second)
		synctest.Wait()
	}
	clip.SizeBytes, clip.SHA256 = 100_000, [32]byte{1}
	files.complete(clip)
	time.Sleep(time.Minute)
	synctest.Wait()
	cancel()
	return said, files, <-done
}

func resume(off int64) []*wire.UploadReply {
	return []*wire.UploadReply{{Message: &wire.UploadReply_Resume{Resume: &wire.Resume{Clip: "c", Part: wire.Part_PART_CLIP, Offset: off}}}}
}

// A SOC of before refuses an offer without digest, for good. It gets the clip when that is complete, and is asked in vain once only.
func TestOldSOCGetsTheCompleteClip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken := int64(0)
		said, files, err := session(t, func(m *wire.UploadRequest, _ []*wire.UploadRequest) []*wire.UploadReply {
			switch v := m.GetMessage().(type) {
			case *wire.UploadRequest_Offer:
				if len(v.Offer.GetSha256()) != 32 {
					return []*wire.UploadReply{{Message: &wire.UploadReply_Refused{Refused: &wire.Refused{Clip: "c", Part: wire.Part_PART_CLIP, Reason: "the digest is not 32 bytes"}}}}
				}
				return resume(0)
			case *wire.UploadRequest_Chunk:
				taken = v.Chunk.GetOffset() + int64(len(v.Chunk.GetData()))
				return []*wire.UploadReply{{Message: &wire.UploadReply_Progress{Progress: &wire.Progress{Offset: taken}}}}
			}
			return []*wire.UploadReply{{Message: &wire.UploadReply_Stored{Stored: &wire.Stored{Clip: "c", Part: wire.Part_PART_CLIP}}}}
		})
		offers := 0
		for _, m := range said {
			if m.GetOffer() != nil {
				offers++
			}
		}
		if err != nil || offers != 2 || taken != 100_000 || len(files.ready) > 0 {
			t.Errorf("%d offers, %d bytes taken, %d files wait, %v; want 2, all and none", offers, taken, len(files.ready), err)
		}
		if files.asked > 60 {
			t.Errorf("what waits was asked for %d times: that is a busy wait", files.asked)
		}
	})
}

// Chunks of a complete clip follow its offer at once when the SOC has taken the rest on this stream.
func TestCompleteClipDoesNotWaitForResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, begun := int64(0), false
		said, files, err := session(t, func(m *wire.UploadRequest, _ []*wire.UploadRequest) []*wire.UploadReply {
			switch v := m.GetMessage().(type) {
			case *wire.UploadRequest_Offer:
				if begun && !v.Offer.GetGrowing() {
					return nil // its answer is long on its way
				}
				begun = true
				return resume(at)
			case *wire.UploadRequest_Chunk:
				at += int64(len(v.Chunk.GetData()))
				return []*wire.UploadReply{{Message: &wire.UploadReply_Progress{Progress: &wire.Progress{Offset: at}}}}
			}
			return append(resume(90_000), &wire.UploadReply{Message: &wire.UploadReply_Stored{Stored: &wire.Stored{Clip: "c", Part: wire.Part_PART_CLIP}}})
		})
		if err != nil || at != 100_000 || len(files.ready) > 0 {
			t.Errorf("%d bytes taken, %d files wait, %v", at, len(files.ready), err)
		}
		offers := 0
		for _, m := range said {
			if m.GetOffer() != nil {
				offers++
			}
		}
		if offers != 2 {
			t.Errorf("%d offers, want one while it grows and one when it is complete", offers)
		}
	})
}

// A SOC that goes on elsewhere than where it was left has not what it has been sent: the session ends.
func TestSOCThatLosesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, err := session(t, func(m *wire.UploadRequest, said []*wire.UploadRequest) []*wire.UploadReply {
			if m.GetOffer() != nil {
				return resume(0)
			}
			if c := m.GetChunk(); c != nil {
				return []*wire.UploadReply{{Message: &wire.UploadReply_Progress{Progress: &wire.Progress{Offset: c.GetOffset() + int64(len(c.GetData()))}}}}
			}
			return nil
		})
		if err != errElsewhere {
			t.Errorf("got %v, want %v", err, errElsewhere)
		}
	})
}

package soc

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// fuzzLedger is a ledger that runs as long as the target, with the context that ends then.
func fuzzLedger(f *testing.F) (context.Context, *ledger.SQLite) {
	f.Helper()
	led, err := ledger.Open(context.Background(), ledger.Options{Path: filepath.Join(edgetest.FastDir(f), "ledger.db")})
	if err != nil {
		f.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { led.Run(ctx) })
	f.Cleanup(func() { stop(); wg.Wait(); led.Close() })
	return ctx, led
}

// FuzzIngest is a box that says anything at all once it is connected. Whatever it is: no panic, no answer of ours that
// blames the ledger, nothing stored for another site, and what was acked is there.
func FuzzIngest(f *testing.F) {
	f.Add([]byte(`{"v":1,"site":"1","journal":"abababababababababababababababab","seq":1,"lane":"urgent","kind":"fire","occurred_at":"2026-01-01T00:00:00Z","recorded":{}}`), uint64(1), int32(1), []byte{}, int64(5))
	f.Add([]byte(`{"v":1,"site":"2","journal":"abababababababababababababababab","seq":1,"lane":"urgent","kind":"fire"}`), uint64(1), int32(1), []byte{}, int64(0))
	f.Add([]byte(`{"v":1,"site":"1","journal":"abababababababababababababababab","seq":9,"lane":"routine","kind":"events-lost","gap":{"from":1,"to":18446744073709551615},"amends":18446744073709551615,"clip":{"id":"../x"}}`), uint64(9), int32(2), make([]byte, 32), int64(-1))
	f.Add([]byte(`{"v":1,"site":"1","journal":"abababababababababababababababab","seq":3,"lane":"routine","kind":"clip-ready","clip":{"id":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd","sha256":"zz","from":"9999-12-31T23:59:59Z"},"clips":[{"id":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}]}`), uint64(3), int32(2), make([]byte, 32), int64(1<<62))
	f.Add([]byte(`{"v":1,"site":"1","journal":"abababababababababababababababab","seq":4,"lane":"routine","kind":"amended","amends":3,"text":"\u0000"}`), uint64(4), int32(2), make([]byte, 32), int64(0))
	f.Add([]byte("rubbish"), uint64(1<<63), int32(77), []byte{1}, int64(0))
	f.Add([]byte{}, uint64(0), int32(0), []byte{}, int64(0))

	edgetest.Fuzz(f)
	ctx, led := fuzzLedger(f)
	ca, err := OpenCA(f.TempDir(), edge.NewSystemClock())
	if err != nil {
		f.Fatal(err)
	}
	s := &Server{ca: ca, o: Options{Ledger: led, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler), Heartbeat: time.Second}, hub: newHub(), metrics: newMetrics(), repeats: repeats{clock: edge.NewSystemClock()}}
	const journal = "abababababababababababababababab"
	f.Fuzz(func(t *testing.T, body []byte, seq uint64, lane int32, prev []byte, mono int64) {
		x := &session{Server: s, site: "1", out: make(chan *wire.SocMessage, 64), sent: map[edge.CommandID]bool{}}
		if err := x.hello(ctx, &wire.Hello{Protocol: 1, Site: "1", Journal: journal, Boot: "b", MonoNs: mono, Name: string(body)}); err != nil {
			t.Fatal(err)
		}
		defer s.hub.part(x.link)
		<-x.out // Welcome
		m := &wire.BoxMessage{Message: &wire.BoxMessage_Events{Events: &wire.Events{Lane: wire.Lane(lane), MonoNs: mono,
			Records: []*wire.Record{{Seq: seq, Body: body, Prev: prev}}}}}
		for range 2 {
			err := x.message(ctx, m)
			if c := status.Code(err); err != nil && c != codes.InvalidArgument && c != codes.PermissionDenied {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				break
			}
			if a := (<-x.out).GetAck(); a.GetThrough() != seq {
				t.Fatalf("acked %d, want %d", a.GetThrough(), seq)
			}
		}
		if others, err := led.Events(ctx, ledger.Query{Site: "2", Max: 1}); err != nil || len(others) > 0 {
			t.Fatalf("%d events of another site, %v", len(others), err)
		}
		if _, err := led.Sites(ctx); err != nil {
			t.Fatal(err)
		}
		list, _, err := led.Gaps(ctx, "1", 0, 1<<30)
		if err != nil || len(list) != 1 {
			t.Fatalf("completeness of %d journals, %v", len(list), err)
		}
		sum := list[0].Present
		for _, g := range list[0].Missing {
			sum += uint64(g.To-g.From) + 1
		}
		if sum != uint64(list[0].Last) {
			t.Fatalf("%d seqs are present or missing, the last is %d", sum, list[0].Last)
		}
		// And as bytes of a message of any kind.
		var any wire.BoxMessage
		if proto.Unmarshal(body, &any) == nil {
			if err := x.message(ctx, &any); status.Code(err) == codes.Unavailable {
				t.Fatalf("got %v", err)
			}
		}
	})
}

// said is an Upload stream of which a test has all that the box says.
type said struct {
	grpc.ServerStream
	out []*wire.UploadReply
}

func (s *said) Context() context.Context           { return context.Background() }
func (s *said) SetHeader(metadata.MD) error        { return nil }
func (s *said) Send(r *wire.UploadReply) error     { s.out = append(s.out, r); return nil }
func (s *said) Recv() (*wire.UploadRequest, error) { return nil, context.Canceled }

// FuzzUpload is a box that says anything at all about its files: no panic, no answer that blames the SOC's disk, nothing outside of
// its folder, nothing stored that has not the digest that was offered, and the site's share is what its files have.
func FuzzUpload(f *testing.F) {
	id, other := strings.Repeat("ab", 16), strings.Repeat("cd", 16)
	data := []byte("fragment")
	sum := sha256.Sum256(data)
	add := func(ms ...*wire.UploadRequest) {
		var b []byte
		for _, m := range ms {
			p, err := proto.Marshal(m)
			if err != nil || len(p) > 255 {
				f.Fatal(len(p), err)
			}
			b = append(append(b, byte(len(p))), p...)
		}
		f.Add(b)
	}
	offer := func(id string, size int64, sha []byte, growing, anew bool) *wire.UploadRequest {
		return &wire.UploadRequest{Message: &wire.UploadRequest_Offer{Offer: &wire.Offer{Clip: id, Part: 2, Camera: "door", Journal: id, Seq: 1, Size: size, Sha256: sha, Growing: growing, Anew: anew}}}
	}
	chunk := func(off int64, b []byte) *wire.UploadRequest {
		return &wire.UploadRequest{Message: &wire.UploadRequest_Chunk{Chunk: &wire.Chunk{Offset: off, Data: b}}}
	}
	finish := &wire.UploadRequest{Message: &wire.UploadRequest_Finish{Finish: &wire.Finish{}}}
	add(offer(id, 0, nil, true, false), chunk(0, data[:4]), offer(other, 3, nil, true, false), chunk(0, data), offer(id, 8, sum[:], false, false), chunk(4, data[4:]), finish)
	add(offer(id, 0, nil, true, false), chunk(0, data), offer(id, 3, sum[:], false, false), finish, offer(id, 8, sum[:], false, true), chunk(0, data), finish)
	add(offer(id, 8, sum[:], false, false), chunk(0, data), finish, offer(id, 8, nil, true, true))
	add(offer(id, 0, nil, true, true), finish)
	edgetest.Fuzz(f)
	ctx, led := fuzzLedger(f)
	clock, metrics := edge.NewSystemClock(), newMetrics()
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := edgetest.FastDir(t)
		st, err := openStore(filepath.Join(dir, "clips"), 1)
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{o: Options{Ledger: led, Clips: st.dir, Clock: clock, Log: slog.New(slog.DiscardHandler)}, store: st, metrics: metrics, repeats: repeats{clock: clock}}
		stream := &said{}
		u := &receiving{Server: s, stream: stream, site: "1"}
		for len(b) > 1 && int(b[0]) < len(b) {
			var m wire.UploadRequest
			n := 1 + int(b[0])
			if proto.Unmarshal(b[1:n], &m) == nil {
				if err := u.take(ctx, &m); status.Code(err) == codes.Unavailable || status.Code(err) == codes.Unknown {
					t.Fatal(err)
				} else if err != nil {
					break
				}
			}
			b = b[n:]
		}
		u.drop()
		if len(st.open) > 0 {
			t.Errorf("%d files stay open", len(st.open))
		}
		var grown int64
		files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if filepath.Dir(name) != filepath.Join(st.dir, "1") {
				t.Errorf("%s is not where it belongs", name)
			}
			fi, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, partExt) || strings.HasSuffix(name, growExt) || strings.HasSuffix(name, oldExt) {
				grown += fi.Size()
			}
		}
		if st.kept["1"] != grown {
			t.Errorf("the site has %d bytes, its files %d", st.kept["1"], grown)
		}
	})
}

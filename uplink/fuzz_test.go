package uplink

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// ledgerless is an outbox of ten events that checks what is asked of it.
type ledgerless struct {
	t     *testing.T
	marks map[edge.Lane]edge.Seq
}

func (o *ledgerless) ID() edge.JournalID { return "abababababababababababababababab" }
func (o *ledgerless) Last() edge.Seq     { return 10 }
func (o *ledgerless) Watermark(_ context.Context, l edge.Lane) (edge.Seq, error) {
	return o.marks[l], nil
}
func (o *ledgerless) Read(context.Context, edge.Lane, edge.Seq, int) ([]edge.Record, error) {
	return nil, nil
}
func (o *ledgerless) Hash(context.Context, edge.Seq) (hash [32]byte, ok bool, err error) {
	return hash, false, nil
}
func (o *ledgerless) Changed(edge.Lane) <-chan struct{} { return nil }
func (o *ledgerless) Acked(_ context.Context, l edge.Lane, to edge.Seq) error {
	if l != edge.Urgent && l != edge.Routine || to > 10 || to <= o.marks[l] {
		o.t.Errorf("Acked(%s, %d) with the watermark at %d", l, to, o.marks[l])
	}
	o.marks[l] = to
	return nil
}
func (o *ledgerless) Rewind(_ context.Context, l edge.Lane, to edge.Seq) error {
	if l != edge.Urgent && l != edge.Routine || to >= o.marks[l] {
		o.t.Errorf("Rewind(%s, %d) with the watermark at %d", l, to, o.marks[l])
	}
	o.marks[l] = to
	return nil
}

// FuzzSoc is a SOC that says anything at all: as Welcome, and then as any message. No panic, no cursor beyond what has
// been sent, and nothing that grows.
func FuzzSoc(f *testing.F) {
	add := func(w *wire.Welcome, m *wire.SocMessage) {
		a, err := proto.Marshal(w)
		if err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a, b)
	}
	ack := func(l wire.Lane, n uint64) *wire.SocMessage {
		return &wire.SocMessage{Message: &wire.SocMessage_Ack{Ack: &wire.Ack{Lane: l, Through: n}}}
	}
	marks := func(l wire.Lane, n uint64) *wire.Welcome {
		return &wire.Welcome{Protocol: 1, Watermarks: []*wire.Watermark{{Lane: l, Through: n}, {Lane: l, Through: n / 2}}}
	}
	add(marks(wire.Lane_LANE_URGENT, 3), ack(wire.Lane_LANE_URGENT, 8))
	add(marks(wire.Lane_LANE_URGENT, 7), ack(wire.Lane_LANE_URGENT, 7))
	add(marks(wire.Lane_LANE_ROUTINE, 1<<64-1), ack(wire.Lane_LANE_ROUTINE, 1<<64-1))
	add(marks(wire.Lane_LANE_BULK, 4), ack(wire.Lane_LANE_BULK, 4))
	add(marks(99, 4), ack(99, 4))
	add(&wire.Welcome{}, &wire.SocMessage{})
	add(&wire.Welcome{}, &wire.SocMessage{Message: &wire.SocMessage_Command{Command: &wire.Command{Id: "x", Kind: "clip", ExpiresUnixMs: -1 << 63}}})
	add(&wire.Welcome{}, &wire.SocMessage{Message: &wire.SocMessage_Command{Command: &wire.Command{}}})
	f.Fuzz(func(t *testing.T, welcome, message []byte) {
		var w wire.Welcome
		var m wire.SocMessage
		if proto.Unmarshal(welcome, &w) != nil || proto.Unmarshal(message, &m) != nil {
			return
		}
		o := &ledgerless{t, map[edge.Lane]edge.Seq{edge.Urgent: 5}}
		c := New(Options{Outbox: o, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler),
			Paths: []Path{{Name: "a", SOC: []string{"soc:1"}}, {Name: "b", SOC: []string{"soc:2"}}}})
		if err := c.lanes.load(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		kept := make(chan error, 1)
		go func() { kept <- c.runKeep(ctx) }()
		// The second path's session greets while the first one's is up: what it hears may end the first.
		var links []*link
		for _, p := range c.paths {
			l := &link{Client: c, path: p, line: p.line, cancel: func(error) {}, moved: make(chan struct{}, 1), beat: time.Second}
			epoch, before := c.lanes.mark()
			l.epoch = epoch
			if err := l.settle(ctx, before, w.GetWatermarks()); err != nil {
				t.Fatal(err)
			}
			if err := c.lanes.join(l, 0); err != nil {
				t.Fatal(err)
			}
			links = append(links, l)
		}
		most := map[edge.Lane]edge.Seq{}
		for i, l := range links {
			for _, lane := range edge.EventLanes {
				at, _, _ := c.lanes.after(l, lane)
				if to := at + 1 + edge.Seq(i); to <= 10 {
					c.lanes.fly(l, lane, flight{through: to, bytes: 10})
					at = to
				}
				most[lane] = max(most[lane], at)
			}
		}
		for range 300 { // again and again: repeats change nothing
			for _, l := range links {
				l.take(&m)
			}
		}
		cancel()
		if err := <-kept; err != nil {
			t.Fatal(err)
		}
		for _, lane := range edge.EventLanes {
			for _, l := range links {
				if cur := l.cursors[lane]; cur.acked > cur.sent || cur.sent > 10 {
					t.Errorf("lane %s: acked %d, sent %d", lane, cur.acked, cur.sent)
				}
			}
			if acked := c.lanes.acked[lane]; acked > most[lane] || o.marks[lane] > acked {
				t.Errorf("lane %s: acked %d of %d that were sent, kept %d", lane, acked, most[lane], o.marks[lane])
			}
		}
		if n := len(c.commands); n > 1 {
			t.Errorf("one command is to be done %d times", n)
		}
	})
}

// FuzzUploadReply is a SOC that answers an offer with anything at all.
func FuzzUploadReply(f *testing.F) {
	for _, m := range []*wire.UploadReply{
		{}, {Message: &wire.UploadReply_Resume{Resume: &wire.Resume{Clip: "c", Part: 2, Offset: 50}}},
		{Message: &wire.UploadReply_Resume{Resume: &wire.Resume{Clip: "c", Part: 2, Offset: -1}}},
		{Message: &wire.UploadReply_Resume{Resume: &wire.Resume{Clip: "c", Part: 2, Offset: 1 << 62}}},
		{Message: &wire.UploadReply_Progress{Progress: &wire.Progress{Offset: 1 << 62}}},
		{Message: &wire.UploadReply_Stored{Stored: &wire.Stored{Clip: "d", Part: 2}}},
		{Message: &wire.UploadReply_Resume{Resume: &wire.Resume{Clip: "d", Part: 2, Offset: 20, Sha256: []byte("x")}}},
		{Message: &wire.UploadReply_Progress{Progress: &wire.Progress{Offset: 40}}},
		{Message: &wire.UploadReply_Refused{Refused: &wire.Refused{Clip: "d", Part: 2, Again: true}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	file := edge.ClipFile{ID: "c", Part: edge.PartClip, SizeBytes: 100, SHA256: [32]byte{1}}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m wire.UploadReply
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		c := New(Options{Files: nothing{}, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler)})
		u := &upload{Client: c, line: newLine(c.o.Clock, func() int64 { return 0 }), refused: map[edge.ClipID]refusal{}, grown: map[edge.ClipID]growth{},
			turns: []*turn{{file: edge.ClipFile{ID: "d", Part: edge.PartClip, SizeBytes: 50}, resumed: true, sent: 50, taken: 20}, {file: file, sent: -1, taken: -1}}}
		for range 3 {
			if _, err := u.reply(t.Context(), &m); err != nil {
				t.Fatal(err)
			}
		}
		for _, o := range u.turns {
			if o.sent > o.file.SizeBytes || o.taken > o.sent || o.sent < -1 || o.taken < -1 {
				t.Errorf("sent %d, taken %d of %d", o.sent, o.taken, o.file.SizeBytes)
			}
		}
		if len(u.turns) > 2 || len(u.grown) > 2 || len(u.refused) > 2 {
			t.Errorf("%d turns, %d clips that grew, %d refused", len(u.turns), len(u.grown), len(u.refused))
		}
	})
}

type nothing struct{}

func (nothing) NextUpload(context.Context, ...edge.ClipID) (f edge.ClipFile, ok bool, err error) {
	return f, false, nil
}
func (nothing) UploadDone(context.Context, edge.ClipID, edge.FilePart) error { return nil }
func (nothing) UploadsChanged() <-chan struct{}                              { return nil }
func (nothing) UploadRefused(context.Context, edge.ClipID, edge.FilePart, string) error {
	return nil
}

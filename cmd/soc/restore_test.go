package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sitewatch/edge"
	"sitewatch/edge/journal"
	"sitewatch/uplink"
	"sitewatch/uplink/soc"
	"sitewatch/uplink/soc/api"
	"sitewatch/uplink/soc/ledger"
)

// station is a whole receiver on loopback that can be stopped, given another ledger, and started again.
type station struct {
	t    *testing.T
	data string
	addr string
	led  *ledger.SQLite
	api  *api.API
	stop func()
}

func (s *station) start() {
	s.t.Helper()
	log, clock := slog.New(slog.DiscardHandler), edge.NewSystemClock()
	var err error
	if s.led, err = ledger.Open(s.t.Context(), ledger.Options{Path: s.ledger(), Log: log}); err != nil {
		s.t.Fatal(err)
	}
	srv, err := soc.New(soc.Options{Data: s.data, Clips: filepath.Join(s.data, "clips"), Ledger: s.led, Clock: clock, Log: log,
		Registry: prometheus.NewRegistry(), Heartbeat: time.Second, MinFreeBytes: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	s.api = api.New(api.Options{Ledger: s.led, Presence: srv, Clock: clock, Log: log, Gatherer: prometheus.NewRegistry()})
	ln, err := net.Listen("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	lctx, lcancel := context.WithCancel(context.Background())
	var receiver, writer sync.WaitGroup
	writer.Go(func() { s.led.Run(lctx) })
	receiver.Go(func() {
		if err := srv.Run(ctx, ln); err != nil {
			s.t.Errorf("receiver: %v", err)
		}
	})
	receiver.Go(func() {
		if err := srv.RunPresence(ctx); err != nil {
			s.t.Errorf("presence: %v", err)
		}
	})
	led := s.led
	s.stop = sync.OnceFunc(func() {
		cancel()
		receiver.Wait()
		lcancel()
		writer.Wait()
		led.Close()
	})
}

func (s *station) ledger() string { return filepath.Join(s.data, "ledger.db") }

// backup copies the ledger's file; the receiver is stopped.
func (s *station) backup(from, to string) {
	s.t.Helper()
	b, err := os.ReadFile(from)
	if err = errors.Join(err, os.RemoveAll(to+"-wal"), os.RemoveAll(to+"-shm"), os.WriteFile(to, b, 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

type gapsAnswer struct {
	Items []struct {
		Journal  edge.JournalID
		First    uint64
		Last     uint64
		Present  uint64
		Complete bool
		Missing  []struct {
			From, To uint64
			Reason   string
		}
	}
	Next uint64
}

func (s *station) gaps(site string) (a gapsAnswer) {
	s.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "http://127.0.0.1/api/v1/sites/"+site+"/gaps", nil)
	s.api.Handler().ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || w.Code != 200 {
		s.t.Fatalf("gaps: %d %s (%v)", w.Code, w.Body, err)
	}
	return a
}

// TestSOCRestoredFromAnOldBackup has a real box on a real line: what the box still has comes again, and what it has not is
// listed with the box's reason.
func TestSOCRestoredFromAnOldBackup(t *testing.T) {
	for name, limit := range map[string]int64{"the box has everything": 64 << 20, "the box has pruned": 512 << 10} {
		t.Run(name, func(t *testing.T) {
			s := &station{t: t, data: t.TempDir(), addr: "127.0.0.1:0"}
			s.start()
			defer func() { s.stop() }()
			clock := edge.NewSystemClock()
			tok, err := soc.Claim(s.data, "0417", clock)
			if err != nil {
				t.Fatal(err)
			}
			id, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: t.TempDir(), SOC: s.addr, Token: tok.String(), Site: "0417", Clock: clock})
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			j, err := journal.Open(t.Context(), journal.Options{Dir: t.TempDir(), Site: "0417", Clock: clock, Log: log, LimitBytes: limit})
			if err != nil {
				t.Fatal(err)
			}
			client := uplink.New(uplink.Options{Outbox: j, Files: j, Identity: id, Paths: []uplink.Path{{SOC: []string{s.addr}}}, Clock: clock, Log: log,
				Kind: "shop", MaxBackoff: 200 * time.Millisecond, PathLostAfter: time.Hour})
			ctx, cancel := context.WithCancel(context.Background())
			var wg sync.WaitGroup
			wg.Go(func() { j.Run(ctx) })
			wg.Go(func() {
				if err := client.Run(ctx); err != nil {
					t.Errorf("client: %v", err)
				}
			})
			defer func() { cancel(); wg.Wait(); j.Close() }()

			happen := func(n int) {
				t.Helper()
				for i := range n {
					kind := edge.KindSet
					if i%3 == 0 {
						kind = edge.KindTamper
					}
					if _, err := j.Append(t.Context(), edge.Event{Kind: kind, Text: strings.Repeat("x", 600)}); err != nil {
						t.Fatal(err)
					}
				}
			}
			acked := func() bool {
				u, err := j.Watermark(t.Context(), edge.Urgent)
				r, rerr := j.Watermark(t.Context(), edge.Routine)
				if err = errors.Join(err, rerr); err != nil {
					t.Fatal(err)
				}
				w, err := j.Read(t.Context(), edge.Urgent, u, 1)
				v, verr := j.Read(t.Context(), edge.Routine, r, 1)
				if err = errors.Join(err, verr); err != nil {
					t.Fatal(err)
				}
				return len(w)+len(v) == 0
			}
			happen(100)
			eventually(t, "the first events are acked", acked)
			s.stop()
			old := filepath.Join(t.TempDir(), "old.db")
			s.backup(s.ledger(), old)
			s.start()
			for range 10 { // as the box's journal prunes only what has been acked
				happen(100)
				eventually(t, "the other events are acked", acked)
			}
			if a := s.gaps("0417"); len(a.Items) != 1 || !a.Items[0].Complete || a.Items[0].Present != uint64(j.Last()) {
				t.Fatalf("before the loss: %+v", a)
			}
			had := j.Last()
			s.stop()
			s.backup(old, s.ledger())
			s.start()
			eventually(t, "everything has come again", func() bool {
				a := s.gaps("0417")
				if len(a.Items) != 1 || a.Items[0].Last < uint64(had) || !acked() {
					return false
				}
				for _, m := range a.Items[0].Missing {
					if m.Reason != "pruned after an earlier ack" {
						return false
					}
				}
				return true
			})
			a := s.gaps("0417")
			missing := uint64(0)
			for _, m := range a.Items[0].Missing {
				missing += m.To - m.From + 1
			}
			pruned := limit < 1<<20
			if got := a.Items[0]; a.Next != 0 || got.First != 1 || got.Present+missing != got.Last || got.Complete == pruned || (missing > 0) != pruned {
				t.Errorf("after the restore: %+v", a)
			}
			// Every record that the box has is there, byte for byte.
			here := map[edge.Seq]bool{}
			evs, err := s.led.Events(t.Context(), ledger.Query{Site: "0417", Max: 100_000})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range evs {
				if e.Event.Journal == j.ID() {
					here[e.Event.Seq] = true
				}
				if e.Event.Journal == ledger.JournalSOC && e.Event.Kind.Base() != edge.KindSiteLost && e.Event.Kind.Base() != edge.KindPathLost {
					t.Errorf("the SOC says %+v", e.Event)
				}
			}
			for _, lane := range edge.EventLanes {
				for after := edge.Seq(0); ; {
					recs, err := j.Read(t.Context(), lane, after, 1000)
					if err != nil {
						t.Fatal(err)
					}
					if len(recs) == 0 {
						break
					}
					for _, r := range recs {
						if !here[r.Seq] {
							t.Errorf("event %d is on the box and not at the SOC", r.Seq)
						}
						after = r.Seq
					}
				}
			}
		})
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	const hang = 3 * time.Minute
	deadline := time.After(hang)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", hang, what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

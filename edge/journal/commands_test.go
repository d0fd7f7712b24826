package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
)

func (b *box) begin(id edge.CommandID) (bool, edge.CommandFact) {
	b.t.Helper()
	fresh, prior, err := b.CommandBegin(b.t.Context(), edge.Command{ID: id, Kind: "clip", Signer: "desk 3", Expires: b.clock.Now().Wall.Add(time.Minute)})
	if err != nil {
		b.t.Fatalf("CommandBegin(%s): %v", id, err)
	}
	return fresh, prior
}

// outcomes are the command-done events, in order.
func (b *box) outcomes() []edge.Event {
	b.t.Helper()
	return slices.DeleteFunc(b.lane(edge.Routine, 0), func(ev edge.Event) bool { return ev.Kind != edge.KindCommandDone })
}

func TestFirstOutcomeOfACommandStands(t *testing.T) {
	dir := t.TempDir()
	b := open(t, testOptions(dir))
	if fresh, prior := b.begin("c1"); !fresh || prior.State != "" {
		t.Errorf("first: fresh %v, prior %+v", fresh, prior)
	}
	if fresh, prior := b.begin("c1"); fresh || prior.State != edge.CommandSent {
		t.Errorf("while it is done: fresh %v, prior %+v; want known and without an outcome", fresh, prior)
	}
	first := edge.CommandFact{ID: "c1", State: edge.CommandDone, Outcome: "1 clip is being cut."}
	must(t, b.CommandEnd(t.Context(), first))
	must(t, b.CommandEnd(t.Context(), edge.CommandFact{ID: "c1", State: edge.CommandFailed, Outcome: "no"}))
	for range 2 {
		if fresh, prior := b.begin("c1"); fresh || prior != first {
			t.Errorf("repeated: fresh %v, prior %+v; want %+v", fresh, prior, first)
		}
		evs := b.outcomes()
		if len(evs) != 1 || evs[0].Command == nil || *evs[0].Command != first ||
			evs[0].Why != `Command "clip" from desk 3 was done: 1 clip is being cut.` {
			t.Fatalf("events = %+v, want one with the first outcome", evs)
		}
		b.stop()
		b = open(t, testOptions(dir))
	}
	b.verify()
}

func TestCommandCutShortIsUnknownOnce(t *testing.T) {
	dir := t.TempDir()
	b := open(t, testOptions(dir))
	b.begin("c1")
	b.begin("c2")
	must(t, b.CommandEnd(t.Context(), edge.CommandFact{ID: "c2", State: edge.CommandExpired}))
	for range 3 {
		b.stop()
		b = open(t, testOptions(dir))
		var got []string
		for _, ev := range b.outcomes() {
			got = append(got, fmt.Sprintf("%s %s", ev.Command.ID, ev.Command.State))
		}
		if want := []string{"c2 expired", "c1 unknown"}; !slices.Equal(got, want) {
			t.Fatalf("outcomes = %v, want %v", got, want)
		}
	}
	if fresh, prior := b.begin("c1"); fresh || prior.State != edge.CommandUnknown {
		t.Errorf("repeated: fresh %v, prior %+v; want unknown and no second try", fresh, prior)
	}
}

func TestClipOnRequestIsWantedWithItsOutcome(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	b.begin("c1")
	from := b.clock.Now().Wall.Add(-2 * time.Minute)
	ref := edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: "aisle", From: from, To: from.Add(time.Minute)}
	must(t, b.CommandEndClips(t.Context(), edge.CommandFact{ID: "c1", State: edge.CommandDone}, []edge.ClipRef{ref}))
	evs := b.outcomes()
	if len(evs) != 1 || len(evs[0].Clips) != 1 || evs[0].Clips[0] != ref || len(evs[0].Cameras) != 1 {
		t.Fatalf("events = %+v, want one that asks for the clip", evs)
	}
	jobs, err := b.WantedClips(t.Context())
	must(t, err)
	if len(jobs) != 1 || jobs[0].ClipRef != ref || jobs[0].Seq != evs[0].Seq || jobs[0].Kind != edge.KindCommandDone {
		t.Errorf("wanted = %+v, want the clip of event %d", jobs, evs[0].Seq)
	}
	// A second outcome asks for nothing.
	must(t, b.CommandEndClips(t.Context(), edge.CommandFact{ID: "c1", State: edge.CommandDone}, []edge.ClipRef{{ID: "x", Camera: "door"}}))
	if jobs, _ := b.WantedClips(t.Context()); len(jobs) != 1 {
		t.Errorf("%d clips are wanted, want 1", len(jobs))
	}
}

func TestBadCommandsAreRefused(t *testing.T) {
	b := open(t, testOptions(t.TempDir()))
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"no id": {func() error { _, _, err := b.CommandBegin(t.Context(), edge.Command{}); return err }, ErrCommandID},
		"a long id": {func() error {
			_, _, err := b.CommandBegin(t.Context(), edge.Command{ID: edge.CommandID(strings.Repeat("i", 65))})
			return err
		}, ErrCommandID},
		"an end without a begin": {func() error {
			return b.CommandEnd(t.Context(), edge.CommandFact{ID: "c9", State: edge.CommandDone})
		}, ErrNoCommand},
		"an end that is none": {func() error {
			return b.CommandEnd(t.Context(), edge.CommandFact{ID: "c9", State: edge.CommandSent})
		}, errBadOutcome},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for i := range commandsBegun {
		b.begin(edge.CommandID(fmt.Sprint(i)))
	}
	if _, _, err := b.CommandBegin(t.Context(), edge.Command{ID: "more"}); !errors.Is(err, ErrManyBegun) {
		t.Errorf("one too many: %v, want ErrManyBegun", err)
	}
	if n := b.Last(); n != 0 {
		t.Errorf("%d events, want none", n)
	}
}

func TestCommandsAreForgottenLateAndNeverAnOpenOne(t *testing.T) {
	ctx := t.Context()
	opt := testOptions(t.TempDir())
	j, err := Open(ctx, opt) // without Run: the test is the writer
	must(t, err)
	defer j.Close()
	now := opt.Clock.Now().Wall
	add := func(id string, state string, ended, expires time.Duration, seq any) {
		t.Helper()
		_, err := j.store.exec(ctx, `insert into commands (id, kind, signer, expires_ns, begun_ns, state, ended_ns, seq)
			values (?, 'status', '', ?, 0, ?, ?, ?)`, id, now.Add(expires).UnixNano(), state, now.Add(ended).UnixNano(), seq)
		must(t, err)
	}
	const month = commandsKeptFor
	add("old", "done", -month-1, -month, 1)
	add("old, its time is not over", "done", -month-1, time.Hour, 2)
	add("young", "done", -month+time.Hour, -month, 3)
	add("open", "begun", -2*month, -2*month, nil)
	left := func() (out []string) {
		t.Helper()
		must(t, j.alone(ctx, func(ctx context.Context, t *tx) error { return t.forgetCommands(ctx) }))
		rows, err := j.store.query(ctx, `select id from commands order by id`)
		must(t, err)
		defer rows.Close()
		for rows.Next() {
			var id string
			must(t, rows.Scan(&id))
			out = append(out, id)
		}
		return out
	}
	if got, want := left(), []string{"old, its time is not over", "open", "young"}; !slices.Equal(got, want) {
		t.Errorf("left = %q, want %q", got, want)
	}
	for i := range commandsKept {
		add(fmt.Sprintf("n%04d", i), "done", 0, time.Hour, 10+i)
	}
	if got := left(); len(got) != commandsKept+1 || got[len(got)-1] != "open" {
		t.Errorf("%d are left, the last is %q; want %d and the open one", len(got), got[len(got)-1], commandsKept)
	}
}

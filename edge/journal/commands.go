package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"sitewatch/edge"
)

// What callers of the commands branch on.
var (
	ErrNoCommand  = errors.New("journal: no such command")
	ErrCommandID  = errors.New("journal: a command needs an id of 1 to 64 bytes")
	ErrManyBegun  = errors.New("journal: too many commands have begun and not ended")
	errBadOutcome = errors.New("journal: a command ends as done, failed, expired or unknown")
)

// commandOutcome says of each state in which a command can end what an operator reads.
var commandOutcome = map[edge.CommandState]string{
	edge.CommandDone:    "was done",
	edge.CommandFailed:  "failed",
	edge.CommandExpired: "had expired and was not done",
	edge.CommandUnknown: "was cut short by a restart; whether it was done is not known, and it is not tried again",
}

// Bounds of the table. One that has not ended is never forgotten, so their number is bounded when they begin.
const (
	commandsBegun   = 64
	commandsKept    = 1000                // that have ended
	commandsKeptFor = 30 * 24 * time.Hour // after their end, and at least until they expire
)

// commandBegun is the state of a row without an outcome.
const commandBegun = "begun"

// CommandBegin notes on disk that c is going to be done. fresh: do it, then say CommandEnd. Otherwise the command is known:
// prior is its first outcome, or has the state CommandSent when it is still being done. Whether c has expired is the
// caller's to find out.
func (j *Journal) CommandBegin(ctx context.Context, c edge.Command) (fresh bool, prior edge.CommandFact, err error) {
	if c.ID == "" || len(c.ID) > 64 {
		return false, edge.CommandFact{}, ErrCommandID
	}
	var now bool // set by the writer, read after its answer
	var was edge.CommandFact
	err = j.do(ctx, func(ctx context.Context, t *tx) error {
		row, err := t.command(ctx, c.ID)
		if err == nil {
			now, was = false, row.fact
			return nil
		}
		if !errors.Is(err, ErrNoCommand) {
			return err
		}
		var begun int
		if err := t.row(ctx, `select count(*) from commands where state = 'begun'`, nil, &begun); err != nil {
			return err
		}
		if begun >= commandsBegun {
			return refusal{ErrManyBegun}
		}
		now, was = true, edge.CommandFact{}
		_, err = t.exec(ctx, `insert into commands (id, kind, signer, expires_ns, begun_ns, state) values (?, ?, ?, ?, ?, 'begun')`,
			string(c.ID), bounded(c.Kind), bounded(c.Signer), nanos(c.Expires), t.j.opt.Clock.Now().Wall.UnixNano())
		return err
	})
	if err != nil {
		return false, edge.CommandFact{}, fmt.Errorf("begin command %s: %w", c.ID, err)
	}
	return now, was, nil
}

// CommandEnd keeps the outcome of a command and journals it as a command-done event, in one transaction. For a command that
// has an outcome already it does nothing: the first one stands.
func (j *Journal) CommandEnd(ctx context.Context, f edge.CommandFact) error {
	return j.CommandEndClips(ctx, f, nil)
}

// CommandEndClips is CommandEnd for a command that asked for clips: the command-done event asks for them, and their rows are
// on disk with it, so that the cutter does the rest as for an alarm.
func (j *Journal) CommandEndClips(ctx context.Context, f edge.CommandFact, clips []edge.ClipRef) error {
	if commandOutcome[f.State] == "" {
		return fmt.Errorf("end command %s: %w, not as %q", f.ID, errBadOutcome, f.State)
	}
	if err := j.do(ctx, func(ctx context.Context, t *tx) error { return t.endCommand(ctx, f, clips) }); err != nil {
		return fmt.Errorf("end command %s: %w", f.ID, err)
	}
	return nil
}

// endCommand is CommandEnd in the running transaction.
func (t *tx) endCommand(ctx context.Context, f edge.CommandFact, clips []edge.ClipRef) error {
	row, err := t.command(ctx, f.ID)
	if errors.Is(err, ErrNoCommand) {
		return refusal{err}
	}
	if err != nil || row.fact.State != edge.CommandSent {
		return err
	}
	f.Outcome = bounded(f.Outcome)
	ev := edge.Event{Kind: edge.KindCommandDone, Command: &f, Clips: clips, Why: row.why(f)}
	for _, c := range clips {
		ev.Cameras = append(ev.Cameras, c.Camera)
	}
	s, err := t.emit(ctx, ev)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `update commands set state = ?, outcome = ?, ended_ns = ?, seq = ? where id = ?`,
		string(f.State), f.Outcome, t.j.opt.Clock.Now().Wall.UnixNano(), int64(s.event.Seq), string(f.ID))
	return err
}

// commandRow is what the table has of a command.
type commandRow struct {
	kind, signer string
	fact         edge.CommandFact // State is CommandSent before its end
}

// why is the sentence for an operator.
func (r commandRow) why(f edge.CommandFact) string {
	who := ""
	if r.signer != "" {
		who = " from " + r.signer
	}
	s := fmt.Sprintf("Command %q%s %s", r.kind, who, commandOutcome[f.State])
	if f.Outcome != "" {
		s += ": " + strings.TrimSuffix(f.Outcome, ".")
	}
	return s + "."
}

func (t *tx) command(ctx context.Context, id edge.CommandID) (commandRow, error) {
	r := commandRow{fact: edge.CommandFact{ID: id}}
	var state string
	err := t.row(ctx, `select kind, signer, state, outcome from commands where id = ?`, []any{string(id)},
		&r.kind, &r.signer, &state, &r.fact.Outcome)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("%w: %s", ErrNoCommand, id)
	}
	r.fact.State = edge.CommandState(state)
	if state == commandBegun {
		r.fact.State = edge.CommandSent
	}
	return r, err
}

// brokenCommands gives each command that an earlier run began and did not end the outcome that nobody knows, once.
func (j *Journal) brokenCommands(ctx context.Context) error {
	return j.alone(ctx, func(ctx context.Context, t *tx) error {
		rows, err := t.query(ctx, `select id from commands where state = 'begun' order by begun_ns, id`)
		if err != nil {
			return err
		}
		ids, err := idsOf[edge.CommandID](rows)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := t.endCommand(ctx, edge.CommandFact{ID: id, State: edge.CommandUnknown}, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetCommands deletes commands that ended long ago. One whose time is not over stays, whatever the clock did since: the
// SOC may still repeat it.
func (t *tx) forgetCommands(ctx context.Context) error {
	now := t.j.opt.Clock.Now().Wall
	_, err := t.exec(ctx, `delete from commands where state <> 'begun' and (ended_ns < ? and expires_ns < ?
		or seq <= (select seq from commands where state <> 'begun' order by seq desc limit 1 offset ?))`,
		now.Add(-commandsKeptFor).UnixNano(), now.UnixNano(), commandsKept)
	return err
}

// nanos is t in nanoseconds since 1970 as far as they go, 0 for a time that nobody set.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Year() < 1678:
		return -1 << 63
	case t.Year() > 2261:
		return 1<<63 - 1
	}
	return t.UnixNano()
}

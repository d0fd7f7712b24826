package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sitewatch/edge"
)

// clipState is how far a clip is.
type clipState string

const (
	clipWanted  clipState = "wanted"
	clipCutting clipState = "cutting"
	clipReady   clipState = "ready"
	clipLost    clipState = "lost"
	clipGone    clipState = "gone" // at the SOC and deleted here
)

// final says that nothing will be cut any more.
func (s clipState) final() bool { return s == clipReady || s == clipLost || s == clipGone }

// clipRow is what the writer needs of a clip.
type clipRow struct {
	camera     edge.CameraID
	from, to   int64
	seq        edge.Seq
	state      clipState
	still      sql.NullString
	stillBytes int64
	stillSHA   []byte
	file       sql.NullString
}

// Bounds of what waits for the cutter, so that its work does not grow with the number of alarms in a storm.
const (
	wantedListed = 64   // in one answer of WantedClips
	wantedMost   = 1000 // in all; a clip beyond is lost in the transaction of its alarm
)

// WantedClips returns clips that are neither ready nor lost, newest event first and no more than 64: the pictures of the
// newest are the ones that are still in memory. Who has dealt with them asks again.
func (j *Journal) WantedClips(ctx context.Context) ([]edge.ClipJob, error) {
	rows, err := j.read.QueryContext(ctx, `select id, camera, asked_from_ns, asked_to_ns, seq, kind, at_wall_ns, at_mono_ns,
		at_boot, at_synced, state = 'cutting', still_file is not null
		from clips where state in ('wanted', 'cutting') order by seq desc, camera limit ?`, wantedListed)
	if err != nil {
		return nil, fmt.Errorf("wanted clips: %w", err)
	}
	defer rows.Close()
	var out []edge.ClipJob
	for rows.Next() {
		var c edge.ClipJob
		var from, to, wall, mono int64
		if err := rows.Scan(&c.ID, &c.Camera, &from, &to, &c.Seq, &c.Kind, &wall, &mono,
			&c.At.Boot, &c.At.Synced, &c.Cutting, &c.Still); err != nil {
			return nil, fmt.Errorf("wanted clips: %w", err)
		}
		c.From, c.To = time.Unix(0, from).UTC(), time.Unix(0, to).UTC()
		c.At.Wall, c.At.Mono = time.Unix(0, wall).UTC(), time.Duration(mono)
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("wanted clips: %w", err)
	}
	return out, nil
}

// WantedSpans returns all clips that are neither ready nor lost, newest event first: they are bounded.
func (j *Journal) WantedSpans(ctx context.Context) ([]edge.ClipRef, error) {
	rows, err := j.read.QueryContext(ctx, `select id, camera, asked_from_ns, asked_to_ns
		from clips where state in ('wanted', 'cutting') order by seq desc, camera limit ?`, wantedMost)
	if err != nil {
		return nil, fmt.Errorf("spans of wanted clips: %w", err)
	}
	defer rows.Close()
	var out []edge.ClipRef
	for rows.Next() {
		var c edge.ClipRef
		var from, to int64
		if err := rows.Scan(&c.ID, &c.Camera, &from, &to); err != nil {
			return nil, fmt.Errorf("spans of wanted clips: %w", err)
		}
		c.From, c.To = time.Unix(0, from).UTC(), time.Unix(0, to).UTC()
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("spans of wanted clips: %w", err)
	}
	return out, nil
}

// wantClip makes the row of a clip. full: too many wait already, and it must be lost once its event is in the chain. known:
// there may be a row, which then only learns its event's new number.
func (t *tx) wantClip(ctx context.Context, c edge.ClipRef, ev *edge.Event, known bool) (full bool, err error) {
	if known {
		n, err := t.exec(ctx, `update clips set seq = ? where id = ?`, int64(ev.Seq), string(c.ID))
		if err != nil || n > 0 {
			return false, err
		}
	}
	if ok, err := t.extend(ctx, c.ID); ok || err != nil {
		return false, err
	}
	var n int
	if err := t.row(ctx, `select count(*) from clips where state in ('wanted', 'cutting')`, nil, &n); err != nil {
		return false, err
	}
	_, err = t.exec(ctx, `insert into clips (id, camera, asked_from_ns, asked_to_ns, seq, kind, at_wall_ns, at_mono_ns,
		at_boot, at_synced, state) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'wanted')`,
		string(c.ID), string(c.Camera), c.From.UnixNano(), c.To.UnixNano(), int64(ev.Seq), string(ev.Kind),
		ev.Recorded.Wall.UnixNano(), int64(ev.Recorded.Mono), string(ev.Recorded.Boot), ev.Recorded.Synced)
	if err != nil {
		return false, fmt.Errorf("want clip of camera %s: %w", c.Camera, err)
	}
	t.effects.clips = true
	t.effects.bytes += 300
	return n >= wantedMost, nil
}

func (t *tx) clip(ctx context.Context, id edge.ClipID) (clipRow, error) {
	var c clipRow
	err := t.row(ctx, `select camera, asked_from_ns, asked_to_ns, seq, state, still_file, still_bytes, still_sha256, clip_file
		from clips where id = ?`, []any{string(id)},
		&c.camera, &c.from, &c.to, &c.seq, &c.state, &c.still, &c.stillBytes, &c.stillSHA, &c.file)
	if errors.Is(err, sql.ErrNoRows) {
		return c, refusal{fmt.Errorf("%w: %s", ErrNoClip, id)}
	}
	return c, err
}

// ClipCutting says that the clip is being cut; a finished clip stays finished.
func (j *Journal) ClipCutting(ctx context.Context, id edge.ClipID) error {
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `update clips set state = 'cutting' where id = ? and state = 'wanted'`, string(id))
		return err
	})
}

// ClipClosing says that the pictures up to the clip's end are there. When the alarm was repeated since, so that the end is later
// than to, it returns the new end and the clip goes on; otherwise the end stays what it is.
func (j *Journal) ClipClosing(ctx context.Context, id edge.ClipID, to time.Time) (end time.Time, err error) {
	err = j.do(ctx, func(ctx context.Context, t *tx) error {
		c, err := t.clip(ctx, id)
		if err != nil {
			return err
		}
		end = time.Unix(0, c.to).UTC() // read by the caller only after its answer came
		if !c.state.final() && !end.After(to) {
			j.ends[id] = true
		}
		return nil
	})
	return end, err
}

// StillReady says that the clip's still is a whole file in ClipDir, synced. A clip that has one keeps it.
func (j *Journal) StillReady(ctx context.Context, f edge.ClipFile) error {
	name, err := j.fileName(f)
	if err != nil {
		return err
	}
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		c, err := t.clip(ctx, f.ID)
		if err != nil {
			return err
		}
		if c.still.Valid || c.state == clipGone {
			if c.still.String != name {
				t.effects.remove = append(t.effects.remove, name)
			}
			return nil
		}
		if _, err := t.exec(ctx, `update clips set still_file = ?, still_bytes = ?, still_sha256 = ? where id = ?`,
			name, f.SizeBytes, f.SHA256[:], string(f.ID)); err != nil {
			return err
		}
		t.effects.uploads = true
		return t.clipRoom(ctx, f.ID)
	})
}

// ClipReady says that the clip is a whole file in ClipDir, synced: its row and the clip-ready event are one transaction.
// For a clip that is finished already it does nothing.
func (j *Journal) ClipReady(ctx context.Context, fact edge.ClipFact, f edge.ClipFile) error {
	f.ID = fact.ID
	name, err := j.fileName(f)
	if err != nil {
		return err
	}
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		c, err := t.clip(ctx, fact.ID)
		if err != nil {
			return err
		}
		if c.state.final() {
			if c.file.String != name {
				t.effects.remove = append(t.effects.remove, name)
			}
			return nil
		}
		fact.Reason, fact.Holes = bounded(fact.Reason), boundedHoles(fact.Holes)
		t.clipEnds(fact.ID)
		fact.Camera, fact.SizeBytes, fact.SHA256 = c.camera, f.SizeBytes, f.SHA256[:]
		fact.StillBytes, fact.StillSHA256 = c.stillBytes, c.stillSHA
		if _, err := t.exec(ctx, `update clips set state = 'ready', clip_file = ?, clip_bytes = ?, clip_sha256 = ? where id = ?`,
			name, f.SizeBytes, f.SHA256[:], string(fact.ID)); err != nil {
			return err
		}
		if err := t.keepManifest(ctx, fact.ID, c, &fact); err != nil {
			return err
		}
		edge.Crash("clip row before its event")
		if _, err := t.emit(ctx, edge.Event{
			Kind: edge.KindClipReady, Cameras: []edge.CameraID{c.camera}, Clip: &fact,
			Why: fmt.Sprintf("Clip of camera %s for event %d is ready.", c.camera, c.seq),
		}); err != nil {
			return err
		}
		t.effects.uploads = true
		return t.clipRoom(ctx, fact.ID)
	})
}

// ClipLost says that there will be no clip: its row and the clip-lost event are one transaction. For a clip that is
// finished already it does nothing. A still that there is goes to the SOC all the same.
func (j *Journal) ClipLost(ctx context.Context, id edge.ClipID, reason string) error {
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		c, err := t.clip(ctx, id)
		if err != nil {
			return err
		}
		if c.state.final() {
			return nil
		}
		return t.loseClip(ctx, id, c, reason)
	})
}

// loseClip makes the row lost, forgets its file and says so in an event.
func (t *tx) loseClip(ctx context.Context, id edge.ClipID, c clipRow, reason string) error {
	reason = bounded(reason)
	t.clipEnds(id)
	if _, err := t.exec(ctx, `update clips set state = 'lost', reason = ?, clip_file = null where id = ?`, reason, string(id)); err != nil {
		return err
	}
	if c.file.Valid {
		t.effects.remove = append(t.effects.remove, c.file.String)
	}
	_, err := t.emit(ctx, edge.Event{
		Kind: edge.KindClipLost, Cameras: []edge.CameraID{c.camera},
		Why: fmt.Sprintf("No clip of camera %s for event %d: %s.", c.camera, c.seq, strings.TrimSuffix(reason, ".")),
		Clip: &edge.ClipFact{
			ID: id, Camera: c.camera, From: time.Unix(0, c.from).UTC(), To: time.Unix(0, c.to).UTC(),
			StillBytes: c.stillBytes, StillSHA256: c.stillSHA, Reason: reason,
		},
	})
	return err
}

// boundedHoles keeps the list small enough for an event.
func boundedHoles(h []edge.Span) []edge.Span {
	if len(h) <= edge.MaxHoles {
		return h
	}
	out := append([]edge.Span{}, h[:edge.MaxHoles]...)
	out[edge.MaxHoles-1].To = h[len(h)-1].To
	return out
}

// bounded keeps a reason that an error's text became small enough for an event.
func bounded(reason string) string {
	return strings.ToValidUTF8(reason[:min(len(reason), 1024)], "?")
}

// fileName checks that f is a whole file in ClipDir named after its clip and returns its name there.
func (j *Journal) fileName(f edge.ClipFile) (string, error) {
	name := filepath.Base(f.Path)
	if path, err := filepath.Abs(f.Path); err != nil || filepath.Dir(path) != j.ClipDir() || !strings.HasPrefix(name, string(f.ID)) || f.ID == "" {
		return "", fmt.Errorf("journal: %q is not a file of clip %s in %s", f.Path, f.ID, j.ClipDir())
	}
	st, err := os.Stat(f.Path)
	if err != nil {
		return "", fmt.Errorf("journal: clip %s: %w", f.ID, err)
	}
	if st.Size() != f.SizeBytes {
		return "", fmt.Errorf("journal: file of clip %s has %d bytes, not %d", f.ID, st.Size(), f.SizeBytes)
	}
	return name, nil
}

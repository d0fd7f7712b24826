package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// fold brings amendments and their targets together, whichever came first: they may travel in different lanes.
func (a *appender) fold(ctx context.Context, e *Entry) error {
	if e.Event.Kind == edge.KindAmended && e.Event.Amends > 0 {
		return a.amend(ctx, e.Event.Amends, &e.Event)
	}
	// Left to itself SQLite walks the whole journal to save sorting: 2 ms per event at 10,000 events.
	rows, err := a.tx.QueryContext(ctx, `SELECT body FROM events INDEXED BY events_amends WHERE site = ? AND journal = ? AND amends = ? AND amends > 0 AND kind = ? ORDER BY seq`,
		a.batch.Site, a.batch.Journal, e.Seq, edge.KindAmended)
	if err != nil {
		return err
	}
	defer rows.Close()
	var waiting []edge.Event
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return err
		}
		ev, err := edge.DecodeEvent(body)
		if err != nil {
			continue // stored as it came; it has nothing to fold
		}
		// The stored bytes are as the box sent them; what it says may become part of an address.
		ev.Clips = slices.DeleteFunc(ev.Clips, func(c edge.ClipRef) bool { return !wire.ValidID(string(c.ID)) })
		waiting = append(waiting, ev)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for i := range waiting {
		if err := a.amend(ctx, e.Seq, &waiting[i]); err != nil {
			return err
		}
	}
	return nil
}

// amend folds what the amendment says into the event seq, when that is here. What it leaves empty stays.
func (a *appender) amend(ctx context.Context, seq edge.Seq, by *edge.Event) error {
	var idx Index
	var zone, name, text, why, cameras, clips, seen string
	err := a.tx.QueryRowContext(ctx, `SELECT idx, zone, zone_name, text, why, cameras, clips, corroborated FROM events
		WHERE site = ? AND journal = ? AND seq = ? AND kind <> ?`, a.batch.Site, a.batch.Journal, seq, edge.KindAmended).
		Scan(&idx, &zone, &name, &text, &why, &cameras, &clips, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // folded when it comes
	}
	if err != nil {
		return fmt.Errorf("amend %d: %w", seq, err)
	}
	ids := unlist[edge.ClipID](clips)
	for _, c := range by.Clips {
		if !slices.Contains(ids, c.ID) {
			ids = append(ids, c.ID)
		}
	}
	cams := unlist[edge.CameraID](cameras)
	for _, c := range by.Cameras {
		if !slices.Contains(cams, c) {
			cams = append(cams, c)
		}
	}
	_, err = a.tx.ExecContext(ctx, `UPDATE events SET zone = ?, zone_name = ?, text = ?, why = ?, cameras = ?, clips = ?, corroborated = ?,
		change = (SELECT max(change) FROM events) + 1 WHERE idx = ?`,
		newer(zone, string(by.Zone)), newer(name, by.ZoneName), newer(text, by.Text), newer(why, by.Why), list(cams), list(ids), newer(seen, by.Corroborated), idx)
	return err
}

func newer(old, by string) string {
	if by == "" {
		return old
	}
	return by
}

// facts takes what an event says of clips.
func (a *appender) facts(ctx context.Context, e *Entry) error {
	ev := &e.Event
	for _, c := range ev.Clips {
		if err := a.asked(ctx, c, e.Seq); err != nil {
			return fmt.Errorf("clip %s: %w", c.ID, err)
		}
	}
	if c := ev.Clip; c != nil {
		if err := a.clipFact(ctx, c, ev.Kind, e.Seq); err != nil {
			return fmt.Errorf("clip %s: %w", c.ID, err)
		}
	}
	return nil
}

// asked makes the row of a clip that an event wants. The file may have come first: then its state stays. A repeat of an alarm names
// the clip of the first one, which ends later for it; what was cut is known better than what was asked for.
func (a *appender) asked(ctx context.Context, c edge.ClipRef, seq edge.Seq) error {
	_, err := a.tx.ExecContext(ctx, `INSERT INTO clips (id, site, camera, journal, seq, asked, from_ms, to_ms, state, reason, fact_sha, still_sha, bytes, sha256, still)
		VALUES (?, ?, ?, ?, ?, 1, ?, ?, 'wanted', '', x'', x'', 0, x'', 0)
		ON CONFLICT DO UPDATE SET camera = excluded.camera, journal = excluded.journal, asked = 1,
			seq = iif(asked = 1 AND journal = excluded.journal, min(seq, excluded.seq), excluded.seq),
			from_ms = iif(from_ms = 0 OR fact_sha = x'' AND excluded.from_ms < from_ms, excluded.from_ms, from_ms),
			to_ms = iif(to_ms = 0 OR fact_sha = x'' AND excluded.to_ms > to_ms, excluded.to_ms, to_ms)
		WHERE site = excluded.site`,
		c.ID, a.batch.Site, c.Camera, a.batch.Journal, seq, millis(c.From), millis(c.To))
	return err
}

// Reasons of a clip of which a stored file is not the one in the box's journal.
const (
	mismatch      = "the stored file is not the one that the box's journal names"
	stillMismatch = "the stored still is not the one that the box's journal names"
)

// compare sets the reason of a clip by its digests: those of the stored files, and those in the box's journal.
func compare(ctx context.Context, tx *sql.Tx, site edge.SiteID, id edge.ClipID) error {
	_, err := tx.ExecContext(ctx, `UPDATE clips SET reason = CASE
			WHEN sha256 <> x'' AND fact_sha <> x'' AND sha256 <> fact_sha THEN ?1
			WHEN still_has <> x'' AND still_sha <> x'' AND still_has <> still_sha THEN ?2
			WHEN reason IN (?1, ?2) THEN '' ELSE reason END
		WHERE id = ? AND site = ? AND state <> 'lost'`, mismatch, stillMismatch, id, site)
	return err
}

// clipFact takes clip-ready and clip-lost. The row exists unless the asking event is still on its way in another lane, or will
// never come; a clip of which the box's journal tells is not one that nobody has asked for.
func (a *appender) clipFact(ctx context.Context, c *edge.ClipFact, kind edge.Kind, seq edge.Seq) error {
	if kind != edge.KindClipReady && kind != edge.KindClipLost {
		return nil
	}
	if _, err := a.tx.ExecContext(ctx, `INSERT OR IGNORE INTO clips (id, site, camera, journal, seq, asked, from_ms, to_ms, state, reason, fact_sha, still_sha, bytes, sha256, still)
		VALUES (?, ?, ?, ?, ?, 1, ?, ?, 'wanted', '', x'', x'', 0, x'', 0)`,
		c.ID, a.batch.Site, c.Camera, a.batch.Journal, seq, millis(c.From), millis(c.To)); err != nil {
		return err
	}
	if kind == edge.KindClipLost {
		// A file that is here is worth more than the news that there is none.
		_, err := a.tx.ExecContext(ctx, `UPDATE clips SET asked = 1, state = iif(state = 'ready', state, 'lost'), reason = iif(state = 'ready', reason, ?),
			fact_seq = ? WHERE id = ? AND site = ?`, c.Reason, seq, c.ID, a.batch.Site)
		return err
	}
	if _, err := a.tx.ExecContext(ctx, `UPDATE clips SET asked = 1, from_ms = ?, to_ms = ?, fact_sha = ?, still_sha = ?, reason = ?, fact_seq = ?,
		state = iif(state IN ('wanted', 'cutting'), 'uploading', state) WHERE id = ? AND site = ?`,
		millis(c.From), millis(c.To), blob(c.SHA256), blob(c.StillSHA256), c.Reason, seq, c.ID, a.batch.Site); err != nil {
		return err
	}
	return compare(ctx, a.tx, a.batch.Site, c.ID)
}

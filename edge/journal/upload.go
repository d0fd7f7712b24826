package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"sitewatch/edge"
)

// NextUpload returns the file that should go to the SOC next: stills before clips, of each the newest alarm's first, and none
// of the clips not. ok is false when nothing else waits.
func (j *Journal) NextUpload(ctx context.Context, not ...edge.ClipID) (f edge.ClipFile, ok bool, err error) {
	except, err := json.Marshal(append([]edge.ClipID{}, not...)) // [] and not null when there are none
	if err != nil {
		return edge.ClipFile{}, false, err
	}
	for _, q := range []struct {
		part  edge.FilePart
		query string
	}{
		{edge.PartStill, `select id, camera, seq, still_file, still_bytes, still_sha256 from clips
			where still_file is not null and still_sent = 0 and id not in (select value from json_each(?)) order by seq desc, id limit 1`},
		{edge.PartClip, `select id, camera, seq, clip_file, clip_bytes, clip_sha256 from clips
			where clip_file is not null and clip_sent = 0 and id not in (select value from json_each(?)) order by seq desc, id limit 1`},
	} {
		var name string
		var sum []byte
		err := j.readRow(ctx, q.query, []any{string(except)}, &f.ID, &f.Camera, &f.Seq, &name, &f.SizeBytes, &sum)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return edge.ClipFile{}, false, fmt.Errorf("next upload: %w", err)
		}
		f.Part, f.Path = q.part, filepath.Join(j.ClipDir(), name)
		copy(f.SHA256[:], sum)
		return f, true, nil
	}
	return edge.ClipFile{}, false, nil
}

// UploadDone says that the SOC has the file, checked against its digest.
func (j *Journal) UploadDone(ctx context.Context, id edge.ClipID, part edge.FilePart) error {
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		query := `update clips set clip_sent = 1 where id = ?`
		if part == edge.PartStill {
			query = `update clips set still_sent = 1 where id = ?`
		}
		_, err := t.exec(ctx, query, string(id))
		return err
	})
}

// UploadRefused says that the SOC will never take the file, or that it cannot be read: it is not offered again. A clip
// is lost by that, with its event; its file is deleted. A still is only left out.
func (j *Journal) UploadRefused(ctx context.Context, id edge.ClipID, part edge.FilePart, reason string) error {
	return j.do(ctx, func(ctx context.Context, t *tx) error {
		if part == edge.PartStill {
			_, err := t.exec(ctx, `update clips set still_sent = 2, reason = ? where id = ? and still_sent = 0`, reason, string(id))
			return err
		}
		c, err := t.clip(ctx, id)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, `update clips set clip_sent = 2 where id = ? and state = 'ready' and clip_sent = 0`, string(id))
		if err != nil || n == 0 {
			return err
		}
		return t.loseClip(ctx, id, c, "refused: "+reason)
	})
}

// offerAgain makes the files of events above to go again: a SOC that has lost the events has lost their files, too. It
// answers at once for what it still has.
func (t *tx) offerAgain(ctx context.Context, to edge.Seq) error {
	for _, q := range []string{
		`update clips set clip_sent = 0 where seq > ? and clip_file is not null and clip_sent = 1`,
		`update clips set still_sent = 0 where seq > ? and still_file is not null and still_sent = 1`,
	} {
		n, err := t.exec(ctx, q, int64(to))
		if err != nil {
			return err
		}
		t.effects.uploads = t.effects.uploads || n > 0
	}
	return nil
}

// loseGone says of the clips of events above to that are at the SOC only that they are lost, oldest first and a few in one
// transaction: there may be a hundred thousand, and an alarm must not wait for them.
func (j *Journal) loseGone(ctx context.Context, to edge.Seq) error {
	rows, err := j.read.QueryContext(ctx, `select id from clips where seq > ? and state = 'gone' order by seq, id`, int64(to))
	if err != nil {
		return err
	}
	ids, err := idsOf[edge.ClipID](rows)
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, 100) {
		if err := j.do(ctx, func(ctx context.Context, t *tx) error {
			for _, id := range some {
				c, err := t.clip(ctx, id)
				if errors.Is(err, ErrNoClip) || err == nil && c.state != clipGone {
					continue // it was pruned, or said, meanwhile
				}
				if err != nil {
					return err
				}
				if err := t.loseClip(ctx, id, c, "deleted on the box after an earlier upload"); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

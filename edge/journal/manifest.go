package journal

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// signedAtOnce bounds how many manifests are signed in one turn.
const signedAtOnce = 16

// keepManifest writes what will be signed of a clip that is ready now.
func (t *tx) keepManifest(ctx context.Context, id edge.ClipID, c clipRow, fact *edge.ClipFact) error {
	now := t.j.opt.Clock.Now()
	var at edge.Stamp
	var wall int64
	var kind edge.Kind
	if err := t.row(ctx, `select kind, at_wall_ns, at_synced from clips where id = ?`, []any{string(id)}, &kind, &wall, &at.Synced); err != nil {
		return err
	}
	at.Wall = time.Unix(0, wall).UTC()
	m := edge.Manifest{Type: edge.ManifestType, Site: t.j.opt.Site, Journal: t.j.id, Seq: c.seq, Kind: kind, Clip: id, Camera: c.camera,
		Asked: edge.Span{From: time.Unix(0, c.from).UTC(), To: time.Unix(0, c.to).UTC()}, From: fact.From.UTC(), To: fact.To.UTC(),
		SizeBytes: fact.SizeBytes, SHA256: fact.SHA256, StillBytes: fact.StillBytes, StillSHA256: fact.StillSHA256,
		Codec: fact.Codec, Width: fact.Width, Height: fact.Height, Audio: fact.Audio, AlarmClock: at.ClockState(), Clock: now.ClockState(),
		CameraClock: fact.CameraOffset, Lost: fact.Lost, Holes: append([]edge.Span{}, fact.Holes...), Reason: fact.Reason,
		Version: t.j.opt.Version, Made: now.Wall.UTC()}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("manifest of clip %s: %w", id, err)
	}
	if _, err := t.exec(ctx, `insert or replace into manifests (id, body, signature, certificate) values (?, ?, null, null)`, string(id), body); err != nil {
		return err
	}
	t.effects.bytes += int64(len(body))
	t.effects.done = append(t.effects.done, func() { t.j.signing.unsigned.Store(true) })
	return nil
}

// signManifests signs those that wait.
func (j *Journal) signManifests(ctx context.Context, s edge.Signer) error {
	if !j.signing.unsigned.Swap(false) {
		return nil
	}
	rows, err := j.read.QueryContext(ctx, `select id from manifests where signature is null limit ?`, signedAtOnce)
	if err != nil {
		return err
	}
	ids, err := idsOf[edge.ClipID](rows)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, _, err := j.Manifest(ctx, id); err != nil {
			j.signing.unsigned.Store(true)
			return err
		}
	}
	if len(ids) == signedAtOnce {
		j.signing.unsigned.Store(true)
	}
	return nil
}

// Manifest returns the clip's manifest, which it signs when that has not been done yet. ok is false when there is none, or no
// key to sign with.
func (j *Journal) Manifest(ctx context.Context, id edge.ClipID) (s edge.Signed, ok bool, err error) {
	err = j.readRow(ctx, `select m.body, m.signature, c.der from manifests m left join certificates c on c.sha256 = m.certificate where id = ?`,
		[]any{string(id)}, &s.Body, &s.Signature, &s.Certificate)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return edge.Signed{}, false, nil
	case err != nil:
		return edge.Signed{}, false, fmt.Errorf("manifest of clip %s: %w", id, err)
	case len(s.Signature) > 0:
		return s, true, nil
	case j.opt.Signer == nil:
		return edge.Signed{}, false, nil
	}
	signer, ok := j.opt.Signer()
	if !ok {
		return edge.Signed{}, false, nil
	}
	m, err := edge.DecodeManifest(s.Body)
	if err != nil {
		return edge.Signed{}, false, fmt.Errorf("clip %s: %w", id, err)
	}
	m.Certificate = signer.Fingerprint()
	if s, err = signer.Sign(m); err != nil {
		return edge.Signed{}, false, fmt.Errorf("manifest of clip %s: %w", id, err)
	}
	err = j.do(ctx, func(ctx context.Context, t *tx) error {
		if err := t.keepCertificate(ctx, s.Certificate); err != nil {
			return err
		}
		_, err := t.exec(ctx, `update manifests set body = ?, signature = ?, certificate = ? where id = ? and signature is null`,
			s.Body, s.Signature, []byte(edge.Fingerprint(s.Certificate)), string(id))
		return err
	})
	if err != nil {
		return edge.Signed{}, false, fmt.Errorf("manifest of clip %s: %w", id, err)
	}
	return s, true, nil
}

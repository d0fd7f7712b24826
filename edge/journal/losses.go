package journal

import (
	"context"
	"fmt"

	"sitewatch/edge"
)

// Loss is something that the journal's last word about is that it is lost: after a restart nobody may say so twice, and its
// return must be said although another run of the program said that it was lost (P8).
type Loss struct {
	Kind    edge.Kind // one of lossKinds
	Subject string    // id of the panel or camera, name of the path; "" of the clock
}

// lossKinds are the kinds that stand until their restore.
var lossKinds = map[edge.Kind]bool{edge.KindPanelLost: true, edge.KindLineFault: true, edge.KindCameraLost: true, edge.KindCameraFrozen: true, edge.KindPathLost: true, edge.KindClockBad: true,
	edge.KindCameraCovered: true, edge.KindCameraMoved: true, edge.KindCameraDefocused: true}

// lossOf returns what an event says is lost or back. What a panel reports of its own path has a code, and of a circuit's cable a
// zone: those are another matter.
func lossOf(ev *edge.Event) (l Loss, ok bool) {
	l.Kind = ev.Kind.Base()
	if !lossKinds[l.Kind] || ev.Code != "" || ev.Zone != "" {
		return Loss{}, false
	}
	switch l.Kind {
	case edge.KindPanelLost, edge.KindLineFault:
		l.Subject = string(ev.Panel)
	case edge.KindCameraLost, edge.KindCameraFrozen, edge.KindCameraCovered, edge.KindCameraMoved, edge.KindCameraDefocused:
		if len(ev.Cameras) != 1 {
			return Loss{}, false
		}
		l.Subject = string(ev.Cameras[0])
	case edge.KindPathLost:
		l.Subject = ev.Path // "" where the box has one path without a name
	}
	return l, true
}

// keepLoss brings the table of losses up to date with an event of the running transaction.
func (t *tx) keepLoss(ctx context.Context, ev *edge.Event) error {
	l, ok := lossOf(ev)
	if !ok {
		return nil
	}
	if ev.Kind.IsRestored() {
		_, err := t.exec(ctx, `delete from losses where kind = ? and subject = ?`, string(l.Kind), l.Subject)
		return err
	}
	_, err := t.exec(ctx, `insert into losses (kind, subject, seq) values (?, ?, ?)
		on conflict (kind, subject) do update set seq = excluded.seq`, string(l.Kind), l.Subject, int64(ev.Seq))
	return err
}

// Losses returns what is lost by the journal's last word.
func (j *Journal) Losses(ctx context.Context) (map[Loss]bool, error) {
	rows, err := j.read.QueryContext(ctx, `select kind, subject from losses`)
	if err != nil {
		return nil, fmt.Errorf("read losses: %w", err)
	}
	defer rows.Close()
	out := map[Loss]bool{}
	for rows.Next() {
		var l Loss
		if err := rows.Scan(&l.Kind, &l.Subject); err != nil {
			return nil, fmt.Errorf("read losses: %w", err)
		}
		out[l] = true
	}
	return out, rows.Err()
}

package uplink

import (
	"context"
	"errors"
	"slices"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// turn is an offer of which the SOC may still have something to say. It answers them in their order: the first turn is the one
// that it speaks of, the last the one that is open.
type turn struct {
	file     edge.ClipFile
	resumed  bool // the SOC has said from where
	finished bool
	// Offsets of the file up to which it is sent, and taken by the SOC; -1 before it has said from where, and we did not know.
	sent, taken int64
}

// turnsMost is how many offers may wait for their Resume: clips that grow take turns without waiting for it.
const turnsMost = 8

// open is the turn of the open offer, nil when there is none.
func (u *upload) open() *turn {
	if len(u.turns) == 0 {
		return nil
	}
	return u.turns[len(u.turns)-1]
}

func (u *upload) offer(f edge.ClipFile, anew bool) error {
	t := &turn{file: f, sent: -1, taken: -1}
	o := &wire.Offer{Clip: string(f.ID), Part: wire.Part(f.Part), Camera: string(f.Camera), Journal: string(u.o.Outbox.ID()),
		Seq: uint64(f.Seq), Size: f.SizeBytes, Anew: anew}
	if growing(f) {
		o.Growing = true
	} else {
		o.Sha256, o.Signed = f.SHA256[:], u.o.Evidence != nil && f.Part == edge.PartClip
		edge.Crash("upload complete before it is offered")
	}
	if g := u.growth(f.ID); f.Part == edge.PartClip && g.sent >= 0 && g.sent <= f.SizeBytes && !anew {
		t.sent, t.taken = g.sent, g.sent // both sides know how far it is
	}
	u.turns = append(u.turns, t)
	return u.send(&wire.UploadRequest{Message: &wire.UploadRequest_Offer{Offer: o}})
}

// reply handles one answer of the SOC; done ends the file of the open offer.
func (u *upload) reply(ctx context.Context, m *wire.UploadReply) (done bool, err error) {
	switch v := m.GetMessage().(type) {
	case *wire.UploadReply_Resume:
		i := slices.IndexFunc(u.turns, func(t *turn) bool { return !t.resumed && t.about(v.Resume.GetClip(), v.Resume.GetPart()) })
		if i < 0 {
			u.status.ignored()
			return false, nil
		}
		return false, u.resume(i, v.Resume)
	case *wire.UploadReply_Progress:
		if len(u.turns) == 0 {
			break
		}
		if t, o := u.turns[0], v.Progress.GetOffset(); t.resumed && o > t.taken && o <= t.sent {
			u.line.taken(o-t.taken, time.Duration(v.Progress.GetMonoNs()))
			t.taken = o
		}
	case *wire.UploadReply_Stored:
		t := u.open()
		if t == nil || !t.about(v.Stored.GetClip(), v.Stored.GetPart()) || growing(t.file) {
			u.status.ignored()
			return false, nil
		}
		f := t.file
		u.over(len(u.turns))
		edge.Crash("upload stored before row")
		if err := u.o.Files.UploadDone(ctx, f.ID, f.Part); err != nil {
			return true, local("keep that a file is stored", err)
		}
		if f.Part == edge.PartClip {
			delete(u.grown, f.ID)
			u.o.Cuts.gone(f.ID)
		}
		delete(u.refused, f.ID)
		u.status.stored()
		return true, nil
	case *wire.UploadReply_Refused:
		// The newest of several offers of one clip: if the older one is meant, the SOC has no more to say of that than of this.
		i := len(u.turns) - 1
		for i >= 0 && !u.turns[i].about(v.Refused.GetClip(), v.Refused.GetPart()) {
			i--
		}
		if i < 0 {
			u.status.ignored()
			return false, nil
		}
		f, open := u.turns[i].file, i == len(u.turns)-1
		u.over(i + 1)
		if f.Part == edge.PartClip {
			u.grow(f.ID, func(g *growth) { g.sent = -1 })
		}
		return open, u.refuse(ctx, f, v.Refused)
	}
	return false, nil
}

// about says whether an answer is for this offer: one for an earlier offer may still be on its way.
func (t *turn) about(id string, part wire.Part) bool {
	return id == string(t.file.ID) && part == wire.Part(t.file.Part)
}

// over ends the first n turns. The SOC will say no more of them.
func (u *upload) over(n int) {
	for _, t := range u.turns[:n] {
		if t.taken < t.sent {
			u.line.forget()
		}
	}
	u.turns = slices.Delete(u.turns, 0, n)
}

// resume takes the SOC's word from where it wants the file of a turn.
func (u *upload) resume(i int, r *wire.Resume) error {
	t, offset := u.turns[i], r.GetOffset()
	if offset < 0 || offset > t.file.SizeBytes {
		u.status.ignored()
		return nil
	}
	u.over(i)
	if t.sent >= 0 {
		if offset != t.taken {
			return errElsewhere
		}
		t.resumed = true
		return nil
	}
	if err := begins(t.file.Path, offset, r.GetSha256()); errors.Is(err, errBegins) {
		u.over(1)
		u.o.Log.Info("a clip is sent anew: "+err.Error(), "clip", t.file.ID, "camera", t.file.Camera)
		return u.offer(t.file, true)
	}
	t.resumed, t.sent, t.taken = true, offset, offset
	if growing(t.file) {
		u.grow(t.file.ID, func(g *growth) { g.sent = offset })
	}
	return nil
}

package soc

import (
	"bytes"
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

type uploadStream = grpc.BidiStreamingServer[wire.UploadRequest, wire.UploadReply]

// A Progress goes after so many bytes, which is every chunk of an honest box, or when the last one is so old. Between
// them a box cannot tell how fast its line is; more of them would serve a hostile one only.
const (
	progressBytes = 1 << 10
	progressEvery = 5 * time.Millisecond
)

// receiving is one Upload stream while its handler runs.
type receiving struct {
	*Server
	stream uploadStream
	site   edge.SiteID
	id     edge.ClipID
	part   edge.FilePart
	sha    [32]byte
	size   int64
	in     *incoming     // nil: no offer is open
	whole  bool          // the offered file is here already, and its manifest may still come
	parked []*incoming   // growing clips that have been offered before it, the oldest first
	have   int64         // offset up to which the open file has been taken
	told   int64         // offset of the last Progress
	at     time.Duration // Mono of the last Progress
}

// Upload takes stills and clips.
func (s *Server) Upload(stream uploadStream) error {
	site := siteOf(stream.Context())
	if !s.hub.enter(site) {
		s.metrics.refused.WithLabelValues("streams").Inc()
		return status.Error(codes.ResourceExhausted, "too many streams of this site")
	}
	defer s.hub.leave(site)
	u := &receiving{Server: s, stream: stream, site: site}
	defer u.drop()
	for {
		m, err := stream.Recv()
		if err != nil {
			return ended(err)
		}
		if err := u.take(stream.Context(), m); err != nil {
			return err
		}
	}
}

// take handles one message. What a newer box says beyond what we know is left alone.
func (u *receiving) take(ctx context.Context, m *wire.UploadRequest) error {
	switch v := m.GetMessage().(type) {
	case *wire.UploadRequest_Offer:
		return u.offer(ctx, v.Offer)
	case *wire.UploadRequest_Chunk:
		return u.chunk(v.Chunk)
	case *wire.UploadRequest_Finish:
		return u.finish(ctx, v.Finish)
	case *wire.UploadRequest_ClipState:
		return u.state(ctx, v.ClipState)
	}
	return nil
}

// drop ends all that is open; what has come of it stays for the next stream.
func (u *receiving) drop() {
	for _, in := range append(u.parked, u.in) {
		if in != nil {
			in.close()
		}
	}
	u.in, u.parked = nil, nil
}

func (u *receiving) offer(ctx context.Context, o *wire.Offer) error {
	if err := u.leave(); err != nil {
		return err
	}
	part, ok := wire.PartOf(o.GetPart())
	u.id, u.part, u.size = edge.ClipID(o.GetClip()), part, o.GetSize()
	limit := int64(wire.MaxClipBytes)
	if part == edge.PartStill {
		limit = wire.MaxStillBytes
	}
	switch {
	case !wire.ValidID(o.GetClip()):
		return u.refuse("offer", "the clip's id is not 32 hex digits", false)
	case !ok:
		return u.refuse("offer", "a clip has a still and a clip, nothing else", false)
	case o.GetGrowing() && part != edge.PartClip:
		return u.refuse("offer", "a still does not grow", false)
	case u.size < 0 || u.size == 0 && !o.GetGrowing() || u.size > limit:
		return u.refuse("offer", "the size is not between 1 byte and the limit", false)
	case len(o.GetSha256()) != len(u.sha) && !o.GetGrowing():
		return u.refuse("offer", "the digest is not 32 bytes", false)
	case !edge.ValidID(o.GetCamera()) || !wire.ValidID(o.GetJournal()) || o.GetSeq() == 0 || o.GetSeq() > 1<<62:
		return u.refuse("offer", "the camera, journal or seq is not valid", false)
	}
	f := offered{site: u.site, final: ClipPath(u.o.Clips, u.site, u.id, part), size: u.size, growing: o.GetGrowing(), anew: o.GetAnew()}
	if !f.growing {
		f.want = [32]byte(o.GetSha256())
	}
	u.sha = f.want
	parked := u.unpark(f.final)
	c, err := u.clipOf(ctx, o, parked != nil)
	switch {
	case err != nil && parked != nil:
		parked.close()
		return u.broke(ctx, err)
	case errors.Is(err, ledger.ErrForeign):
		return u.refuse("foreign", "the clip belongs to another site", false)
	case errors.Is(err, ledger.ErrUnasked):
		return u.refuse("unasked", "too many clips have come without their events", true)
	case err != nil:
		return u.broke(ctx, err)
	}
	if fact := factOf(c, part); !f.growing && len(fact) > 0 && !bytes.Equal(fact, u.sha[:]) {
		if parked != nil {
			parked.close()
		}
		return u.refuse("digest", "the digest is not the one in the box's journal", false)
	}
	f.right = u.right(c)
	in, done, err := u.open(f, parked)
	switch {
	case errors.Is(err, errFull), errors.Is(err, errShare):
		return u.refuse("full", err.Error(), true)
	case errors.Is(err, errDiffers):
		return u.refuse("digest", err.Error(), false)
	case err != nil:
		return u.broke(ctx, err)
	case done:
		if ok, err := u.proved(ctx); err != nil {
			return u.broke(ctx, err)
		} else if ok || !o.GetSigned() {
			return u.stored(ctx)
		}
		u.whole = true
		return u.resume(u.size, nil)
	}
	offset, sum := in.digest()
	if in.grown && offset > 0 {
		edge.Crash("soc growing clip taken up")
	} else {
		sum = nil
	}
	u.in, u.have, u.told = in, offset, offset
	return u.resume(offset, sum)
}

func (u *receiving) resume(offset int64, sum []byte) error {
	return u.reply(&wire.UploadReply{Message: &wire.UploadReply_Resume{Resume: &wire.Resume{
		Clip: string(u.id), Part: wire.Part(u.part), Offset: offset, Sha256: sum}}})
}

// clipOf is what the ledger knows of an offered clip. Of one that this stream has left open there is a row, and nothing to write.
func (u *receiving) clipOf(ctx context.Context, o *wire.Offer, known bool) (ledger.Clip, error) {
	switch {
	case known && o.GetGrowing():
		return ledger.Clip{}, nil
	case known:
		return u.o.Ledger.Clip(ctx, u.id)
	}
	return u.o.Ledger.ClipOffered(ctx, ledger.ClipOffer{Site: u.site, ID: u.id, Part: u.part,
		Camera: edge.CameraID(o.GetCamera()), Journal: edge.JournalID(o.GetJournal()), Seq: edge.Seq(o.GetSeq())})
}

// open opens an offered file, or the growing clip that this stream has left open.
func (u *receiving) open(f offered, parked *incoming) (in *incoming, done bool, err error) {
	if parked != nil {
		if ok, err := parked.goOn(f); ok || err != nil {
			if err != nil {
				parked.close()
			}
			return parked, false, err
		}
		parked.close()
	}
	return u.store.begin(f)
}

// right is the digest of a file that is here and may stay, empty when none may: the one that the ledger says was stored, unless
// the box's journal has the digest of the one that is offered.
func (u *receiving) right(c ledger.Clip) []byte {
	switch {
	case len(factOf(c, u.part)) > 0: // and it is that of the offer
		return nil
	case u.part == edge.PartStill:
		return c.StillHas
	}
	return c.SHA256
}

// factOf is the digest in the box's journal, empty while that event has not arrived.
func factOf(c ledger.Clip, part edge.FilePart) []byte {
	if part == edge.PartStill {
		return c.StillSHA
	}
	return c.FactSHA
}

func (u *receiving) chunk(c *wire.Chunk) error {
	if u.in == nil {
		return nil // on its way when the offer was refused
	}
	if n := len(c.GetData()); n == 0 || n > wire.MaxChunkBytes {
		return status.Errorf(codes.InvalidArgument, "a chunk of %d bytes", n)
	}
	offset, err := u.in.write(c.GetOffset(), c.GetData())
	switch {
	case errors.Is(err, errProtocol):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, errTaken):
		return status.Error(codes.Aborted, err.Error())
	case errors.Is(err, errFull), errors.Is(err, errShare):
		u.in.close()
		u.in = nil
		return u.refuse("full", err.Error(), true)
	case err != nil:
		return u.broke(u.stream.Context(), err)
	}
	u.metrics.bytes.Add(float64(len(c.GetData())))
	u.have = offset
	if offset-u.told < progressBytes && u.o.Clock.Now().Mono-u.at < progressEvery && offset < u.size {
		return nil
	}
	return u.progress(offset)
}

// progress tells how far the open file is.
func (u *receiving) progress(offset int64) error {
	now := u.o.Clock.Now().Mono
	u.told, u.at = offset, now
	return u.reply(&wire.UploadReply{Message: &wire.UploadReply_Progress{Progress: &wire.Progress{Offset: offset, MonoNs: int64(now)}}})
}

func (u *receiving) finish(ctx context.Context, f *wire.Finish) error {
	if u.in == nil && !u.whole {
		return nil
	}
	if u.whole {
		u.whole = false
		return u.signed(ctx, f)
	}
	in := u.in
	err := in.finish()
	u.in = nil
	switch {
	case err == nil:
		return u.signed(ctx, f)
	case errors.Is(err, errDigest):
		u.repeats.say(u.o.Log.Warn, "digest "+string(u.site), "a file came with a wrong digest", "site", u.site, "clip", u.id)
		return u.refuse("digest", err.Error(), u.store.mismatched(in.final))
	case errors.Is(err, errTaken):
		return status.Error(codes.Aborted, err.Error())
	case errors.Is(err, errProtocol):
		in.close()
		return status.Error(codes.InvalidArgument, "the file is not complete")
	}
	return u.broke(ctx, err)
}

// signed keeps the manifest, then records the file.
func (u *receiving) signed(ctx context.Context, f *wire.Finish) error {
	if err := u.manifest(ctx, f); err != nil {
		return err
	}
	return u.stored(ctx)
}

// stored records the file, which has its name by now, and only then tells the box.
func (u *receiving) stored(ctx context.Context) error {
	edge.Crash("soc renamed before row")
	if err := u.o.Ledger.ClipStored(ctx, u.site, u.id, u.part, u.size, u.sha); err != nil {
		return u.broke(ctx, err)
	}
	edge.Crash("soc row before stored is told")
	name := "clip"
	if u.part == edge.PartStill {
		name = "still"
	}
	u.metrics.clips.WithLabelValues(name).Inc()
	return u.reply(&wire.UploadReply{Message: &wire.UploadReply_Stored{Stored: &wire.Stored{Clip: string(u.id), Part: wire.Part(u.part)}}})
}

func (u *receiving) state(ctx context.Context, c *wire.ClipState) error {
	if !wire.ValidID(c.GetClip()) || !c.GetCutting() {
		return nil
	}
	if err := u.o.Ledger.ClipCutting(ctx, u.site, edge.ClipID(c.GetClip())); err != nil {
		return u.broke(ctx, err)
	}
	return nil
}

func (u *receiving) refuse(what, reason string, again bool) error {
	u.metrics.refused.WithLabelValues(what).Inc()
	u.repeats.say(u.o.Log.Warn, "refused "+what+" "+string(u.site), "a file is refused", "site", u.site, "clip", wire.Text(string(u.id)), "err", reason)
	return u.reply(&wire.UploadReply{Message: &wire.UploadReply_Refused{Refused: &wire.Refused{
		Clip: wire.Text(string(u.id)), Part: wire.Part(u.part), Reason: reason, Again: again}}})
}

func (u *receiving) reply(m *wire.UploadReply) error { return u.stream.Send(m) }

// broke is for trouble of our own: the box may try again, the log hears what it was.
func (u *receiving) broke(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	u.o.Log.Error("a file cannot be stored", "site", u.site, "clip", u.id, "err", err)
	return status.Error(codes.Unavailable, "the SOC cannot store at the moment")
}

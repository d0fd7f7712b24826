package api

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// fileTimeout is how long one answer with a part of a clip may take; a player asks again from where it was.
const fileTimeout = 10 * time.Minute

// growingFor is how long after its last byte a clip is still said to grow: of a box that is destroyed nobody says that it is over.
const growingFor = time.Minute

type clip struct {
	ID     edge.ClipID      `json:"id"`
	Site   edge.SiteID      `json:"site"`
	Camera edge.CameraID    `json:"camera"`
	Event  eventRef         `json:"event"`
	From   stamp            `json:"from"`
	To     stamp            `json:"to"`
	State  ledger.ClipState `json:"state"`
	Reason string           `json:"reason"`
	Bytes  int64            `json:"bytes"`
	SHA256 edge.HexBytes    `json:"sha256"`

	Growing bool   `json:"growing"` // the box is still cutting it, as far as is known
	Codec   string `json:"codec"`   // h264 or h265
	Mime    string `json:"mime"`    // as a browser is asked whether it plays it
}

type eventRef struct {
	Journal edge.JournalID `json:"journal"`
	Seq     edge.Seq       `json:"seq"`
}

// clip serves clips/{id}, clips/{id}.mp4, clips/{id}.preview.mp4 and clips/{id}.jpg: a wildcard of the mux takes a whole element of
// the path.
func (a *API) clip(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	id, part, small := r.PathValue("id"), edge.FilePart(0), false
	if s, ok := strings.CutSuffix(id, ".preview.mp4"); ok {
		id, part, small = s, edge.PartClip, true
	} else if s, ok := strings.CutSuffix(id, ".mp4"); ok {
		id, part = s, edge.PartClip
	} else if s, ok := strings.CutSuffix(id, ".jpg"); ok {
		id, part = s, edge.PartStill
	}
	if !wire.ValidID(id) { // and so can be no path
		fail(w, http.StatusNotFound, "there is no clip with this id")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	c, err := a.o.Ledger.Clip(ctx, edge.ClipID(id))
	switch {
	case err != nil:
		a.trouble(w, r.WithContext(ctx), err)
	case small:
		a.preview(w, r, &c)
	case part == edge.PartClip && len(c.SHA256) == 0:
		a.arriving(w, r, &c)
	case part != 0:
		a.file(w, r, &c, part)
	default:
		a.describe(w, &c)
	}
}

func (a *API) describe(w http.ResponseWriter, c *ledger.Clip) {
	bytes := c.SizeBytes
	path, whole := a.clipFile(c)
	f := filmOf(path, whole)
	if !whole {
		bytes = f.playable
	}
	reply(w, http.StatusOK, clip{ID: c.ID, Site: c.Site, Camera: c.Camera, Event: eventRef{c.Journal, c.Seq}, From: stamp(c.From),
		To: stamp(c.To), State: c.State, Reason: c.Reason, Bytes: bytes, SHA256: c.SHA256, Codec: f.codec, Mime: f.mime,
		Growing: c.State == ledger.ClipUploading && len(c.FactSHA) == 0 && a.o.Clock.Now().Wall.Sub(f.came) < growingFor})
}

// file serves a finished file, with ranges. Its bytes never change under an id.
func (a *API) file(w http.ResponseWriter, r *http.Request, c *ledger.Clip, part edge.FilePart) {
	there, kind := c.Still, "image/jpeg"
	if part == edge.PartClip {
		there, kind = len(c.SHA256) > 0, "video/mp4"
	}
	if !there {
		fail(w, http.StatusNotFound, "this file has not arrived yet")
		return
	}
	f, err := os.Open(a.o.ClipPath(c.Site, c.ID, part))
	if errors.Is(err, fs.ErrNotExist) {
		a.o.Log.Error("a stored file is gone; restore it from a backup", "site", c.Site, "clip", c.ID, "err", err)
		fail(w, http.StatusNotFound, "the SOC has had this file, and it is gone from its disk")
		return
	}
	if err != nil {
		a.trouble(w, r, err)
		return
	}
	defer f.Close()
	a.looked(r, c, part)
	if err := http.NewResponseController(w).SetWriteDeadline(a.o.Clock.Now().Wall.Add(fileTimeout)); err != nil {
		a.trouble(w, r, err)
		return
	}
	w.Header().Set("Content-Type", kind)
	// A browser may keep it, and has to ask each time: who looks a second time is logged, too.
	w.Header().Set("Cache-Control", "private, no-cache")
	digest := c.StillHas
	if part == edge.PartClip {
		digest = c.SHA256
	}
	if len(digest) > 0 {
		w.Header().Set("ETag", `"`+digest.String()+`"`)
	}
	content(w, r, f)
}

// content is http.ServeContent, but for its answer to a range that is not there: that is JSON like every error here.
func content(w http.ResponseWriter, r *http.Request, f io.ReadSeeker) {
	s := &served{ResponseWriter: w}
	http.ServeContent(s, r, "", time.Time{}, f)
	if s.noRange { // of a range beyond the end, Content-Range with the size of the file is set and stays
		fail(w, http.StatusRequestedRangeNotSatisfiable, "the range that is asked for is no part of this file")
	}
}

// served holds back the answer 416.
type served struct {
	http.ResponseWriter
	noRange bool
}

func (s *served) WriteHeader(code int) {
	if s.noRange = code == http.StatusRequestedRangeNotSatisfiable; !s.noRange {
		s.ResponseWriter.WriteHeader(code)
	}
}

func (s *served) Write(b []byte) (int, error) {
	if s.noRange {
		return len(b), nil
	}
	return s.ResponseWriter.Write(b)
}

// ReadFrom keeps the way by which the kernel sends a file without copying it.
func (s *served) ReadFrom(src io.Reader) (int64, error) { return io.Copy(s.ResponseWriter, src) }

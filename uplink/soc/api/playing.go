package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/soc/preview"
)

// clipFile is where a clip is; whole says that all of it is there, checked against its digest. "" when nothing has come.
func (a *API) clipFile(c *ledger.Clip) (path string, whole bool) {
	if len(c.SHA256) > 0 {
		return a.o.ClipPath(c.Site, c.ID, edge.PartClip), true
	}
	if a.o.Arriving == nil {
		return "", false
	}
	return a.o.Arriving(c.Site, c.ID), false
}

// filmOf reads the file of a clip, of a whole one the header only. What cannot be read is not known.
func filmOf(path string, whole bool) film {
	if path == "" {
		return film{}
	}
	f, err := os.Open(path)
	if err != nil {
		return film{}
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return film{}
	}
	film := readFilm(f, fi.Size(), whole)
	film.came = fi.ModTime()
	return film
}

// arriving serves what has come of a clip so far: whole fragments, with ranges. There may be more at the next request, and
// nobody has checked it yet.
func (a *API) arriving(w http.ResponseWriter, r *http.Request, c *ledger.Clip) {
	path, _ := a.clipFile(c)
	n := filmOf(path, false).playable
	if n == 0 {
		fail(w, http.StatusNotFound, "this file has not arrived yet")
		return
	}
	f, err := os.Open(path)
	if err != nil { // it has just been completed
		fail(w, http.StatusNotFound, "this file is being completed; ask again")
		return
	}
	defer f.Close()
	if err := http.NewResponseController(w).SetWriteDeadline(a.o.Clock.Now().Wall.Add(fileTimeout)); err != nil {
		a.trouble(w, r, err)
		return
	}
	a.looked(r, c, edge.PartClip)
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("ETag", fmt.Sprintf(`"%s-%d"`, c.ID, n))
	content(w, r, io.NewSectionReader(f, 0, n))
}

// preview serves a copy of the clip, or of what has come of it, that every browser plays. It is made now if there is none.
func (a *API) preview(w http.ResponseWriter, r *http.Request, c *ledger.Clip) {
	path, whole := a.clipFile(c)
	film := filmOf(path, whole)
	size := film.playable
	if whole {
		size = c.SizeBytes
	}
	if path == "" || size == 0 {
		fail(w, http.StatusNotFound, "this file has not arrived yet")
		return
	}
	if _, err := os.Stat(path); err != nil {
		if a.o.Previews != nil && whole {
			a.o.Previews.Forget(c.ID) // a preview does not outlive its clip
		}
		fail(w, http.StatusNotFound, "the SOC has had this file, and it is gone from its disk")
		return
	}
	if a.o.Previews == nil {
		fail(w, http.StatusNotImplemented, preview.ErrMissing.Error())
		return
	}
	if err := http.NewResponseController(w).SetWriteDeadline(a.o.Clock.Now().Wall.Add(fileTimeout)); err != nil {
		a.trouble(w, r, err)
		return
	}
	f, size, err := a.previewOf(r, c.ID, path, size, whole)
	for known, code := range map[error]int{preview.ErrMissing: http.StatusNotImplemented, preview.ErrBusy: http.StatusServiceUnavailable,
		preview.ErrFull: http.StatusInsufficientStorage, preview.ErrTimeout: http.StatusServiceUnavailable, preview.ErrUnplayable: http.StatusUnprocessableEntity} {
		if errors.Is(err, known) {
			fail(w, code, known.Error())
			return
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return // nobody is listening
	case err != nil:
		a.o.Log.Error("a preview cannot be made", "clip", c.ID, "err", err)
		fail(w, http.StatusInternalServerError, "the SOC cannot make a preview at the moment")
		return
	}
	defer f.Close()
	a.looked(r, c, edge.PartClip)
	w.Header().Set("Content-Type", "video/mp4")
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Content-Disposition", fmt.Sprintf(`inline; filename="%s.preview.mp4"`, c.ID))
	w.Header().Set("ETag", fmt.Sprintf(`"preview-%s-%d"`, c.ID, size))
	content(w, r, f)
}

// previewFresh is how old the preview of a clip that grows becomes before whoever begins to play it gets another.
const previewFresh = 10 * time.Second

// previewOf opens the preview of a clip, and says of how many of its bytes it is. A player asks for one film in many ranges: while
// the clip grows they are of the same preview.
func (a *API) previewOf(r *http.Request, id edge.ClipID, path string, size int64, whole bool) (*os.File, int64, error) {
	if !whole {
		f, of, made := a.o.Previews.Newest(id)
		if f != nil {
			asked := r.Header.Get("Range")
			if asked != "" && !strings.HasPrefix(asked, "bytes=0-") || a.o.Clock.Now().Wall.Sub(made) < previewFresh {
				return f, of, nil
			}
			f.Close()
		}
	}
	f, err := a.o.Previews.Of(r.Context(), id, path, size)
	return f, size, err
}

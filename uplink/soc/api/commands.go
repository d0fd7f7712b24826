package api

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

const (
	maxSpan     = 10 * time.Minute // of a clip that is asked for: no box cuts a longer one
	bodyTimeout = 10 * time.Second
	maxExpires  = 30 * 24 * time.Hour // a command is not for next year
)

type commandRequest struct {
	Kind    string    `json:"kind"`
	Camera  string    `json:"camera"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Expires time.Time `json:"expires"`
}

func (a *API) postCommand(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	id := r.PathValue("id")
	if !edge.ValidID(id) {
		fail(w, http.StatusNotFound, noSite)
		return
	}
	// A form of another page can send text/plain without asking; it cannot send JSON.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		fail(w, http.StatusUnsupportedMediaType, "send application/json")
		return
	}
	if err := http.NewResponseController(w).SetReadDeadline(a.o.Clock.Now().Wall.Add(bodyTimeout)); err != nil {
		a.trouble(w, r, err)
		return
	}
	var q commandRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		fail(w, http.StatusBadRequest, "the body cannot be read: "+err.Error())
		return
	}
	if _, err := d.Token(); err != io.EOF {
		fail(w, http.StatusBadRequest, "the body has something after the command")
		return
	}
	if problem := a.check(&q); problem != "" {
		fail(w, http.StatusBadRequest, problem)
		return
	}
	c := edge.Command{ID: edge.CommandID(edge.NewID()), Kind: q.Kind, Camera: edge.CameraID(q.Camera),
		From: q.From, To: q.To, Expires: q.Expires, Signer: "console"}
	if err := a.o.Ledger.PutCommand(r.Context(), edge.SiteID(id), c); err != nil {
		a.trouble(w, r, err)
		return
	}
	a.o.Presence.Nudge(edge.SiteID(id))
	w.Header().Set("Location", "/api/v1/commands/"+string(c.ID))
	reply(w, http.StatusCreated, map[string]string{"id": string(c.ID)})
}

// check returns what is wrong with a request, "" when nothing is.
func (a *API) check(q *commandRequest) string {
	now := a.o.Clock.Now().Wall
	switch {
	case q.Kind != "clip" && q.Kind != "status":
		return "the kind of a command is clip or status"
	case !q.Expires.After(now):
		return "expires is not a time to come"
	case q.Expires.After(now.Add(maxExpires)):
		return "expires is more than 30 days away"
	case q.Kind == "status" && (q.Camera != "" || !q.From.IsZero() || !q.To.IsZero()):
		return "status takes no camera, from or to"
	case q.Kind == "status":
		return ""
	case !edge.ValidID(q.Camera):
		return "camera is not the id of a camera"
	case q.From.IsZero() || q.To.IsZero() || !q.From.Before(q.To):
		return "from and to are two times, from before to"
	case q.To.Sub(q.From) > maxSpan:
		return "from and to are more than 10 minutes apart: ask for several clips"
	}
	return ""
}

type command struct {
	ID      edge.CommandID    `json:"id"`
	Site    edge.SiteID       `json:"site"`
	Kind    string            `json:"kind"`
	Camera  edge.CameraID     `json:"camera"`
	From    stamp             `json:"from"`
	To      stamp             `json:"to"`
	Expires stamp             `json:"expires"`
	State   edge.CommandState `json:"state"`
	Outcome string            `json:"outcome"`
}

func (a *API) command(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	id := r.PathValue("id")
	if !wire.ValidID(id) {
		fail(w, http.StatusNotFound, "there is no command with this id")
		return
	}
	c, err := a.o.Ledger.Command(r.Context(), edge.CommandID(id), a.o.Clock.Now().Wall)
	if err != nil {
		a.trouble(w, r, err)
		return
	}
	reply(w, http.StatusOK, command{ID: c.ID, Site: c.Site, Kind: c.Kind, Camera: c.Camera, From: stamp(c.From), To: stamp(c.To),
		Expires: stamp(c.Expires), State: c.State, Outcome: c.Outcome})
}

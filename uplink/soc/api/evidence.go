package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// clipEvidence is what the box has signed of a clip.
type clipEvidence struct {
	Clip        edge.ClipID     `json:"clip"`
	State       string          `json:"state"`   // signed, unsigned, bad
	Problem     string          `json:"problem"` // why the box's manifest does not hold
	Manifest    json.RawMessage `json:"manifest"`
	Signature   edge.HexBytes   `json:"signature"`
	Certificate edge.HexBytes   `json:"certificate"` // its fingerprint
	ReceivedAt  stamp           `json:"received_at"`
}

func (a *API) clipEvidence(w http.ResponseWriter, r *http.Request) {
	if _, ok := query(w, r); !ok {
		return
	}
	id := edge.ClipID(r.PathValue("id"))
	if !wire.ValidID(string(id)) {
		fail(w, http.StatusNotFound, "there is no clip with this id")
		return
	}
	if _, err := a.o.Ledger.Clip(r.Context(), id); err != nil {
		a.trouble(w, r, err)
		return
	}
	m, err := a.o.Ledger.Manifest(r.Context(), id)
	out := clipEvidence{Clip: id, State: "unsigned", Manifest: json.RawMessage("null")}
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		reply(w, http.StatusOK, out)
		return
	case err != nil:
		a.trouble(w, r, err)
		return
	}
	out.State, out.Problem, out.ReceivedAt = "signed", m.Problem, stamp(m.Received)
	out.Signature, out.Certificate = m.Signed.Signature, edge.Fingerprint(m.Signed.Certificate)
	if m.Problem != "" {
		out.State = "bad"
	}
	if json.Valid(m.Signed.Body) {
		out.Manifest = m.Signed.Body
	}
	reply(w, http.StatusOK, out)
}

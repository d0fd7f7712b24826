package soc

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
)

const revokedFile = "revoked.json"

// revocations is the content of revoked.json.
type revocations struct {
	Sites map[edge.SiteID]revocation `json:"sites"`
}

// revocation ends every certificate of a site that is valid from Until or before. One that is made later counts again: the
// site's next box, or the same one with a new token.
type revocation struct {
	Until time.Time `json:"until"`
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
}

// Revoke ends the certificates and the unused tokens of a site, as `soc revoke` does. data is the SOC's data folder; a SOC
// that runs there refuses the box from its next look on, within a second.
func Revoke(data string, site edge.SiteID, why string, clock edge.Clock) error {
	ca, err := OpenCA(filepath.Join(data, "ca"), clock)
	if err != nil {
		return err
	}
	// The tokens first: what one of them got a moment ago is revoked with the rest, what it would get after that would count.
	claims, err := OpenClaims(filepath.Join(data, "claims"), ca, clock)
	if err == nil {
		err = claims.void(site)
	}
	return errors.Join(ca.revoke(site, why), err)
}

func (ca *CA) revoke(site edge.SiteID, why string) error {
	if !edge.ValidID(string(site)) {
		return edge.WithHint(fmt.Errorf("site id %q is not valid", site), "use 1 to 32 letters, digits and hyphens")
	}
	unlock, err := ca.lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := ca.readRevoked()
	if err != nil {
		return err
	}
	now := ca.clock.Now().Wall.UTC()
	until := now.Add(-backdate).Truncate(time.Second)
	if old := r.Sites[site].Until; old.After(until) {
		until = old
	}
	// A certificate that was made when our clock was ahead counts as made now.
	if rec, ok, err := ca.readBox(site); err == nil && ok && rec.latest().After(until) {
		until = rec.latest()
	}
	r.Sites[site] = revocation{Until: until, At: now.Truncate(time.Second), Why: why}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(ca.path(revokedFile), append(b, '\n'), 0o644)
}

func (ca *CA) readRevoked() (revocations, error) {
	r := revocations{Sites: map[edge.SiteID]revocation{}}
	b, err := os.ReadFile(ca.path(revokedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := decodeStrict(b, &r); err != nil {
		return r, fmt.Errorf("%s: %w", revokedFile, err)
	}
	for site, v := range r.Sites {
		if !edge.ValidID(string(site)) || v.Until.IsZero() {
			return r, fmt.Errorf("%s: the entry of site %q is not valid", revokedFile, site)
		}
	}
	if r.Sites == nil {
		return r, fmt.Errorf("%s: it lists no sites", revokedFile)
	}
	return r, nil
}

// isRevoked says whether anything of the site has been revoked; the caller holds mu.
func (ca *CA) isRevoked(site edge.SiteID) bool {
	_, ok := ca.revoked.Sites[site]
	return ok
}

// revokes says whether a certificate of the site has been revoked.
func (ca *CA) revokes(site edge.SiteID, cert *x509.Certificate) bool {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	r, ok := ca.revoked.Sites[site]
	return ok && !cert.NotBefore.After(r.Until)
}

// decodeStrict reads one JSON value: a key that is misspelt must not pass for one that is missing.
func decodeStrict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the end")
	}
	return nil
}

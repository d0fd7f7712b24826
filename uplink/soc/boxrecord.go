package soc

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sitewatch/edge"
)

// boxRecord is the file of a site in the folder boxes: which certificate its box has got, and which it was last seen with.
type boxRecord struct {
	Issued    *boxCert `json:"issued,omitempty"`
	Presented *boxCert `json:"presented,omitempty"`
	// Newest is from when a certificate counts that has been replaced, when that is later than those above do: it was made while
	// our clock was ahead, and must end with the others when the site is revoked.
	Newest time.Time `json:"newest,omitzero"`
}

type boxCert struct {
	Certificate edge.HexBytes `json:"certificate"` // DER
	At          time.Time     `json:"at"`          // when it was issued, or first presented

	parsed *x509.Certificate
}

// latest is from when the newest certificate of the site counts; zero when none is known.
func (r boxRecord) latest() time.Time {
	t := r.Newest
	for _, c := range []*boxCert{r.Issued, r.Presented} {
		if c != nil && c.parsed.NotBefore.After(t) {
			t = c.parsed.NotBefore
		}
	}
	return t
}

// has is the certificate that the box is known to have: the one that it showed last; before that, the one that it was sent.
func (r boxRecord) has() *x509.Certificate {
	if r.Presented != nil {
		return r.Presented.parsed
	}
	return r.Issued.parsed
}

func (ca *CA) boxDir() string { return ca.path("boxes") }

func (ca *CA) boxPath(site edge.SiteID) string {
	return filepath.Join(ca.boxDir(), string(site)+".json")
}

// readBox reads the record of a site; false when there is none.
func (ca *CA) readBox(site edge.SiteID) (boxRecord, bool, error) {
	var r boxRecord
	b, err := os.ReadFile(ca.boxPath(site))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err == nil {
		err = decodeStrict(b, &r)
	}
	if err != nil {
		return r, false, fmt.Errorf("record of box %s: %w", site, err)
	}
	for _, c := range []*boxCert{r.Issued, r.Presented} {
		if c == nil {
			continue
		}
		if c.parsed, err = x509.ParseCertificate(c.Certificate); err != nil {
			return r, false, fmt.Errorf("record of box %s: %w", site, err)
		}
	}
	if r.Issued == nil && r.Presented == nil {
		return r, false, fmt.Errorf("record of box %s names no certificate", site)
	}
	return r, true, nil
}

// readBoxes reads all records, and says of which sites the record cannot be read.
func (ca *CA) readBoxes() (map[edge.SiteID]boxRecord, error) {
	files, err := os.ReadDir(ca.boxDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	all := map[edge.SiteID]boxRecord{}
	var bad []error
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if site := edge.SiteID(name); ok && edge.ValidID(name) {
			r, ok, err := ca.readBox(site)
			if err != nil {
				bad = append(bad, err)
			}
			if ok {
				all[site] = r
			}
		}
	}
	return all, errors.Join(bad...)
}

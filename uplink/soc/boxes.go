package soc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
)

// boxRecord is the file of a site in the folder boxes: which certificate its box has got, and which it was last seen with.
type boxRecord struct {
	Issued    *boxCert `json:"issued,omitempty"`
	Presented *boxCert `json:"presented,omitempty"`
}

type boxCert struct {
	Certificate edge.HexBytes `json:"certificate"` // DER
	At          time.Time     `json:"at"`          // when it was issued, or first presented

	parsed *x509.Certificate
}

// latest is from when the newest certificate of the site counts; zero when none is known.
func (r boxRecord) latest() (t time.Time) {
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

// boxes are the records as the running SOC keeps them. Only it writes them.
type boxes struct {
	ca *CA

	mu  sync.Mutex
	all map[edge.SiteID]boxRecord
}

func openBoxes(ca *CA) (*boxes, error) {
	if err := os.MkdirAll(ca.boxDir(), 0o700); err != nil {
		return nil, fmt.Errorf("open the boxes' records: %w", err)
	}
	all, err := ca.readBoxes()
	if all == nil {
		return nil, fmt.Errorf("open the boxes' records: %w", err)
	}
	return &boxes{ca: ca, all: all}, err
}

func (b *boxes) get(site edge.SiteID) (boxRecord, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.all[site]
	return r, ok
}

// change writes a site's record; the caller holds mu.
func (b *boxes) change(site edge.SiteID, r boxRecord) error {
	j, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(b.ca.boxPath(site), append(j, '\n'), 0o644); err != nil {
		return err
	}
	b.all[site] = r
	return nil
}

// presented notes with what a box has come.
func (b *boxes) presented(st standing, at time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.all[st.site]
	if r.Presented != nil && r.Presented.parsed.Equal(st.cert) {
		return nil
	}
	r.Presented = &boxCert{Certificate: st.cert.Raw, At: at.UTC().Truncate(time.Second), parsed: st.cert}
	return b.change(st.site, r)
}

// again is how long a box that asks again gets the certificate that it has got already: its reply may have been lost, and
// it asks a second time to show that it has it.
const again = time.Hour

// issue makes a certificate for a site's box, or gives the one of a moment ago.
func (b *boxes) issue(site edge.SiteID, pub *ecdsa.PublicKey) (*x509.Certificate, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.ca.clock.Now().Wall
	r := b.all[site]
	if i := r.Issued; i != nil {
		by := b.ca.signer(i.parsed)
		if age := now.Sub(i.At); age > -again && age < again && pub.Equal(i.parsed.PublicKey) &&
			by != nil && by.state == AuthorityIssuing && !b.ca.revokes(site, i.parsed) {
			return i.parsed, nil
		}
	}
	c, err := b.ca.Issue(site, pub)
	if err != nil {
		return nil, err
	}
	r.Issued = &boxCert{Certificate: c.Raw, At: now.UTC().Truncate(time.Second), parsed: c}
	return c, b.change(site, r)
}

// enrolled notes what a claim has given.
func (b *boxes) enrolled(site edge.SiteID, der []byte) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.all[site]
	if r.Issued != nil && bytes.Equal(r.Issued.Certificate, der) {
		return nil
	}
	r.Issued = &boxCert{Certificate: der, At: b.ca.clock.Now().Wall.UTC().Truncate(time.Second), parsed: c}
	r.Presented = nil // a box of another key may stand there now
	return b.change(site, r)
}

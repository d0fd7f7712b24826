package soc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"sitewatch/edge"
	"sitewatch/uplink/durable"
)

// boxes are the records as the running SOC keeps them. Only it writes them. What a box presents is written a moment later
// by flush: when all boxes of an estate come at once, none shall wait for the disk because of it.
type boxes struct {
	ca *CA

	write sync.Mutex // held while files are written; taken before mu

	mu    sync.Mutex
	all   map[edge.SiteID]boxRecord
	dirty map[edge.SiteID]bool // not written yet
}

func openBoxes(ca *CA) (*boxes, error) {
	if err := os.MkdirAll(ca.boxDir(), 0o700); err != nil {
		return nil, fmt.Errorf("open the boxes' records: %w", err)
	}
	all, err := ca.readBoxes()
	if all == nil {
		return nil, fmt.Errorf("open the boxes' records: %w", err)
	}
	return &boxes{ca: ca, all: all, dirty: map[edge.SiteID]bool{}}, err
}

func (b *boxes) get(site edge.SiteID) (boxRecord, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, ok := b.all[site]
	return r, ok
}

// presented notes with what a box has come.
func (b *boxes) presented(st standing, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.all[st.site]
	if r.Presented != nil && r.Presented.parsed.Equal(st.cert) {
		return
	}
	r.Presented = &boxCert{Certificate: st.cert.Raw, At: at.UTC().Truncate(time.Second), parsed: st.cert}
	b.all[st.site], b.dirty[st.site] = r, true
}

// flush writes what presented has noted, of at most max sites; 0: of all. What could not be written stays for the next time.
func (b *boxes) flush(max int) error {
	b.write.Lock()
	defer b.write.Unlock()
	b.mu.Lock()
	var sites []edge.SiteID
	for site := range b.dirty {
		if max > 0 && len(sites) == max {
			break
		}
		sites = append(sites, site)
		delete(b.dirty, site)
	}
	b.mu.Unlock()
	var bad []error
	for _, site := range sites {
		r, _ := b.get(site)
		if err := b.save(site, r); err != nil {
			bad = append(bad, err)
			b.mu.Lock()
			b.dirty[site] = true
			b.mu.Unlock()
		}
	}
	return errors.Join(bad...)
}

func (b *boxes) save(site edge.SiteID, r boxRecord) error {
	j, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return durable.WriteFile(b.ca.boxPath(site), append(j, '\n'), 0o644)
}

// issued writes and notes what a site has got; the caller holds write.
func (b *boxes) issued(site edge.SiteID, c *x509.Certificate, forget bool) error {
	r, _ := b.get(site)
	if newest := r.latest(); newest.After(r.Newest) {
		r.Newest = newest
	}
	r.Issued = &boxCert{Certificate: c.Raw, At: b.ca.clock.Now().Wall.UTC().Truncate(time.Second), parsed: c}
	if forget {
		r.Presented = nil
	}
	if err := b.save(site, r); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !forget {
		r.Presented = b.all[site].Presented // it may have come meanwhile
	}
	b.all[site] = r
	return nil
}

// flushMost is of how many sites a turn of runTrust writes the records.
const flushMost = 16

// again is how long a box that asks again gets the certificate that it has got already: its reply may have been lost, and
// it asks a second time to show that it has it.
const again = time.Hour

// issue makes a certificate for the site's box that has shown have, or gives the one of a moment ago. It is on disk when it is
// returned. ErrRevoked when have has been revoked meanwhile.
func (b *boxes) issue(site edge.SiteID, pub *ecdsa.PublicKey, have *x509.Certificate) (*x509.Certificate, error) {
	b.write.Lock()
	defer b.write.Unlock()
	if _, err := b.ca.refresh(); err != nil {
		return nil, err
	}
	if have != nil && b.ca.revokes(site, have) {
		return nil, ErrRevoked
	}
	r, _ := b.get(site)
	if i := r.Issued; i != nil {
		by := b.ca.signer(i.parsed)
		if age := b.ca.clock.Now().Wall.Sub(i.At); age > -again && age < again && pub.Equal(i.parsed.PublicKey) &&
			by != nil && by.state == AuthorityIssuing && !b.ca.revokes(site, i.parsed) {
			return i.parsed, nil
		}
	}
	c, err := b.ca.Issue(site, pub, have)
	if err != nil {
		return nil, err
	}
	return c, b.issued(site, c, false)
}

// enrolled notes what a claim has given. A box of another key may stand there now.
func (b *boxes) enrolled(site edge.SiteID, der []byte) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	b.write.Lock()
	defer b.write.Unlock()
	if r, _ := b.get(site); r.Issued != nil && bytes.Equal(r.Issued.Certificate, der) {
		return nil
	}
	return b.issued(site, c, true)
}

package soc

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"sitewatch/edge"
)

// Authority is one CA, as `soc ca show` lists it.
type Authority struct {
	Name        string
	State       AuthorityState
	Fingerprint [32]byte
	Begins      time.Time
	Ends        time.Time
	Vouched     bool          // by the one before it: boxes that know only that one believe the SOC all the same
	Boxes       []edge.SiteID // whose certificate is by it, without those that have been revoked
}

// BehindError says that a step of a rollover would lock boxes out.
type BehindError struct {
	Sites []edge.SiteID
	What  string
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("%d boxes %s: %v", len(e.Sites), e.What, e.Sites)
}

// Rollover replaces the authority of the SOC whose data folder it is. A SOC may be running there; it takes each step over
// within a second and its boxes follow without being touched. No step is lost by a kill: the file that names the states
// is written last and whole.
type Rollover struct{ ca *CA }

// OpenRollover opens the CA of the data folder.
func OpenRollover(data string, clock edge.Clock) (*Rollover, error) {
	ca, err := OpenCA(filepath.Join(data, "ca"), clock)
	if err != nil {
		return nil, err
	}
	return &Rollover{ca}, nil
}

// Authorities lists them, oldest first.
func (r *Rollover) Authorities() ([]Authority, error) {
	if _, err := r.ca.refresh(); err != nil {
		return nil, err
	}
	boxes, err := r.ca.readBoxes()
	if boxes == nil {
		return nil, err
	}
	r.ca.mu.Lock()
	all := slices.Clone(r.ca.all)
	r.ca.mu.Unlock()
	var out []Authority
	for _, a := range all {
		if a.state == AuthorityRetired {
			retired, err := loadCert(r.ca.path(a.name + ".pem"))
			if err != nil {
				out = append(out, Authority{Name: a.name, State: a.state})
				continue // its files may be gone, nothing needs them
			}
			a = &authority{name: a.name, state: a.state, cert: retired}
		}
		o := Authority{Name: a.name, State: a.state, Fingerprint: a.fingerprint(), Begins: a.cert.NotBefore, Ends: a.cert.NotAfter, Vouched: a.cross != nil}
		for site, rec := range boxes {
			if c := rec.has(); c.CheckSignatureFrom(a.cert) == nil && !r.ca.revokes(site, c) {
				o.Boxes = append(o.Boxes, site)
			}
		}
		slices.Sort(o.Boxes)
		out = append(out, o)
	}
	return out, nil
}

// New makes the next authority. Boxes are told to trust it as they renew; it issues nothing before Switch.
func (r *Rollover) New() (Authority, error) {
	err := r.change(func(as *authorities) error {
		for _, e := range as.Authorities {
			switch e.State {
			case AuthorityNext:
				return edge.WithHint(fmt.Errorf("%s is there already", e.Name), "go on with `soc ca switch`")
			case AuthorityAccepted:
				return edge.WithHint(fmt.Errorf("%s is still accepted from the change before", e.Name), "finish that with `soc ca retire` first")
			}
		}
		name := fmt.Sprintf("%s-%d", firstAuthority, len(as.Authorities)+1)
		if _, err := r.ca.makeAuthority(name, r.ca.issuing()); err != nil {
			return err
		}
		as.Authorities = append(as.Authorities, authorityEntry{name, AuthorityNext})
		return nil
	})
	if err != nil {
		return Authority{}, err
	}
	all, err := r.Authorities()
	if err != nil {
		return Authority{}, err
	}
	return all[len(all)-1], nil
}

// Switch makes the next authority the issuing one: the SOC's own certificate and new ones of boxes are by it; certificates
// by the one before are still accepted. Where that one cannot vouch for its successor, boxes that have not been told of it
// would be locked out: then BehindError, unless forced.
func (r *Rollover) Switch(force bool) error {
	return r.change(func(as *authorities) error {
		next := slices.IndexFunc(as.Authorities, func(e authorityEntry) bool { return e.State == AuthorityNext })
		if next < 0 {
			return edge.WithHint(errors.New("there is no next authority"), "make one with `soc ca new`")
		}
		a, err := r.ca.loadAuthority(authorityEntry{as.Authorities[next].Name, AuthorityIssuing}) // with its key
		if err != nil {
			return err
		}
		if a.cross == nil && !force {
			// A box learns of an authority with a certificate, so one that is older than the authority has not been told.
			if behind, err := r.behind(func(c boxRecord) bool { return c.has().NotBefore.Before(a.cert.NotBefore) }); err != nil {
				return err
			} else if len(behind) > 0 {
				return &BehindError{behind, "do not know " + a.name + " yet"}
			}
		}
		for i := range as.Authorities {
			if as.Authorities[i].State == AuthorityIssuing {
				as.Authorities[i].State = AuthorityAccepted
			}
		}
		as.Authorities[next].State = AuthorityIssuing
		return nil
	})
}

// Retire ends the accepted authorities: nothing by them is taken any more. BehindError when boxes have no newer
// certificate, unless forced; those need a new token then.
func (r *Rollover) Retire(force bool) error {
	return r.change(func(as *authorities) error {
		found := false
		for i, e := range as.Authorities {
			if e.State != AuthorityAccepted {
				continue
			}
			a, err := r.ca.loadAuthority(e)
			if err != nil {
				return err
			}
			behind, err := r.behind(func(c boxRecord) bool { return c.has().CheckSignatureFrom(a.cert) == nil })
			if err != nil {
				return err
			}
			if len(behind) > 0 && !force {
				return &BehindError{behind, "have no newer certificate than by " + a.name}
			}
			as.Authorities[i].State, found = AuthorityRetired, true
		}
		if !found {
			return edge.WithHint(errors.New("there is no authority to retire"), "an authority is replaced by `soc ca new`, then `soc ca switch`, then `soc ca retire`")
		}
		return nil
	})
}

// behind are the sites whose box's record is so, without those that are revoked: they are not to come back.
func (r *Rollover) behind(so func(boxRecord) bool) ([]edge.SiteID, error) {
	boxes, err := r.ca.readBoxes()
	if err != nil {
		return nil, err
	}
	var out []edge.SiteID
	for site, rec := range boxes {
		if so(rec) && !r.ca.revokes(site, rec.has()) {
			out = append(out, site)
		}
	}
	slices.Sort(out)
	return out, nil
}

// change does one step under the lock of the folder.
func (r *Rollover) change(step func(as *authorities) error) error {
	unlock, err := r.ca.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := r.ca.refresh(); err != nil {
		return err
	}
	as, err := r.ca.readAuthorities()
	if err != nil {
		return err
	}
	if err := step(&as); err != nil {
		return err
	}
	if err := r.ca.saveAuthorities(as); err != nil {
		return err
	}
	_, err = r.ca.refresh()
	return err
}

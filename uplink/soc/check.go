package soc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"sitewatch/edge"
)

// caNotice is how long before the end of an authority somebody is told: a rollover takes as long as the slowest box.
const caNotice = 2 * 365 * 24 * time.Hour

// CheckTrust reads what the SOC of a data folder trusts, and changes nothing. Problems keep it from working, or keep out
// whom it should let in; advice is for later.
func CheckTrust(data string, clock edge.Clock) (problems []error, advice []string) {
	ca := &CA{dir: filepath.Join(data, "ca"), clock: clock}
	if _, err := os.Stat(ca.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the first run makes it
	}
	if _, err := os.Lstat(ca.path(firstAuthority + ".pem")); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(ca.path(stateFile)); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	const backup = "restore %s from a backup: the boxes know no other authority"
	if _, err := ca.refresh(); err != nil {
		return []error{edge.WithHint(err, fmt.Sprintf(backup, ca.dir))}, nil
	}
	now := clock.Now().Wall
	for _, a := range ca.trusted() {
		if a.state == AuthorityNext {
			if _, _, err := loadPair(ca.path(a.name+".pem"), ca.path(a.name+"-key.pem")); err != nil {
				problems = append(problems, edge.WithHint(err, fmt.Sprintf(backup, ca.dir)))
			}
		}
		switch {
		case now.After(a.cert.NotAfter):
			problems = append(problems, edge.WithHint(fmt.Errorf("the authority %s has ended on %s", a.name, a.cert.NotAfter.Format(time.DateOnly)),
				"replace it: `soc ca new`, `soc ca switch`; boxes that know no other need a new token"))
		case now.Before(a.cert.NotBefore):
			problems = append(problems, edge.WithHint(fmt.Errorf("the authority %s begins on %s, and it is %s here", a.name, a.cert.NotBefore.Format(time.DateOnly), now.Format(time.DateOnly)),
				"set this machine's clock"))
		case a.state == AuthorityIssuing && now.Add(caNotice).After(a.cert.NotAfter):
			advice = append(advice, fmt.Sprintf("the authority %s ends on %s: replace it with `soc ca new` and `soc ca switch` before", a.name, a.cert.NotAfter.Format(time.DateOnly)))
		case a.state == AuthorityAccepted:
			advice = append(advice, fmt.Sprintf("the authority %s is still accepted: `soc ca retire` ends that when every box has renewed", a.name))
		case a.state == AuthorityNext:
			advice = append(advice, fmt.Sprintf("the authority %s waits: `soc ca switch` makes it the issuing one", a.name))
		}
	}
	boxes, err := ca.readBoxes()
	if err != nil {
		problems = append(problems, edge.WithHint(err, "remove the file: it is written anew when the box comes"))
	}
	expired := 0
	for site, r := range boxes {
		if c := r.has(); now.After(c.NotAfter) && !ca.revokes(site, c) {
			expired++
		}
	}
	if expired > 0 {
		advice = append(advice, fmt.Sprintf("%d boxes have an expired certificate: they may deliver and renew all the same; `soc revoke --site ID` shuts one out for good", expired))
	}
	return problems, advice
}

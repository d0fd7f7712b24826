package soc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"

	"sitewatch/uplink/durable"
	"sitewatch/uplink/wire"
)

// AuthorityState is how far an authority is in its life.
type AuthorityState string

const (
	AuthorityNext     AuthorityState = "next"     // boxes are told to trust it; it issues nothing yet
	AuthorityIssuing  AuthorityState = "issuing"  // the one that makes certificates
	AuthorityAccepted AuthorityState = "accepted" // issues no more; the boxes' certificates by it are still taken
	AuthorityRetired  AuthorityState = "retired"  // nothing by it is taken
)

// authority is one CA. What is on disk: NAME.pem, NAME-key.pem, and NAME-cross.pem, in which the authority before it vouches
// for its key, so that a box that knows only that one believes this one, too.
type authority struct {
	name  string
	state AuthorityState
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey // of the issuing one only
	cross *x509.Certificate // nil: there is none
}

func (a *authority) fingerprint() [32]byte { return sha256.Sum256(a.cert.Raw) }

// authorities is the content of authorities.json. Without that file there is one authority, "ca".
type authorities struct {
	Authorities []authorityEntry `json:"authorities"` // oldest first
}

type authorityEntry struct {
	Name  string         `json:"name"`
	State AuthorityState `json:"state"`
}

const (
	firstAuthority = "ca"
	stateFile      = "authorities.json"
)

var authorityName = regexp.MustCompile(`^ca(-[0-9]{1,4})?$`)

// readAuthorities reads which authorities there are. Exactly one issues and at most one is next.
func (ca *CA) readAuthorities() (authorities, error) {
	b, err := os.ReadFile(ca.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return authorities{[]authorityEntry{{firstAuthority, AuthorityIssuing}}}, nil
	}
	if err != nil {
		return authorities{}, err
	}
	var as authorities
	if err := decodeStrict(b, &as); err != nil {
		return as, fmt.Errorf("%s: %w", stateFile, err)
	}
	count := map[AuthorityState]int{}
	for _, e := range as.Authorities {
		if !authorityName.MatchString(e.Name) {
			return as, fmt.Errorf("%s: %q is no authority's name", stateFile, e.Name)
		}
		switch e.State {
		case AuthorityNext, AuthorityIssuing, AuthorityAccepted, AuthorityRetired:
		default:
			return as, fmt.Errorf("%s: %q is no state", stateFile, e.State)
		}
		count[e.State]++
	}
	if count[AuthorityIssuing] != 1 || count[AuthorityNext] > 1 {
		return as, fmt.Errorf("%s: %d authorities issue and %d are next", stateFile, count[AuthorityIssuing], count[AuthorityNext])
	}
	return as, nil
}

func (ca *CA) saveAuthorities(as authorities) error {
	b, err := json.MarshalIndent(as, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(ca.path(stateFile), append(b, '\n'), 0o644)
}

// loadAuthority reads one. Only the issuing one needs its key here: those of others may be kept elsewhere.
func (ca *CA) loadAuthority(e authorityEntry) (*authority, error) {
	a := &authority{name: e.Name, state: e.State}
	var err error
	if e.State == AuthorityIssuing {
		a.cert, a.key, err = loadPair(ca.path(e.Name+".pem"), ca.path(e.Name+"-key.pem"))
	} else {
		a.cert, err = loadCert(ca.path(e.Name + ".pem"))
	}
	if err != nil {
		return nil, err
	}
	if !a.cert.IsCA {
		return nil, fmt.Errorf("%s.pem is no certificate of an authority", e.Name)
	}
	a.cross, err = loadCert(ca.path(e.Name + "-cross.pem"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return a, nil
}

// makeAuthority makes the files of an authority. The certificate is written last: a key without one is left from a run
// that was cut short before anybody could have seen the authority, and is replaced.
func (ca *CA) makeAuthority(name string, by *authority) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := ca.clock.Now().Wall
	subject := "Sitewatch SOC"
	if name != firstAuthority {
		subject += " " + name[len(firstAuthority)+1:]
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: subject},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            1, // room for the next one's key, vouched for by this one
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	a := &authority{name: name, key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if by != nil && mayVouch(by.cert) {
		if a.cross, err = vouch(by, a); err != nil {
			return nil, err
		}
		if err := saveCert(ca.path(name+"-cross.pem"), a.cross.Raw); err != nil {
			return nil, err
		}
	}
	return a, savePair(ca.path(name+".pem"), ca.path(name+"-key.pem"), der, key)
}

// mayVouch says whether c allows another authority below itself.
func mayVouch(c *x509.Certificate) bool { return c.MaxPathLen != 0 }

// vouch makes the certificate in which by vouches for the key of a, for as long as by itself lasts.
func vouch(by, a *authority) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               a.cert.Subject,
		NotBefore:             a.cert.NotBefore,
		NotAfter:              earlier(a.cert.NotAfter, by.cert.NotAfter),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              a.cert.KeyUsage,
		SubjectKeyId:          a.cert.SubjectKeyId,
	}, by.cert, a.cert.PublicKey, by.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// trusted are the authorities that count now, the issuing one first.
func trusted(all []*authority) []*authority {
	var out []*authority
	for _, a := range all {
		switch a.state {
		case AuthorityIssuing:
			out = slices.Insert(out, 0, a)
		case AuthorityNext, AuthorityAccepted:
			out = append(out, a)
		}
	}
	return out
}

// digest is what a box should have by now.
func digest(ts []*authority) [32]byte {
	return wire.TrustDigest(ts[0].cert.Raw, rawOf(ts))
}

func rawOf(ts []*authority) [][]byte {
	out := make([][]byte, len(ts))
	for i, a := range ts {
		out[i] = a.cert.Raw
	}
	return out
}

func loadCert(path string) (*x509.Certificate, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return x509.ParseCertificate(block.Bytes)
}

func saveCert(path string, der []byte) error {
	return durable.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

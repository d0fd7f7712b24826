package uplink

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// EnrolOptions of Enrol.
type EnrolOptions struct {
	Dir   string // gets key.pem (0600), cert.pem and ca.pem; made when missing
	SOC   string // host:port
	Token string
	Site  edge.SiteID // of the configuration; must be the token's
	Clock edge.Clock
	Dial  func(ctx context.Context, addr string) (net.Conn, error) // nil: TCP
}

// enrolTimeout is for the whole of an enrolment; somebody stands beside the box.
const enrolTimeout = 20 * time.Second

// ErrToken means that the token is none: no SOC has printed it like this.
var ErrToken = errors.New("this is no token")

// Enrol makes the box's key where there is none, and trades the token for a certificate. On nil the identity is durable
// in Dir. An enrolment that failed on the way may be repeated with the same token.
func Enrol(ctx context.Context, o EnrolOptions) (*Identity, error) {
	t, err := wire.ParseToken(o.Token)
	if err != nil {
		return nil, edge.WithHint(fmt.Errorf("%w: %w", ErrToken, err), "copy the whole token that `soc claim` printed")
	}
	if t.Site != o.Site {
		return nil, edge.WithHint(fmt.Errorf("the token is for site %s, the configuration says site %s", t.Site, o.Site),
			fmt.Sprintf("ask for a token with `soc claim --site %s`, or correct site.id", o.Site))
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	key, err := makeKey(filepath.Join(o.Dir, keyFile))
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	csr, err := request(o.Site, key)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	pin := &pinned{token: t, clock: o.Clock}
	reply, err := askForCertificate(ctx, o, pin, csr)
	if err != nil {
		return nil, err
	}
	return keepIdentity(o.Dir, t, key, reply)
}

// request is a certificate request of the site's box.
func request(site edge.SiteID, key *ecdsa.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: string(site)}}, key)
}

func askForCertificate(ctx context.Context, o EnrolOptions, pin *pinned, csr []byte) (*wire.EnrolReply, error) {
	cc, err := dial(o.SOC, credentials.NewTLS(pin.tls()), o.Dial)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	defer cc.Close()
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	reply, err := wire.NewEnrolmentClient(cc).Enrol(ctx, &wire.EnrolRequest{Site: string(o.Site), Secret: pin.token.Secret[:], Csr: csr})
	if err != nil {
		return nil, enrolError(err, o, pin.failed())
	}
	return reply, nil
}

// enrolError translates the SOC's answer, or the lack of one, for the person beside the box.
func enrolError(err error, o EnrolOptions, pin error) error {
	s := status.Convert(err)
	again := fmt.Sprintf("ask for a new one with `soc claim --site %s`", o.Site)
	switch s.Code() {
	case codes.NotFound:
		return edge.WithHint(errors.New("the SOC does not know this token"), "it belongs to another SOC or is very old; "+again)
	case codes.AlreadyExists:
		return edge.WithHint(errors.New("the token has been used by another box"), "a token works once; "+again)
	case codes.FailedPrecondition:
		return edge.WithHint(errors.New("the token has expired"), "a token is valid for 24 hours; "+again)
	case codes.PermissionDenied:
		return edge.WithHint(errors.New("the token is for another site"), again)
	case codes.Unavailable, codes.DeadlineExceeded:
		if pin != nil {
			return edge.WithHint(fmt.Errorf("%s is not the SOC that made this token: %w", o.SOC, pin),
				"check uplink.soc in the configuration and that nothing on the way opens TLS")
		}
		return edge.WithHint(fmt.Errorf("the SOC at %s cannot be reached: %s", o.SOC, s.Message()),
			"check the network, the address in uplink.soc, and that the firewall lets it out")
	}
	return fmt.Errorf("the SOC refused the enrolment: %s", s.Message())
}

// keepIdentity makes the SOC's reply the box's identity. The connection was to the SOC that the token names, so that its
// list of authorities is believed; where it sends none, its one authority must be the token's.
func keepIdentity(dir string, t wire.Token, key *ecdsa.PrivateKey, r *wire.EnrolReply) (*Identity, error) {
	list := r.GetCas()
	if len(list) == 0 {
		if sha256.Sum256(r.GetCa()) != t.CA {
			return nil, errors.New("enrol: the SOC sent a CA that is not the token's")
		}
		list = [][]byte{r.GetCa()}
	}
	cas, err := parseCAs(list)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	leaf, err := x509.ParseCertificate(r.GetCertificate())
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	c, err := newCredential(key, leaf, cas)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	if c.site != t.Site {
		return nil, fmt.Errorf("enrol: the SOC sent a certificate of site %s", c.site)
	}
	unlock, err := lockIdentity(dir)
	if err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	defer unlock()
	if err := c.save(dir); err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	return LoadIdentity(dir)
}

// pinned checks the SOC by the fingerprint in the token: the box has no CA yet.
type pinned struct {
	token wire.Token
	clock edge.Clock
	err   chan error // capacity 1: the last reason, for the person beside the box
}

func (p *pinned) tls() *tls.Config {
	p.err = make(chan error, 1)
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		ServerName:         wire.ServerName,
		InsecureSkipVerify: true, // VerifyConnection does it: the CA is known by its digest only
		VerifyConnection: func(cs tls.ConnectionState) error {
			err := p.verify(cs.PeerCertificates)
			if err != nil {
				select {
				case p.err <- err:
				default:
				}
			}
			return err
		},
	}
}

func (p *pinned) failed() error {
	select {
	case err := <-p.err:
		return err
	default:
		return nil
	}
}

// verify accepts a chain that has the certificate which the token names, and leads to it. There is no time yet that surely
// has passed but the one at which that authority began.
func (p *pinned) verify(chain []*x509.Certificate) error {
	for _, ca := range chain[:min(len(chain), maxChain)] {
		if sha256.Sum256(ca.Raw) == p.token.CA {
			return verifySOC(chain, []*x509.Certificate{ca}, p.clock, ca.NotBefore)
		}
	}
	return errors.New("it does not present the CA that the token names")
}

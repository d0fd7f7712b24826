package rtsp

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sitewatch/edge"
)

// ErrCertificate says that an rtsps camera does not prove who it is.
var ErrCertificate = errors.New("rtsp: camera's certificate is not trusted")

// maxCABytes bounds a file of authorities.
const maxCABytes = 1 << 20

// trust is how a camera at host is recognised over TLS. The time is the box's, which is possible also when the machine's is not.
func (o Options) trust(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, Time: func() time.Time { return o.Clock.Now().Wall }}
	if o.CertificateSHA256 != "" {
		// The certificate itself is known: neither its name nor its end says more, and cameras sign their own for ten years of 1970.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return ErrCertificate
			}
			sum := sha256.Sum256(s.PeerCertificates[0].Raw)
			if got := hex.EncodeToString(sum[:]); got != strings.ToLower(o.CertificateSHA256) {
				return edge.WithHint(fmt.Errorf("%w: it shows another one, with SHA-256 %s", ErrCertificate, got),
					"make sure that it is the right camera, then put this into certificate_sha256")
			}
			return nil
		}
		return c, nil
	}
	if o.CAFile == "" {
		return c, nil
	}
	f, err := os.Open(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCABytes))
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(b) {
		return nil, edge.WithHint(fmt.Errorf("CA file %s holds no certificate", o.CAFile), "write the authority's certificate into it as PEM")
	}
	return c, nil
}

// certificateError makes of a failed check what a person can act on, nil when err is none.
func certificateError(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var shown *tls.CertificateVerificationError
	sum := "" // what certificate_sha256 would have to be
	if errors.As(err, &shown) && len(shown.UnverifiedCertificates) > 0 {
		sum = fmt.Sprintf("; it shows one with SHA-256 %x", sha256.Sum256(shown.UnverifiedCertificates[0].Raw))
	}
	switch {
	case errors.Is(err, ErrCertificate):
		return err
	case errors.As(err, &unknown):
		return edge.WithHint(fmt.Errorf("%w: nobody who is trusted has signed it%s", ErrCertificate, sum), "name its authority in ca_file, or the certificate itself in certificate_sha256")
	case errors.As(err, &name):
		return edge.WithHint(fmt.Errorf("%w: it is of another host%s", ErrCertificate, sum), "use the name that is in the certificate in the camera's address, or name the certificate in certificate_sha256")
	case errors.As(err, &invalid):
		return edge.WithHint(fmt.Errorf("%w: %w%s", ErrCertificate, invalid, sum), "renew the camera's certificate, or name it in certificate_sha256")
	case errors.As(err, &record):
		return edge.WithHint(errors.New("rtsp: camera does not speak TLS on this port"), "use rtsp:// or the port that the camera has for rtsps")
	}
	return nil
}

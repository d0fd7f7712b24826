package soc

import (
	"context"
	"crypto/x509"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

type standingKey struct{}

// authenticate takes the site from the certificate whose key TLS has seen proved. Nothing that a box says later can
// change it.
func (s *Server) authenticate(ctx context.Context) (context.Context, error) {
	st, err := s.certified(ctx)
	if err != nil {
		s.metrics.refused.WithLabelValues("certificate").Inc()
		code := codes.Unauthenticated
		if errors.Is(err, ErrRevoked) {
			code = codes.PermissionDenied
		}
		return nil, status.Error(code, err.Error())
	}
	now := s.o.Clock.Now().Wall
	switch {
	case st.expired:
		s.metrics.certificates.WithLabelValues("expired").Inc()
		s.o.Log.Warn("a box has come with an expired certificate; it is taken, and should renew", "site", st.site, "ended", st.expires())
	case st.early:
		s.metrics.certificates.WithLabelValues("early").Inc()
		s.o.Log.Error("a box's certificate is of the future: the SOC's clock is wrong, or was", "site", st.site, "begins", st.cert.NotBefore, "now", now)
	}
	s.boxes.presented(st, now)
	return context.WithValue(ctx, standingKey{}, st), nil
}

func siteOf(ctx context.Context) edge.SiteID { return standingOf(ctx).site }

func standingOf(ctx context.Context) standing {
	st, _ := ctx.Value(standingKey{}).(standing) // authenticate has been there: every method but Enrol passes it
	return st
}

func (s *Server) certified(ctx context.Context) (standing, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return standing{}, errors.New("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return standing{}, ErrNoCertificate
	}
	return s.admit(info.State.PeerCertificates)
}

// admit judges a certificate by what is trusted at this moment.
func (s *Server) admit(chain []*x509.Certificate) (standing, error) {
	s.look()
	return s.ca.admit(chain)
}

// look takes over what another process has changed. What cannot be read leaves all as it was; runTrust says so once.
func (s *Server) look() {
	if _, err := s.ca.refresh(); err != nil {
		s.o.Log.Debug("what is trusted cannot be read", "err", err)
	}
}

// siteIn is the site that a certificate names, for a log line about one that is not taken.
func siteIn(c *x509.Certificate) edge.SiteID {
	if len(c.URIs) != 1 {
		return ""
	}
	site, _ := edge.SiteOfURI(c.URIs[0])
	return site
}

// Enrol trades a token's secret for a certificate. It is the one method without client certificate.
func (s *Server) Enrol(ctx context.Context, r *wire.EnrolRequest) (*wire.EnrolReply, error) {
	site := edge.SiteID(r.GetSite())
	s.look()
	cert, err := s.claims.Redeem(ctx, site, r.GetSecret(), r.GetCsr())
	if err == nil {
		err = s.boxes.enrolled(site, cert)
	}
	if err != nil {
		s.metrics.refused.WithLabelValues("enrol").Inc()
		code := codes.Internal
		switch {
		case errors.Is(err, ErrTokenUnknown):
			code = codes.NotFound
		case errors.Is(err, ErrTokenUsed):
			code = codes.AlreadyExists
		case errors.Is(err, ErrTokenExpired):
			code = codes.FailedPrecondition
		case errors.Is(err, ErrTokenSite):
			code = codes.PermissionDenied
		case errors.Is(err, ErrRequest):
			code = codes.InvalidArgument
		default:
			s.o.Log.Error("enrolment failed", "site", r.GetSite(), "err", err)
			return nil, status.Error(code, "the SOC cannot enrol at the moment")
		}
		return nil, status.Error(code, wire.Text(err.Error()))
	}
	s.metrics.certificates.WithLabelValues("enrolled").Inc()
	s.o.Log.Info("box enrolled", "site", r.GetSite())
	cas := s.ca.Bundle()
	return &wire.EnrolReply{Certificate: cert, Ca: cas[0], Cas: cas}, nil
}

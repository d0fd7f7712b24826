package soc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

type siteKey struct{}

// authenticate takes the site from the certificate that TLS has verified against our CA. Nothing that a box says later
// can change it.
func (s *Server) authenticate(ctx context.Context) (context.Context, error) {
	site, err := certified(ctx)
	if err != nil {
		s.metrics.refused.WithLabelValues("certificate").Inc()
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return context.WithValue(ctx, siteKey{}, site), nil
}

func siteOf(ctx context.Context) edge.SiteID {
	site, _ := ctx.Value(siteKey{}).(edge.SiteID) // authenticate has been there: every method but Enrol passes it
	return site
}

func certified(ctx context.Context) (edge.SiteID, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errors.New("no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return "", errors.New("a client certificate is needed; enrol the box first")
	}
	leaf := info.State.VerifiedChains[0][0]
	if len(leaf.URIs) != 1 {
		return "", errors.New("the client certificate names no site")
	}
	site, ok := wire.SiteOfURI(leaf.URIs[0])
	if !ok {
		return "", errors.New("the client certificate names no site")
	}
	return site, nil
}

// Enrol trades a token's secret for a certificate. It is the one method without client certificate.
func (s *Server) Enrol(ctx context.Context, r *wire.EnrolRequest) (*wire.EnrolReply, error) {
	cert, err := s.claims.Redeem(ctx, edge.SiteID(r.GetSite()), r.GetSecret(), r.GetCsr())
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
	s.o.Log.Info("box enrolled", "site", r.GetSite())
	return &wire.EnrolReply{Certificate: cert, Ca: s.ca.cert.Raw}, nil
}

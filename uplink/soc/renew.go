package soc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/wire"
)

// trustEvery is how often the files of the CA are looked at.
const trustEvery = 500 * time.Millisecond

// Renew gives a box a new certificate for the key and the site of the one that it has, also when that has expired.
func (s *Server) Renew(ctx context.Context, r *wire.RenewRequest) (*wire.RenewReply, error) {
	st := standingOf(ctx)
	refuse := func(code codes.Code, why string) (*wire.RenewReply, error) {
		s.metrics.refused.WithLabelValues("renew").Inc()
		s.o.Log.Warn("a renewal is refused", "site", st.site, "err", why)
		return nil, status.Error(code, wire.Text(why))
	}
	req, pub, err := requested(r.GetCsr())
	if err != nil {
		return refuse(codes.InvalidArgument, err.Error())
	}
	if !pub.Equal(st.pub) {
		return refuse(codes.PermissionDenied, "the request is by another key than the certificate's; a new key needs a new token")
	}
	if name := req.Subject.CommonName; name != "" && edge.SiteID(name) != st.site {
		return refuse(codes.PermissionDenied, "the request is for another site than the certificate's")
	}
	for _, u := range req.URIs {
		if site, ok := edge.SiteOfURI(u); !ok || site != st.site {
			return refuse(codes.PermissionDenied, "the request is for another site than the certificate's")
		}
	}
	c, err := s.boxes.issue(st.site, pub, st.cert)
	if errors.Is(err, ErrRevoked) {
		return refuse(codes.PermissionDenied, err.Error())
	}
	if err != nil {
		s.o.Log.Error("a certificate could not be renewed", "site", st.site, "err", err)
		return nil, status.Error(codes.Unavailable, "the SOC cannot renew at the moment")
	}
	if !c.Equal(st.cert) { // the box asks a second time with the new one, to show that it has it
		s.metrics.certificates.WithLabelValues("renewed").Inc()
		s.o.Log.Info("a box's certificate is renewed", "site", st.site, "ends", c.NotAfter, "was_expired", st.expired)
	}
	return &wire.RenewReply{Certificate: c.Raw, Cas: s.ca.Bundle()}, nil
}

// Certificate says until when the certificate is good that the site's box was last seen with; false when none is known.
func (s *Server) Certificate(site edge.SiteID) (expires time.Time, expired, revoked, known bool) {
	r, ok := s.boxes.get(site)
	if !ok {
		return time.Time{}, false, false, false
	}
	c := r.has()
	return c.NotAfter, s.o.Clock.Now().Wall.After(c.NotAfter), s.ca.revokes(site, c), true
}

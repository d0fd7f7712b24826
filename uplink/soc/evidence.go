package soc

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sitewatch/edge"
	"sitewatch/uplink/soc/ledger"
	"sitewatch/uplink/wire"
)

// Authorities are all that this SOC has ever had and that are still readable: what a box signed under one that is retired since
// was signed all the same.
func (ca *CA) Authorities() []*x509.Certificate {
	ca.mu.Lock()
	all := ca.all
	ca.mu.Unlock()
	var out []*x509.Certificate
	for _, a := range all {
		c := a.cert
		if c == nil { // retired
			var err error
			if c, err = loadCert(ca.path(a.name + ".pem")); err != nil || !c.IsCA {
				continue // kept elsewhere
			}
		}
		out = append(out, c)
	}
	return out
}

// Vouching are the certificates in which one authority vouches for the next.
func (ca *CA) Vouching() []*x509.Certificate {
	ca.mu.Lock()
	all := ca.all
	ca.mu.Unlock()
	var out []*x509.Certificate
	for _, a := range all {
		if c, err := loadCert(ca.path(a.name + "-cross.pem")); err == nil && c.IsCA {
			out = append(out, c)
		}
	}
	return out
}

// vouched checks who has signed s, and returns the authority behind the certificate.
func (ca *CA) vouched(s edge.Signed, site edge.SiteID, named edge.HexBytes) (authority []byte, err error) {
	var got edge.SiteID
	for i, cas := range [][]*x509.Certificate{certsOf(ca.trusted()), nil} {
		if i > 0 {
			cas = ca.Authorities()
		}
		if got, err = s.Check(edge.Trust{Roots: cas}); !errors.Is(err, edge.ErrUntrusted) {
			break
		}
	}
	switch {
	case err != nil:
		return nil, err
	case got != site:
		return nil, fmt.Errorf("the certificate is of site %s", got)
	case !bytes.Equal(named, edge.Fingerprint(s.Certificate)):
		return nil, errors.New("it names another certificate than the one that came with it")
	}
	leaf, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return nil, err
	}
	for _, c := range ca.Authorities() {
		if leaf.CheckSignatureFrom(c) == nil {
			return c.Raw, nil
		}
	}
	return nil, nil
}

func certsOf(as []*authority) []*x509.Certificate {
	out := make([]*x509.Certificate, len(as))
	for i, a := range as {
		out[i] = a.cert
	}
	return out
}

func signedOf(body, signature, certificate []byte) (edge.Signed, bool) {
	return edge.Signed{Body: body, Signature: signature, Certificate: certificate},
		len(body) <= edge.MaxSignedBytes && len(signature) <= edge.MaxSignatureBytes && len(certificate) <= edge.MaxCertificateBytes
}

// checkpoint keeps what the box has signed of its journal. What does not hold is kept, too, and said: it is not the box's fault
// that decides, and somebody will have to look.
func (x *session) checkpoint(ctx context.Context, m *wire.Checkpoint) error {
	s, ok := signedOf(m.GetBody(), m.GetSignature(), m.GetCertificate())
	if !ok || m.GetSeq() == 0 || m.GetSeq() > maxSeq {
		return status.Error(codes.InvalidArgument, "a checkpoint has no seq or is too long")
	}
	c := ledger.Checkpoint{Site: x.site, Journal: x.journal, Seq: edge.Seq(m.GetSeq()), Signed: s, Received: x.o.Clock.Now().Wall}
	var authority []byte
	said, err := edge.DecodeCheckpoint(s.Body)
	if err == nil {
		c.Hash = said.Hash
		if said.Site != x.site || said.Journal != x.journal || said.Seq != c.Seq {
			err = fmt.Errorf("it is of event %d of journal %s of site %s", said.Seq, wire.Text(string(said.Journal)), said.Site)
		} else {
			authority, err = x.ca.vouched(s, x.site, said.Certificate)
		}
	}
	if err != nil {
		c.State, c.Problem = ledger.CheckpointBad, wire.Text("The checkpoint proves nothing: "+err.Error()+".")
	}
	c, err = x.o.Ledger.PutCheckpoint(ctx, c, authority)
	if err != nil {
		return x.broke(ctx, err)
	}
	if c.Problem != "" {
		x.metrics.odd.WithLabelValues("checkpoint").Inc()
		x.repeats.say(x.o.Log.Error, "checkpoint "+string(x.site), "a box has signed something else than the SOC has", "site", x.site,
			"journal", x.journal, "seq", c.Seq, "err", c.Problem)
	}
	return x.push(ctx, &wire.SocMessage{Message: &wire.SocMessage_CheckpointStored{CheckpointStored: &wire.CheckpointStored{Seq: m.GetSeq()}}})
}

// manifest keeps what the box has signed of the clip that has just come. A clip is never refused for it.
func (u *receiving) manifest(ctx context.Context, f *wire.Finish) error {
	if u.part != edge.PartClip || len(f.GetManifest()) == 0 {
		return nil
	}
	s, ok := signedOf(f.GetManifest(), f.GetSignature(), f.GetCertificate())
	if !ok {
		return status.Error(codes.InvalidArgument, "the manifest is too long")
	}
	m := ledger.Manifest{Clip: u.id, Site: u.site, Signed: s, Received: u.o.Clock.Now().Wall}
	authority, err := u.proves(ctx, s)
	if err != nil {
		m.Problem = wire.Text(err.Error())
	}
	kept, err := u.o.Ledger.PutManifest(ctx, m, authority)
	if err != nil {
		return u.broke(ctx, err)
	}
	if !kept && m.Problem == "" {
		m.Problem = "there is another manifest of this clip already, which stays"
	}
	if m.Problem != "" {
		u.metrics.odd.WithLabelValues("manifest").Inc()
		u.repeats.say(u.o.Log.Error, "manifest "+string(u.site), "a clip's manifest does not hold; the clip stays", "site", u.site, "clip", u.id, "err", m.Problem)
	}
	edge.Crash("soc manifest kept before row")
	return nil
}

// proves says why the manifest does not prove the clip that has come, nil when it does.
func (u *receiving) proves(ctx context.Context, s edge.Signed) (authority []byte, err error) {
	m, err := edge.DecodeManifest(s.Body)
	if err != nil {
		return nil, err
	}
	if authority, err = u.ca.vouched(s, u.site, m.Certificate); err != nil {
		return nil, err
	}
	c, err := u.o.Ledger.Clip(ctx, u.id)
	switch {
	case err != nil:
		return nil, err
	case m.Site != u.site || m.Clip != u.id:
		return authority, fmt.Errorf("it is of clip %s of site %s", wire.Text(string(m.Clip)), m.Site)
	case !bytes.Equal(m.SHA256, u.sha[:]) || m.SizeBytes != u.size:
		return authority, fmt.Errorf("it names a file of %d bytes with the digest %s; %d bytes with %x have come", m.SizeBytes, m.SHA256, u.size, u.sha)
	case len(m.StillSHA256) > 0 && len(c.StillHas) > 0 && !bytes.Equal(m.StillSHA256, c.StillHas):
		return authority, fmt.Errorf("it names a still with the digest %s; the one that has come has %s", m.StillSHA256, c.StillHas)
	}
	return authority, nil
}

// proved says whether a manifest that holds is here: if not, a box that offers the clip again is let finish, and may send it.
func (u *receiving) proved(ctx context.Context) (bool, error) {
	if u.part != edge.PartClip {
		return true, nil
	}
	m, err := u.o.Ledger.Manifest(ctx, u.id)
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil
	}
	return err == nil && m.Problem == "", err
}

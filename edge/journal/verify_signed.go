package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"sitewatch/edge"
)

// checkpoints reads those of the next page of events. A file of before there were any has none.
func (v *verifier) checkpoints(ctx context.Context) error {
	v.signed = map[edge.Seq]edge.Signed{}
	var there bool
	if err := v.tx.QueryRowContext(ctx, `select count(*) > 0 from sqlite_schema where name = 'checkpoints'`).Scan(&there); err != nil || !there {
		return err
	}
	rows, err := v.tx.QueryContext(ctx, `select p.seq, p.body, p.signature, coalesce(c.der, x'') from checkpoints p
		left join certificates c on c.sha256 = p.certificate where p.seq > ? order by p.seq limit ?`, int64(v.at.seq), verifyPage)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq edge.Seq
		var s edge.Signed
		if err := rows.Scan(&seq, &s.Body, &s.Signature, &s.Certificate); err != nil {
			return err
		}
		v.signed[seq] = s
	}
	return rows.Err()
}

// checkpoint checks what the box has signed of the event, if anything.
func (v *verifier) checkpoint(seq edge.Seq, hash [32]byte) error {
	s, ok := v.signed[seq]
	if !ok {
		return nil
	}
	bad := func(err error) error { return &ChainError{seq, "its checkpoint: " + err.Error()} }
	c, err := edge.DecodeCheckpoint(s.Body)
	if err != nil {
		return bad(err)
	}
	if v.trust == nil {
		err = s.Fits()
	} else if site, cerr := s.Check(*v.trust); cerr != nil {
		err = cerr
	} else if site != v.site {
		err = fmt.Errorf("the certificate is of site %s, the journal of site %s", site, v.site)
	}
	switch {
	case errors.Is(err, edge.ErrUntrusted):
		return bad(fmt.Errorf("%w of those that were given: when the SOC has replaced its authority, give the certificates of both in one file", err))
	case err != nil:
		return bad(err)
	case c.Seq != seq || c.Journal != v.id || c.Site != v.site:
		return bad(fmt.Errorf("it is of event %d of journal %s of site %s", c.Seq, c.Journal, c.Site))
	case !bytes.Equal(c.Hash, hash[:]):
		return bad(fmt.Errorf("the box has signed the hash %s, the event has %x", c.Hash, hash))
	}
	v.proof = seq
	return nil
}

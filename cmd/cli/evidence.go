package cli

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"sitewatch/edge"
	"sitewatch/edge/evidence"
)

// LoadCAs reads the certificates of a SOC's authorities, of which there is at least one. What is wrong with the file is an
// ArgumentError.
func LoadCAs(path string) ([]*x509.Certificate, error) {
	bad := func(err error) error {
		return ArgumentError{edge.WithHint(fmt.Errorf("--ca: %w", err), "give the SOC's CA certificate; it is ca/ca.pem in the SOC's data")}
	}
	if path == "" {
		return nil, bad(errors.New("it is missing"))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bad(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, bad(err)
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && !c.IsCA {
			err = errors.New("it is no authority's")
		}
		if err != nil {
			return nil, bad(fmt.Errorf("%s: certificate %d: %w", path, len(out)+1, err))
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, bad(fmt.Errorf("%s holds no certificate", path))
	}
	return out, nil
}

// ProveEvidence checks a folder or zip and prints what is proved. The error says that not all of it is; an ArgumentError that there
// is nothing to look at.
func ProveEvidence(ctx context.Context, o io.Writer, path, ca string) (evidence.Report, error) {
	cas, err := LoadCAs(ca)
	if err != nil {
		return evidence.Report{}, err
	}
	fsys, closer, err := evidence.Open(ctx, path)
	switch {
	case ctx.Err() != nil:
		return evidence.Report{}, errors.New("stopped before the end: nothing is proved") // and not context.Canceled, which would count as done
	case errors.Is(err, evidence.ErrHostile):
		return evidence.Report{}, err
	case err != nil:
		return evidence.Report{}, ArgumentError{err}
	}
	defer closer.Close()
	r, err := evidence.Verify(ctx, fsys, cas)
	if ctx.Err() != nil {
		return r, errors.New("stopped before the end: nothing is proved") // and not context.Canceled, which would count as done
	}
	if err != nil {
		return r, err
	}
	if err := r.Print(o); err != nil {
		return r, err
	}
	switch {
	case r.Broken != nil:
		return r, fmt.Errorf("%s: the first broken link: %w", path, r.Broken)
	case r.Holds() && !r.OK():
		return r, IncompleteError{edge.WithHint(fmt.Errorf("%s: not all of it is complete", path), "the lines 'not proved' say which clips; the SOC may have them in full by now: export it again")}
	case !r.OK():
		return r, edge.WithHint(fmt.Errorf("%s: not all of it is proved", path), "the lines 'not proved' say what; the SOC may have more by now: export it again")
	}
	return r, nil
}

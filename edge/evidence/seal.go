package evidence

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"path"
	"slices"
	"strings"

	"sitewatch/edge"
)

// The SOC seals the folder: it signs SHA256SUMS, and so every file in it, with the certificate by which boxes know it. The seal shows
// that nothing was changed since; what a box has signed shows what happened.
const (
	sealFile = sumsFile + sigExt
	sealCert = sumsFile + ".pem"
	socName  = "soc.sitewatch.internal"
)

// seal checks who has signed the list, and each file against it.
func (v *verifier) seal() error {
	sums, err := v.read(sumsFile, maxSums)
	if err != nil {
		return err
	}
	sig, err := v.read(sealFile, edge.MaxSignatureBytes)
	if err != nil {
		return err
	}
	b, err := v.read(sealCert, maxCert)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(b)
	if block == nil || !bytes.Equal(b, pemOf(block.Bytes)) {
		return &Break{File: sealCert, Want: "the certificate of the SOC", Have: "something else"}
	}
	c, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return &Break{File: sealCert, Want: "the certificate of the SOC", Have: err.Error()}
	case !slices.Contains(c.DNSNames, socName) || !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || c.IsCA:
		return &Break{File: sealCert, Want: "the certificate of the SOC", Have: "one of somebody else"}
	case !v.trust.Vouches(c):
		return &Break{File: sealCert, Want: "the certificate of the SOC, by the CA that was given", Have: untrusted}
	}
	if err := (edge.Signed{Body: sums, Signature: sig, Certificate: c.Raw}).FitsLong(); err != nil {
		return &Break{File: sumsFile, Want: "the list that the SOC has signed in " + sealFile, Have: "another one, or another signature"}
	}
	return v.sealed(string(sums))
}

func (v *verifier) sealed(sums string) error {
	listed := map[string]bool{sumsFile: true, sealFile: true, sealCert: true}
	for line := range strings.Lines(sums) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		want, err := hex.DecodeString(sum)
		if !ok || err != nil || listed[name] {
			return &Break{File: sumsFile, Want: "a digest and a name in each line, no name twice", Have: fmt.Sprintf("%.100q", line)}
		}
		listed[name] = true
		if err := v.listed(name, want); err != nil {
			return err
		}
	}
	var more []string
	for name := range v.files {
		if !listed[name] {
			more = append(more, name)
		}
	}
	slices.Sort(more)
	for _, name := range more {
		if !leftBehind(name) || v.used[name] {
			return &Break{File: name, Want: "no such file: the SOC has not listed it in " + sumsFile, Have: "one: somebody has put it there since"}
		}
		add(&v.r.Remarks, "%s is no part of the evidence: systems leave such files behind", name)
	}
	return nil
}

// leftBehind says whether a file is of those that a system puts into every folder that somebody opens there.
func leftBehind(name string) bool {
	base := path.Base(name)
	return slices.Contains([]string{".DS_Store", "Thumbs.db", "desktop.ini"}, base) || strings.HasPrefix(base, "._")
}

// listed compares one file with its line.
func (v *verifier) listed(name string, want []byte) error {
	if _, there := v.files[name]; !there {
		return &Break{File: name, Want: "the file, which " + sumsFile + " names", Have: "none"}
	}
	got, known := v.digests[name]
	if !known {
		var err error
		if got, err = v.digest(name, maxBytes); err != nil {
			return err
		}
	}
	if bytes.Equal(got[:], want) {
		return nil
	}
	return &Break{File: name, Want: fmt.Sprintf("the file as the SOC sealed it, SHA-256 %x", want), Have: fmt.Sprintf("one with %x", got)}
}

package soc

import (
	"crypto"
	"errors"
	"path/filepath"

	"sitewatch/edge"
)

// EvidenceSigner is the SOC's own key, with the certificate by which boxes know it: it seals what is exported.
func EvidenceSigner(data string, clock edge.Clock) (edge.Signer, error) {
	ca, err := OpenCA(filepath.Join(data, "ca"), clock)
	if err != nil {
		return edge.Signer{}, err
	}
	c, err := ca.Server()
	if err != nil {
		return edge.Signer{}, err
	}
	key, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return edge.Signer{}, errors.New("the SOC's key does not sign")
	}
	return edge.Signer{Key: key, Certificate: c.Certificate[0]}, nil
}

// EvidenceAuthorities are the certificates of all authorities that the SOC has ever had, and those in which one vouches for the
// next: what evidence is proved with. Another process may be using the folder.
func EvidenceAuthorities(data string, clock edge.Clock) (authorities, vouching [][]byte, err error) {
	ca, err := OpenCA(filepath.Join(data, "ca"), clock)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range ca.Authorities() {
		authorities = append(authorities, c.Raw)
	}
	for _, c := range ca.Vouching() {
		vouching = append(vouching, c.Raw)
	}
	return authorities, vouching, nil
}

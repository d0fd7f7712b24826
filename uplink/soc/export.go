package soc

import (
	"path/filepath"

	"sitewatch/edge"
)

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

package wire

import (
	"bytes"
	"crypto/sha256"
	"slices"
)

// MaxCAs bounds the authorities that a SOC has at a time.
const MaxCAs = 8

// TrustDigest is what the SOC tells and a box compares with its own: who issued the box's certificate, and all CAs that it
// knows (certificates in DER, in any order). A box whose digest differs renews.
func TrustDigest(issuer []byte, cas [][]byte) [32]byte {
	sums := make([][]byte, len(cas))
	for i, ca := range cas {
		s := sha256.Sum256(ca)
		sums[i] = s[:]
	}
	slices.SortFunc(sums, bytes.Compare)
	h := sha256.New()
	first := sha256.Sum256(issuer)
	h.Write(first[:])
	for _, s := range slices.CompactFunc(sums, bytes.Equal) {
		h.Write(s)
	}
	return [32]byte(h.Sum(nil))
}

package wire

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strings"

	"sitewatch/edge"
)

// Token is what an installer carries from the SOC to the box: whom to trust, a one-time secret, and the site it is for.
type Token struct {
	CA     [32]byte // SHA-256 of the SOC's CA certificate (DER)
	Secret [20]byte // 160 random bits
	Site   edge.SiteID
}

// ErrToken means that a text is no token, or not all of one.
var ErrToken = errors.New("the token is damaged or incomplete")

const (
	tokenPrefix = "sw1-"
	tokenSum    = 4 // bytes of SHA-256 over the rest: a typing error is told from a wrong token before anything is dialled
)

// NewToken makes a token with a fresh secret.
func NewToken(ca [32]byte, site edge.SiteID) Token {
	t := Token{CA: ca, Site: site}
	rand.Read(t.Secret[:]) // never fails: crypto/rand documents that it ends the process instead
	return t
}

// String is the token as it is printed and typed: one word of letters, digits, '-' and '_'.
func (t Token) String() string {
	b := append(append(append([]byte{}, t.CA[:]...), t.Secret[:]...), t.Site...)
	sum := sha256.Sum256(b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:tokenSum]...))
}

// ParseToken reads what String wrote; space around it is forgiven.
func ParseToken(s string) (Token, error) {
	var t Token
	enc, ok := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	if !ok {
		return t, ErrToken
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(enc)
	if err != nil || len(b) < len(t.CA)+len(t.Secret)+1+tokenSum {
		return t, ErrToken
	}
	body := b[:len(b)-tokenSum]
	sum := sha256.Sum256(body)
	if subtle.ConstantTimeCompare(sum[:tokenSum], b[len(body):]) != 1 {
		return t, ErrToken
	}
	n := copy(t.CA[:], body)
	n += copy(t.Secret[:], body[n:])
	t.Site = edge.SiteID(body[n:])
	if !edge.ValidID(string(t.Site)) {
		return t, ErrToken
	}
	return t, nil
}

package onvif

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strings"
)

// challenge is an offer of HTTP Digest (RFC 7616) that we can take.
type challenge struct {
	realm, nonce, opaque string
	algorithm            string // as offered; "" is MD5
	qop                  bool   // "auth", else that of RFC 2069
	stale                bool
	hash                 func() hash.Hash
	count                int // how often the nonce was used
}

// challengeOf picks of the answer's offers the strongest that can be taken. basic says that Basic alone was offered.
func challengeOf(h http.Header) (c *challenge, basic bool) {
	for _, line := range h.Values("WWW-Authenticate") {
		for _, offer := range offers(line) {
			if offer.scheme == "basic" {
				basic = true
			}
			if offer.scheme != "digest" || offer.args["nonce"] == "" {
				continue
			}
			a := offer.args
			n := &challenge{realm: a["realm"], nonce: a["nonce"], opaque: a["opaque"], algorithm: a["algorithm"], stale: strings.EqualFold(a["stale"], "true")}
			switch strings.ToUpper(n.algorithm) {
			case "", "MD5":
				n.hash = md5.New
			case "SHA-256":
				n.hash = sha256.New
			default:
				continue
			}
			for _, q := range strings.Split(a["qop"], ",") {
				n.qop = n.qop || strings.EqualFold(strings.TrimSpace(q), "auth")
			}
			if !n.qop && a["qop"] != "" { // auth-int alone
				continue
			}
			if c == nil || strings.EqualFold(n.algorithm, "SHA-256") {
				c = n
			}
		}
	}
	return c, basic && c == nil
}

type offer struct {
	scheme string // in small letters
	args   map[string]string
}

// offers splits a WWW-Authenticate line. Several may stand in one line, with commas between them as between their arguments.
func offers(line string) (out []offer) {
	for len(line) > 0 && len(out) < 8 {
		line = strings.TrimLeft(line, " \t,")
		end := strings.IndexAny(line, " \t,=")
		if end < 0 {
			end = len(line)
		}
		word, rest := strings.ToLower(line[:end]), strings.TrimLeft(line[end:], " \t")
		if !strings.HasPrefix(rest, "=") {
			if word != "" {
				out = append(out, offer{word, map[string]string{}})
			}
			if end == 0 && len(rest) > 0 {
				rest = rest[1:]
			}
			line = rest
			continue
		}
		value, after := quoted(strings.TrimLeft(rest[1:], " \t"))
		if len(out) > 0 && len(out[len(out)-1].args) < 16 {
			out[len(out)-1].args[word] = value
		}
		line = after
	}
	return out
}

// quoted takes a token or a quoted string off the beginning of s.
func quoted(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ", \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// authorization is the header that answers c.
func (c *challenge) authorization(user, password, method, uri string) string {
	var b [8]byte
	rand.Read(b[:])
	c.count++
	return c.answer(user, password, method, uri, hex.EncodeToString(b[:]))
}

func (c *challenge) answer(user, password, method, uri, cnonce string) string {
	sum := func(s string) string {
		h := c.hash()
		h.Write([]byte(s))
		return hex.EncodeToString(h.Sum(nil))
	}
	secret, what, nc := sum(user+":"+c.realm+":"+password), sum(method+":"+uri), fmt.Sprintf("%08x", c.count)
	q := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "", "\n", "")
	out := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, q.Replace(user), q.Replace(c.realm), q.Replace(c.nonce), uri)
	if c.qop {
		out += fmt.Sprintf(`, response="%s", qop=auth, nc=%s, cnonce="%s"`, sum(secret+":"+c.nonce+":"+nc+":"+cnonce+":auth:"+what), nc, cnonce)
	} else {
		out += fmt.Sprintf(`, response="%s"`, sum(secret+":"+c.nonce+":"+what))
	}
	if c.algorithm != "" {
		out += ", algorithm=" + c.algorithm
	}
	if c.opaque != "" {
		out += fmt.Sprintf(`, opaque="%s"`, q.Replace(c.opaque))
	}
	return out
}

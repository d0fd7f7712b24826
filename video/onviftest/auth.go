package onviftest

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"regexp"
	"strings"
	"time"
)

const realm = "IP Camera(C1234)"

// tokenAge is how far the time of a token may be from the device's.
const tokenAge = 30 * time.Second

// allowed says whether the request comes from the device's user. Pictures know HTTP Digest only.
func (d *Device) allowed(r *http.Request, m *message) bool {
	if d.opt.User == "" {
		return true
	}
	if d.opt.Auth == Basic {
		return false // somebody who sends a password in clear has failed already
	}
	if m != nil && (d.opt.Auth == Either || d.opt.Auth == Token) && m.Header.Security != nil && d.token(m) {
		return true
	}
	return (m == nil || d.opt.Auth != Token) && d.digest(r)
}

func (d *Device) token(m *message) bool {
	t := m.Header.Security.Token
	nonce, err := base64.StdEncoding.DecodeString(t.Nonce)
	created, terr := time.Parse(time.RFC3339, t.Created)
	if err != nil || terr != nil || t.Username != d.opt.User {
		return false
	}
	if age := d.now().Sub(created); age > tokenAge || age < -tokenAge {
		return false
	}
	h := sha1.New()
	h.Write(nonce)
	h.Write([]byte(t.Created + d.opt.Password))
	d.mu.Lock()
	defer d.mu.Unlock()
	again := d.nonces[t.Nonce]
	if len(d.nonces) < 10000 {
		d.nonces[t.Nonce] = true
	}
	return !again && t.Password == base64.StdEncoding.EncodeToString(h.Sum(nil))
}

var argument = regexp.MustCompile(`(\w+)=(?:"([^"]*)"|([^\s,]+))`)

func (d *Device) digest(r *http.Request) bool {
	line, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Digest ")
	if !ok {
		return false
	}
	a := map[string]string{}
	for _, m := range argument.FindAllStringSubmatch(line, 16) {
		a[m[1]] = m[2] + m[3]
	}
	d.mu.Lock()
	issued, used := d.nonces["http "+a["nonce"]], d.nonces["http "+a["nonce"]+a["nc"]]
	d.nonces["http "+a["nonce"]+a["nc"]] = true
	d.mu.Unlock()
	if !issued || used || a["username"] != d.opt.User || a["realm"] != realm || a["uri"] != r.URL.RequestURI() || a["qop"] != "auth" {
		return false
	}
	newHash := md5.New
	if d.opt.Auth == DigestSHA256 {
		newHash = sha256.New
	}
	secret := sum(newHash, d.opt.User+":"+realm+":"+d.opt.Password)
	return a["response"] == sum(newHash, strings.Join([]string{secret, a["nonce"], a["nc"], a["cnonce"], "auth", sum(newHash, r.Method+":"+a["uri"])}, ":"))
}

func sum(newHash func() hash.Hash, s string) string {
	h := newHash()
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil))
}

func (d *Device) refuse(w http.ResponseWriter, r *http.Request) {
	var b [16]byte
	rand.Read(b[:])
	nonce := hex.EncodeToString(b[:])
	d.mu.Lock()
	d.refused++
	d.nonces["http "+nonce] = true
	d.mu.Unlock()
	offer := func(algorithm string) {
		w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Digest realm="%s", qop="auth", nonce="%s", algorithm=%s, opaque="a,b=\"c\""`, realm, nonce, algorithm))
	}
	switch {
	case d.opt.Auth == Basic:
		w.Header().Add("WWW-Authenticate", `Basic realm="`+realm+`"`)
	case d.opt.Auth == DigestSHA256:
		offer("MD5-sess")
		offer("SHA-256")
	case d.opt.Auth != Token || r.Method == http.MethodGet:
		w.Header().Add("WWW-Authenticate", `Basic realm="`+realm+`"`)
		offer("MD5")
	default:
		d.fault(w, http.StatusBadRequest, "env:Sender", "ter:NotAuthorized", "Sender not Authorized")
		return
	}
	if d.has(HTMLRefusal) || r.Method == http.MethodGet {
		http.Error(w, "<!DOCTYPE html><html><head><title>401</title><body>Unauthorized<br></body>", http.StatusUnauthorized)
		return
	}
	d.fault(w, http.StatusUnauthorized, "env:Sender", "ter:NotAuthorized", "Sender not Authorized")
}

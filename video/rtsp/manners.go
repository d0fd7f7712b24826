package rtsp

import (
	"strings"
	"sync"

	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
)

// manners stands between the client and the camera: it takes out of answers what the client must not act on, puts right what
// cameras commonly get wrong, and remembers what explains a failure. The client calls it in a goroutine of its own.
type manners struct {
	basic        bool   // Basic authentication may be answered
	user, secret string // "" for a host that gets no credentials

	mu         sync.Mutex
	asked      base.Method // the request under way
	authorized bool        // it has credentials
	sender     *auth.Sender
	again      bool // the request under way is to be sent once more, with another nonce
	basicOnly  bool
	location   string // where the camera sends us on to
}

// request is called with each request before it is sent.
func (m *manners) request(r *base.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = r.Method
	if m.sender != nil {
		m.sender.AddAuthorization(r)
	}
	m.authorized = len(r.Header["Authorization"]) > 0
}

// response is called with each answer before the client looks at it.
func (m *manners) response(r *base.Response) {
	defer func() { _ = recover() }() // the client's goroutine: what a camera wrote must not end the process
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := r.Header["Location"]; len(l) > 0 && r.StatusCode >= 300 && r.StatusCode < 400 {
		m.location = l[0]
	}
	delete(r.Header, "Location")
	m.challenge(r)
	switch {
	case m.asked == base.Options && r.StatusCode >= 400 && r.StatusCode != base.StatusUnauthorized && r.StatusCode != base.StatusForbidden:
		r.StatusCode = base.StatusOK // not every camera knows OPTIONS; whether the path is right DESCRIBE tells
	case m.asked == base.Describe && r.StatusCode == base.StatusOK && len(r.Body) > 0:
		r.Header["Content-Type"] = base.HeaderValue{"application/sdp"}
		r.Body = mend(r.Body)
	case m.asked == base.Setup && len(r.Header["Transport"]) > 0:
		r.Header["Transport"] = withoutSource(r.Header["Transport"])
	}
}

// challenge looks at what the camera offers to be convinced by.
func (m *manners) challenge(r *base.Response) {
	offers := r.Header["WWW-Authenticate"]
	if len(offers) == 0 {
		return
	}
	var kept base.HeaderValue
	stale, digest := false, false
	for _, o := range offers {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(o), " ")
		switch strings.ToLower(scheme) {
		case "basic":
			if m.basic {
				kept = append(kept, "Basic "+rest)
			}
		case "digest":
			digest = true
			stale = stale || strings.Contains(strings.ReplaceAll(strings.ToLower(rest), `"`, ""), "stale=true")
			kept = append(kept, "Digest "+rest)
		}
	}
	r.Header["WWW-Authenticate"] = kept
	m.basicOnly = m.basicOnly || !digest && !m.basic
	if r.StatusCode != base.StatusUnauthorized || !m.authorized || !stale || m.user == "" {
		return
	}
	// The password was right and the nonce is used up (RFC 2617 §3.3).
	s := &auth.Sender{WWWAuth: kept, User: m.user, Pass: m.secret}
	if s.Initialize() == nil {
		m.sender, m.again = s, true
	}
}

// serverRequest is called with each request of the camera. The client answers OPTIONS and hangs up at everything else; some cameras
// keep a session alive, or tell about it, from their side.
func (m *manners) serverRequest(r *base.Request) {
	switch r.Method {
	case base.GetParameter, base.SetParameter, base.Announce:
		r.Method = base.Options
	}
}

// twice does f, and once more when the nonce had expired.
func (m *manners) twice(f func() error) error {
	err := f()
	m.mu.Lock()
	again := m.again
	m.again = false
	m.mu.Unlock()
	if err != nil && again {
		return f()
	}
	return err
}

// outcome returns what was found out while err came about.
func (m *manners) outcome(err error) (basicOnly bool, location string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		return false, ""
	}
	return m.basicOnly, m.location
}

// withoutSource takes out of a Transport header where RTP is said to come from, to which the client would send and whose name it would
// look up: it comes from the camera that we have asked. What the client cannot read stays, and it says so.
func withoutSource(h base.HeaderValue) base.HeaderValue {
	var t headers.Transport
	if t.Unmarshal(h) != nil {
		return h
	}
	t.Source2, t.Destination2 = nil, nil
	return t.Marshal()
}

package onvif

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"sitewatch/edge"
)

// mode is how a client says who it is.
type mode int

const (
	asNobody mode = iota
	byToken       // WS-UsernameToken in the message
	byDigest      // HTTP Digest
	byBoth
)

// client speaks SOAP and HTTP with one device.
type client struct {
	http      *http.Client
	clock     edge.Clock
	user      string
	password  string
	timeout   time.Duration
	offset    time.Duration // what to add to our time to have the device's
	mode      mode
	proved    bool // the device has taken mode
	challenge *challenge
	remote    atomic.Pointer[netip.Addr] // whom we were connected to last; nil before
}

func newClient(opt Options, password string) *client {
	c := &client{clock: opt.Clock, user: opt.User, password: password, timeout: opt.Timeout, mode: asNobody}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.user != "" {
		c.mode = byToken
	}
	dialer := net.Dialer{Timeout: c.timeout}
	c.http = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := dialer.DialContext(ctx, network, addr)
				if err == nil {
					if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
						ip := a.AddrPort().Addr().Unmap().WithZone("")
						c.remote.Store(&ip)
					}
				}
				return conn, err
			},
			TLSClientConfig:        &tls.Config{InsecureSkipVerify: true}, // see the package comment
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true, // cheap cameras close when they like; a call is seldom
		},
	}
	return c
}

// reply is an answer of a device, read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// send makes one HTTP request and reads at most limit bytes of its answer; more are an error.
func (c *client) send(ctx context.Context, method, address, contentType string, body []byte, auth string, limit int64) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("onvif: device names an address that is none")
	}
	req.Header.Set("User-Agent", "sitewatch")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, connectError(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return nil, redirectError(resp)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("onvif: answer broke off: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("onvif: answer is longer than %d KiB", limit>>10)
	}
	return &reply{resp.StatusCode, resp.Header, b}, nil
}

// connectError is err without the address, which may be one that the device has made up.
func connectError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("onvif: no answer in time")
	case errors.As(err, &op):
		return fmt.Errorf("onvif: %w", op)
	case strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return edge.WithHint(ErrNotONVIF, "write http:// instead of https://")
	case strings.Contains(err.Error(), "malformed HTTP"), errors.Is(err, io.EOF):
		return ErrNotONVIF
	}
	return errors.New("onvif: " + plain(err.Error()))
}

func redirectError(resp *http.Response) error {
	err := fmt.Errorf("onvif: device sends us elsewhere (%s), which is not followed", http.StatusText(resp.StatusCode))
	if u, lerr := resp.Location(); lerr == nil && u.Scheme == "https" && u.Hostname() == resp.Request.URL.Hostname() {
		return edge.WithHint(err, "it wants https: give its address as https://HOST/onvif/device_service")
	}
	return edge.WithHint(err, "give the address that the camera's own pages name for ONVIF")
}

// call makes a SOAP call and returns what is in the body of the answer.
func (c *client) call(ctx context.Context, address string, r request) (*node, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	m := c.mode
	if r.open && !c.proved {
		m = asNobody
	}
	tried := map[mode]bool{}
	for {
		tried[m] = true
		rep, err := c.post(ctx, address, r, m)
		if err != nil {
			return nil, err
		}
		body, err := soapBody(rep)
		var f *FaultError
		unauthorised := rep.status == http.StatusUnauthorized || rep.status == http.StatusForbidden
		if !unauthorised && !(errors.As(err, &f) && f.refusal()) {
			if err == nil && m != asNobody {
				c.mode, c.proved = m, true
			}
			return body, err
		}
		offered, basic := challengeOf(rep.header)
		known := c.challenge
		if offered != nil {
			c.challenge = offered
		}
		next := m
		switch {
		case c.user == "":
			return nil, edge.WithHint(ErrAsks, "give the camera's user and password")
		case m == asNobody && offered != nil:
			next = byDigest
		case m == asNobody && basic:
			return nil, errBasic()
		case m == asNobody:
			next = byToken
		case m == byToken && offered != nil:
			next = byDigest
		case m == byDigest && !unauthorised:
			next = byBoth
		case m == byDigest && offered != nil && known != nil && offered.nonce != known.nonce && (offered.stale || c.proved) && known.count > 0:
			delete(tried, byDigest) // the nonce is over, not the password wrong: once more
			c.proved = false
		case basic:
			return nil, errBasic()
		}
		if tried[next] {
			return nil, edge.WithHint(ErrRefused, "check the user and the password: many cameras have users of their own for ONVIF, and lock out after some wrong ones")
		}
		m = next
	}
}

func errBasic() error {
	return edge.WithHint(ErrBasic, "switch the camera to Digest authentication")
}

func (c *client) post(ctx context.Context, address string, r request, m mode) (*reply, error) {
	token, auth := "", ""
	if m == byToken || m == byBoth {
		token = usernameToken(c.user, c.password, c.clock.Now().Wall.Add(c.offset))
	}
	if (m == byDigest || m == byBoth) && c.challenge != nil {
		auth = c.challenge.authorization(c.user, c.password, http.MethodPost, uriOf(address))
	}
	contentType := "application/soap+xml; charset=utf-8"
	if r.action != "" {
		contentType += `; action="` + r.action + `"`
	}
	return c.send(ctx, http.MethodPost, address, contentType, []byte(r.message(token)), auth, maxAnswerBytes)
}

// soapBody reads an answer whatever its status and content type say: cameras send faults with 200 and answers as text/html.
func soapBody(rep *reply) (*node, error) {
	body, err := bodyOf(rep.body)
	if err == nil || errors.As(err, new(*FaultError)) {
		return body, err
	}
	if rep.status != http.StatusOK || errors.Is(err, ErrNotONVIF) {
		return nil, edge.WithHint(fmt.Errorf("%w: it answers %s", ErrNotONVIF, strings.TrimSpace(fmt.Sprint(rep.status, " ", http.StatusText(rep.status)))),
			"switch ONVIF on in the camera's own pages, and see that the address is that of its device service")
	}
	return nil, err
}

func uriOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "/"
	}
	return u.RequestURI()
}

// get fetches a picture, by HTTP Digest when the device asks for it.
func (c *client) get(ctx context.Context, address string, limit int64) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	auth := ""
	for range 3 {
		rep, err := c.send(ctx, http.MethodGet, address, "", nil, auth, limit)
		if err != nil {
			return nil, err
		}
		if rep.status != http.StatusUnauthorized {
			return rep, nil
		}
		ch, basic := challengeOf(rep.header)
		switch {
		case basic:
			return nil, errBasic()
		case c.user == "":
			return nil, edge.WithHint(ErrAsks, "give the camera's user and password")
		case ch == nil || auth != "" && !ch.stale:
			return nil, edge.WithHint(ErrRefused, "check that this user may see pictures")
		}
		auth = ch.authorization(c.user, c.password, http.MethodGet, uriOf(address))
	}
	return nil, ErrRefused
}

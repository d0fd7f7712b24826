package rtsp

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video/rtsptest"
)

// certificate makes one for name, signed by itself.
func certificate(t *testing.T, name string, ends time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: ends.Add(-100 * time.Hour), NotAfter: ends,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func fingerprint(c tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// attempt runs one Source until it has pictures, or ends.
func attempt(t *testing.T, opt Options) (*seen, error) {
	t.Helper()
	sink := &seen{}
	opt.Clock, opt.Sink = edge.NewSystemClock(), sink
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	src := NewSource(opt)
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil && sink.count() < 30 {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		cancel()
	})
	err := src.Run(ctx)
	cancel()
	wg.Wait()
	if sink.count() >= 30 {
		err = nil
	}
	return sink, err
}

func TestCamerasOverTLS(t *testing.T) {
	good, goodCA := certificate(t, "127.0.0.1", time.Now().Add(time.Hour))
	other, otherCA := certificate(t, "camera.example", time.Now().Add(time.Hour))
	old, oldCA := certificate(t, "127.0.0.1", time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		cert tls.Certificate
		opt  Options
		want error
	}{
		"its authority is known":                            {good, Options{CAFile: goodCA}, nil},
		"its authority is known, over UDP":                  {good, Options{CAFile: goodCA, UDP: true}, nil},
		"its certificate is known":                          {good, Options{CertificateSHA256: fingerprint(good)}, nil},
		"its certificate is known, in capitals":             {good, Options{CertificateSHA256: strings.ToUpper(fingerprint(good))}, nil},
		"its certificate is known, of another name":         {other, Options{CertificateSHA256: fingerprint(other)}, nil},
		"its certificate is known, and has ended":           {old, Options{CertificateSHA256: fingerprint(old)}, nil},
		"nobody knows it":                                   {good, Options{}, ErrCertificate},
		"another authority":                                 {good, Options{CAFile: otherCA}, ErrCertificate},
		"another certificate":                               {good, Options{CertificateSHA256: fingerprint(other)}, ErrCertificate},
		"of another host":                                   {other, Options{CAFile: otherCA}, ErrCertificate},
		"its authority is known, its certificate has ended": {old, Options{CAFile: oldCA}, ErrCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := serve(t, rtsptest.Options{User: "u", Password: "right", UDP: true, TLS: &tls.Config{Certificates: []tls.Certificate{c.cert}}}, rtsptest.None)
			c.opt.URL, c.opt.User, c.opt.PasswordFile = s.URL("stockroom/main"), "u", passwordFile(t, "right")
			_, err := attempt(t, c.opt)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if c.want != nil && edge.HintOf(err) == "" {
				t.Errorf("%v has no hint", err)
			}
			if c.want == ErrCertificate && !strings.Contains(err.Error(), fingerprint(c.cert)) {
				t.Errorf("%v does not say what certificate_sha256 would be", err)
			}
		})
	}
	s, _ := serve(t, rtsptest.Options{}, rtsptest.None)
	if _, err := attempt(t, Options{URL: strings.Replace(s.URL("stockroom/main"), "rtsp:", "rtsps:", 1), CAFile: goodCA}); err == nil || edge.HintOf(err) == "" {
		t.Errorf("rtsps to a camera without TLS: got %v, want a hint", err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := attempt(t, Options{URL: "rtsps://" + ln.Addr().String() + "/main", CAFile: goodCA, StallAfter: 200 * time.Millisecond}); !errors.Is(err, ErrStalled) {
		t.Errorf("rtsps to a camera that says nothing: got %v, want ErrStalled", err)
	}
}

// Of a camera that cannot be called the system says why, and not what to do.
func TestHintWhereNobodyAnswersTheCall(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		hint string
	}{
		"nothing listens":     {&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "nothing listens"},
		"its name is unknown": {&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "camera-1.local"}}, "DNS"},
	} {
		if err := translate(c.err, ""); !strings.Contains(edge.HintOf(err), c.hint) {
			t.Errorf("%s: %v with hint %q, want one of %q", name, err, edge.HintOf(err), c.hint)
		}
	}
}

// What is spoken to in clear and wants TLS hangs up, with what it has not read or without: then the system says that it was reset.
func TestHintAtTLSWhereItIsWanted(t *testing.T) {
	for name, linger := range map[string]int{"it hangs up": -1, "it resets": 0} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			t.Cleanup(func() { ln.Close(); wg.Wait() })
			wg.Go(func() {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				conn.Read(make([]byte, 1024))
				conn.(*net.TCPConn).SetLinger(linger)
				conn.Close()
			})
			_, err = attempt(t, Options{URL: "rtsp://" + ln.Addr().String() + "/main"})
			if err == nil || !strings.Contains(err.Error(), "ended at the other side") || !strings.Contains(edge.HintOf(err), "rtsps") {
				t.Errorf("got %v, hint %q", err, edge.HintOf(err))
			}
		})
	}
}

func TestOverUDP(t *testing.T) {
	s, _ := serve(t, rtsptest.Options{UDP: true}, rtsptest.None)
	cam, sink := start(t, Options{URL: s.URL("stockroom/main"), UDP: true, LostAfter: time.Minute, StallAfter: time.Minute})
	waitFor(t, "pictures", func() bool { return sink.count() >= 60 })
	if st := cam.Status(); st.Transport != "udp" {
		t.Errorf("pictures come over %q, want udp", st.Transport)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	for i := 1; i < len(sink.units); i++ {
		if d := sink.units[i].PTS - sink.units[i-1].PTS; d != 4500 {
			t.Errorf("picture %d came %d ticks after the one before, want 4500", i, d)
		}
	}
}

func TestWithoutUDPItIsTCP(t *testing.T) {
	s, _ := serve(t, rtsptest.Options{}, rtsptest.None) // answers 461
	cam, sink := start(t, Options{URL: s.URL("stockroom/main"), UDP: true})
	waitFor(t, "pictures", func() bool { return sink.count() >= 10 })
	if st := cam.Status(); st.Transport != "tcp" || !strings.Contains(strings.Join(st.Advice, " "), "UDP") {
		t.Errorf("got transport %q, advice %q, want tcp and that UDP does not work", st.Transport, st.Advice)
	}
}

// scripted is a camera that answers as the test says. It returns its address and what it was asked.
func scripted(t *testing.T, answer func(method, url string, h textproto.MIMEHeader) string) (addr string, requests func() string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var asked strings.Builder
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				r := textproto.NewReader(bufio.NewReader(conn))
				for {
					line, err := r.ReadLine()
					if err != nil {
						return
					}
					h, err := r.ReadMIMEHeader()
					if err != nil {
						return
					}
					f := strings.Fields(line)
					mu.Lock()
					fmt.Fprintf(&asked, "%s %v\n", line, h)
					mu.Unlock()
					a := answer(f[0], f[1], h)
					if a == "" {
						return
					}
					head, rest, _ := strings.Cut(a, "\r\n")
					if _, err := conn.Write([]byte(head + "\r\nCSeq: " + h.Get("CSeq") + "\r\n" + rest + "\r\n")); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String(), func() string { mu.Lock(); defer mu.Unlock(); return asked.String() }
}

func TestRedirects(t *testing.T) {
	s, _ := serve(t, rtsptest.Options{User: "u", Password: "right"}, rtsptest.None)
	open, _ := serve(t, rtsptest.Options{}, rtsptest.None)
	to := func(url string) func(string, string, textproto.MIMEHeader) string {
		return func(method, _ string, _ textproto.MIMEHeader) string {
			if method == "OPTIONS" {
				return "RTSP/1.0 200 OK\r\n"
			}
			return "RTSP/1.0 302 Moved\r\nLocation: " + url + "\r\n"
		}
	}
	elsewhere := func(url string) string { return strings.Replace(url, "127.0.0.1", "localhost", 1) }
	for name, c := range map[string]struct {
		to   string
		want error
	}{
		"to another path of the host":              {s.URL("stockroom/main"), nil},
		"with somebody else's password in it":      {strings.Replace(s.URL("stockroom/main"), "//", "//evil:secret@", 1), nil},
		"to another host that asks nothing":        {elsewhere(open.URL("stockroom/main")), nil},
		"to another host that asks for a password": {elsewhere(s.URL("stockroom/main")), ErrRedirect},
		"to what is no address":                    {"http://127.0.0.1/", ErrRedirect},
	} {
		addr, _ := scripted(t, to(c.to))
		_, err := attempt(t, Options{URL: "rtsp://" + addr + "/main", User: "u", PasswordFile: passwordFile(t, "right")})
		if !errors.Is(err, c.want) || c.want == nil && err != nil || c.want != nil && edge.HintOf(err) == "" {
			t.Errorf("%s: got %v (hint %q), want %v", name, err, edge.HintOf(err), c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: a password is in %q", name, err)
		}
	}
	var addr string
	addr, requests := scripted(t, func(method, url string, h textproto.MIMEHeader) string { return to("/main")(method, url, h) })
	_, err := attempt(t, Options{URL: "rtsp://" + addr + "/main"})
	if n := strings.Count(requests(), "DESCRIBE"); !errors.Is(err, ErrRedirect) || n != maxRedirects+1 {
		t.Errorf("in a circle: got %v after %d requests, want ErrRedirect after %d", err, n, maxRedirects+1)
	}
}

func TestHowThePasswordGoes(t *testing.T) {
	const (
		basic  = "WWW-Authenticate: Basic realm=\"cam\"\r\n"
		md5    = "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n1\"\r\n"
		sha256 = "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n1\", algorithm=\"SHA-256\"\r\n"
	)
	for name, c := range map[string]struct {
		offers string
		basic  bool
		want   string // in the credentials
		never  string
	}{
		"Basic first, then Digest":           {basic + md5, false, "Digest", "Basic"},
		"MD5 first, then SHA-256":            {md5 + sha256, false, "SHA-256", "Basic"},
		"SHA-256 first, then MD5":            {sha256 + md5, false, "SHA-256", "Basic"},
		"Basic alone":                        {basic, false, "", "Basic"},
		"Basic alone, and it is switched on": {basic, true, "Basic", "Digest"},
		"Basic is on, Digest is offered":     {basic + md5, true, "Digest", "Basic"},
	} {
		addr, requests := scripted(t, func(string, string, textproto.MIMEHeader) string { return "RTSP/1.0 401 Unauthorized\r\n" + c.offers })
		_, err := attempt(t, Options{URL: "rtsp://" + addr + "/main", User: "u", PasswordFile: passwordFile(t, "right"), Basic: c.basic})
		if want := map[bool]error{true: ErrBasic, false: ErrRefused}[c.want == ""]; !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		got := requests()
		_, credentials, _ := strings.Cut(got, "Authorization:")
		if !strings.Contains(credentials, c.want) || strings.Contains(credentials, c.never) || c.want == "" && credentials != "" {
			t.Errorf("%s: was asked\n%s", name, got)
		}
		if n := strings.Count(got, "Authorization:"); n > 1 {
			t.Errorf("%s: the password was tried %d times in one attempt", name, n)
		}
	}
}

package uplink

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	mrand "math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/uplink/wire"
)

// authority is a CA of the test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var epoch = edgetest.NewClock().Now().Wall

func newAuthority(t testing.TB, name string) *authority {
	a := &authority{key: newKey(t)}
	a.cert = a.sign(t, &a.key.PublicKey, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: epoch.AddDate(-1, 0, 0), NotAfter: epoch.AddDate(30, 0, 0)})
	return a
}

func (a *authority) sign(t testing.TB, pub *ecdsa.PublicKey, tmpl *x509.Certificate) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber = big.NewInt(time.Now().UnixNano())
	by := tmpl
	if a.cert != nil {
		by = a.cert
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by, pub, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (a *authority) box(t testing.TB, site edge.SiteID, key *ecdsa.PrivateKey) *x509.Certificate {
	return a.sign(t, &key.PublicKey, &x509.Certificate{URIs: []*url.URL{edge.SiteURI(site)}, NotBefore: epoch.AddDate(0, 0, -1), NotAfter: epoch.AddDate(0, 0, 90)})
}

func (a *authority) server(t *testing.T, from, to time.Time) []*x509.Certificate {
	return []*x509.Certificate{a.sign(t, &newKey(t).PublicKey, &x509.Certificate{DNSNames: []string{wire.ServerName}, NotBefore: from, NotAfter: to}), a.cert}
}

// enrolled is an identity in a folder.
func enrolled(t *testing.T, a *authority) (*Identity, *credential) {
	t.Helper()
	dir := t.TempDir()
	key, err := makeKey(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCredential(key, a.box(t, "1", key), []*x509.Certificate{a.cert})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.save(dir); err != nil {
		t.Fatal(err)
	}
	id, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id, id.present()
}

// A hostile SOC, or a broken one, must not take the box's identity from it.
func TestRepliesThatAreNoRenewal(t *testing.T) {
	a, other := newAuthority(t, "a"), newAuthority(t, "b")
	id, c := enrolled(t, a)
	good := a.box(t, "1", c.key).Raw
	two := a.sign(t, &c.key.PublicKey, &x509.Certificate{URIs: []*url.URL{edge.SiteURI("1"), edge.SiteURI("2")}, NotAfter: epoch}).Raw
	var many [][]byte
	for range wire.MaxCAs + 1 {
		many = append(many, a.cert.Raw)
	}
	for name, tt := range map[string]struct {
		cert []byte
		cas  [][]byte
		says string
	}{
		"good":                     {good, [][]byte{other.cert.Raw, a.cert.Raw}, ""},
		"another site":             {a.box(t, "2", c.key).Raw, [][]byte{a.cert.Raw}, "of site 2"},
		"another key":              {a.box(t, "1", newKey(t)).Raw, [][]byte{a.cert.Raw}, "not for the box's key"},
		"two sites":                {two, [][]byte{a.cert.Raw}, "names no site"},
		"rubbish":                  {[]byte("rubbish"), [][]byte{a.cert.Raw}, "new certificate"},
		"empty":                    {nil, nil, "0 authorities"},
		"no authority":             {good, nil, "0 authorities"},
		"too many":                 {good, many, "9 authorities"},
		"an authority of rubbish":  {good, [][]byte{a.cert.Raw, {1}}, "an authority"},
		"not by any of them":       {good, [][]byte{other.cert.Raw}, "not by the SOC's authority"},
		"a box for an authority":   {good, [][]byte{a.cert.Raw, good}, "is none"},
		"an authority for the box": {a.cert.Raw, [][]byte{a.cert.Raw}, "not for the box's key"},
	} {
		next, err := c.successor(&wire.RenewReply{Certificate: tt.cert, Cas: tt.cas})
		if tt.says == "" {
			if err != nil || !next.cas[0].Equal(a.cert) || len(next.cas) != 2 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
	if id.present() != c {
		t.Error("the identity has changed")
	}
}

// FuzzRenewReply is a SOC that answers anything at all: what comes of it is for the same site and key, or nothing does.
func FuzzRenewReply(f *testing.F) {
	a := newAuthority(f, "a")
	key := newKey(f)
	c, err := newCredential(key, a.box(f, "1", key), []*x509.Certificate{a.cert})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.leaf.Raw, a.cert.Raw, []byte{})
	f.Add(a.box(f, "2", key).Raw, a.cert.Raw, a.cert.Raw)
	f.Add(a.cert.Raw, c.leaf.Raw, []byte("rubbish"))
	f.Add([]byte{}, []byte{}, []byte{0x30})
	f.Fuzz(func(t *testing.T, cert, ca, more []byte) {
		next, err := c.successor(&wire.RenewReply{Certificate: cert, Cas: [][]byte{ca, more}})
		if err == nil && (next.site != c.site || next.key != c.key || !key.PublicKey.Equal(next.leaf.PublicKey) || len(next.cas) != 2) {
			t.Errorf("it becomes %+v", next)
		}
		if next, err = c.successor(&wire.RenewReply{Certificate: cert, Cas: [][]byte{ca}}); err == nil && next.leaf.CheckSignatureFrom(next.cas[0]) != nil {
			t.Errorf("it is by nobody: %+v", next)
		}
	})
}

func TestCertificateIsReplacedAsAWhole(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	id, old := enrolled(t, a)
	next, err := newCredential(old.key, b.box(t, "1", old.key), []*x509.Certificate{b.cert, a.cert})
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(id.dir, caFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := id.replace(old, next); err != nil {
		t.Fatal(err)
	}
	if got := id.Certificate(); !got.Equal(next.leaf) {
		t.Error("the new one is not used")
	}
	// A kill between the two files leaves the second as it was.
	if err := os.WriteFile(filepath.Join(id.dir, caFile), before, 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := LoadIdentity(id.dir)
	if err != nil || !again.Certificate().Equal(next.leaf) || len(again.present().cas) != 2 {
		t.Fatalf("after a kill: %v", err)
	}
	if err := id.replace(old, next); err != errReplaced {
		t.Errorf("a renewal of what is gone: %v", err)
	}
	// What is written to the folder while the program runs is taken up when it can be used, and only then.
	other, _ := enrolled(t, a)
	for _, tt := range []struct {
		cert string
		want *x509.Certificate
	}{{"rubbish", next.leaf}, {string(mustRead(t, filepath.Join(other.dir, certFile))), next.leaf}} {
		if err := os.WriteFile(filepath.Join(id.dir, certFile), []byte(tt.cert), 0o644); err != nil {
			t.Fatal(err)
		}
		if !id.Certificate().Equal(tt.want) {
			t.Errorf("%.20q is taken up", tt.cert)
		}
	}
	third, err := newCredential(old.key, a.box(t, "1", old.key), []*x509.Certificate{a.cert})
	if err != nil {
		t.Fatal(err)
	}
	if err := third.save(id.dir); err != nil || !id.Certificate().Equal(third.leaf) {
		t.Errorf("an enrolment beside the running program is not taken up (%v)", err)
	}
}

// identityEnv makes TestWritesIdentities the process that is killed: it names the folder.
const identityEnv = "SITEWATCH_TEST_IDENTITY"

// TestWritesIdentities renews for ever, in a process of its own.
func TestWritesIdentities(t *testing.T) {
	dir := os.Getenv(identityEnv)
	if dir == "" {
		t.Skip("part of TestKilledWhileRenewing")
	}
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	key, err := makeKey(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		by, cas := a, []*x509.Certificate{a.cert}
		if i%2 == 1 {
			by, cas = b, []*x509.Certificate{b.cert, a.cert}
		}
		next, err := newCredential(key, by.box(t, "1", key), cas)
		if err != nil {
			t.Fatal(err)
		}
		if id, err := LoadIdentity(dir); errors.Is(err, ErrNotEnrolled) {
			err = next.save(dir)
			if err != nil {
				t.Fatal(err)
			}
		} else if err != nil {
			t.Fatal(err)
		} else if err := id.replace(id.present(), next); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			os.Stdout.WriteString("enrolled\n")
		}
	}
}

func TestKilledWhileRenewing(t *testing.T) {
	dir := t.TempDir()
	for range 25 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWritesIdentities$")
		cmd.Env = append(os.Environ(), identityEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "enrolled\n" {
			cmd.Process.Kill()
			t.Fatalf("it says %q, %v", line, err)
		}
		<-time.After(mrand.N(30 * time.Millisecond))
		cmd.Process.Kill()
		cmd.Wait()
		id, err := LoadIdentity(dir)
		if err != nil {
			t.Fatalf("after a kill: %v", err)
		}
		if _, err := loadCerts(filepath.Join(dir, caFile)); err != nil {
			t.Errorf("the copy of the authorities: %v", err)
		}
		if id.Site != "1" {
			t.Errorf("site %q", id.Site)
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSOCIsBelievedAtAPossibleTime(t *testing.T) {
	a, b := newAuthority(t, "a"), newAuthority(t, "b")
	year := 365 * 24 * time.Hour
	chain := a.server(t, epoch.Add(-year), epoch.Add(year))
	ended := a.server(t, epoch.Add(-3*year), epoch.Add(-2*year))
	wrong := []*x509.Certificate{a.sign(t, &newKey(t).PublicKey, &x509.Certificate{DNSNames: []string{"other.example"}, NotBefore: epoch.Add(-year), NotAfter: epoch.Add(year)})}
	long := chain
	for range maxChain {
		long = append(long, a.cert)
	}
	for name, tt := range map[string]struct {
		chain  []*x509.Certificate
		by     *authority
		step   time.Duration // of the box's clock
		synced bool
		says   string
	}{
		"now":                         {chain, a, 0, true, ""},
		"1970":                        {chain, a, time.Unix(0, 0).Sub(epoch), false, ""},
		"years ahead":                 {chain, a, 5 * year, false, ""},
		"years ahead, by NTP":         {chain, a, 5 * year, true, ""},
		"ended before the build":      {ended, a, 0, true, "ended on"},
		"ended, and it is 1970":       {ended, a, time.Unix(0, 0).Sub(epoch), false, "ended on"},
		"another authority":           {chain, b, 0, true, "not by an authority"},
		"another authority, and 1970": {chain, b, time.Unix(0, 0).Sub(epoch), false, "not by an authority"},
		"another name":                {wrong, a, 0, true, "other.example"},
		"nothing":                     {nil, a, 0, true, "0 certificates"},
		"too long":                    {long, a, 0, true, "certificates"},
	} {
		machine := edgetest.NewClock()
		machine.Step(tt.step)
		machine.Sync(tt.synced)
		clk := edge.NewBoxClock(machine, epoch.Add(-30*24*time.Hour))
		err := verifySOC(tt.chain, []*x509.Certificate{tt.by.cert}, clk, time.Time{})
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", name, err, tt.says)
		}
	}
	// What NTP said in an earlier run has surely passed, whatever the battery has lost since.
	machine := edgetest.NewClock()
	machine.Step(time.Unix(0, 0).Sub(epoch))
	machine.Sync(false)
	clk := edge.NewBoxClock(machine, epoch.Add(-30*24*time.Hour))
	short := a.server(t, epoch.Add(-year), epoch.Add(-24*time.Hour))
	if err := verifySOC(short, []*x509.Certificate{a.cert}, clk, time.Time{}); err != nil {
		t.Errorf("without a journal: %v", err)
	}
	clk.Known(edge.Stamp{Wall: epoch, Synced: true})
	if err := verifySOC(short, []*x509.Certificate{a.cert}, clk, time.Time{}); err == nil {
		t.Error("a certificate that ended before the last journalled stamp is taken")
	}
}

func TestRenewalIsDueBySOCTime(t *testing.T) {
	a := newAuthority(t, "a")
	_, c := enrolled(t, a)
	good := c.digest()
	clk := edgetest.NewClock()
	r := newRenewal(RenewOptions{Spread: 1, Again: time.Hour})
	due := func(days int, trust []byte) bool {
		r.tell(clk.Now(), epoch.AddDate(0, 0, days).UnixMilli(), trust)
		return r.due(clk.Now(), c)
	}
	if due(59, good[:]) {
		t.Error("at 59 days")
	}
	if !due(-30, good[:]) {
		t.Error("made by a SOC whose clock was ahead, and not due")
	}
	r.ended(clk.Now(), nil)
	clk.Step(10 * 365 * 24 * time.Hour)
	if due(59, good[:]) {
		t.Error("because the box's clock is wrong")
	}
	if due(0, nil) || due(0, []byte("rubbish")) {
		t.Error("by a SOC that says nothing of its authorities")
	}
	if !due(60, good[:]) {
		t.Error("not at 60 days")
	}
	if r.ended(clk.Now(), errClosed) != true || r.ended(clk.Now(), errClosed) != false {
		t.Error("a failure is told once")
	}
	if due(60, good[:]) {
		t.Error("again at once after a failure")
	}
	clk.Advance(29 * time.Minute)
	if due(60, good[:]) {
		t.Error("again within half an hour")
	}
	clk.Advance(time.Hour + 2*time.Minute)
	if !due(60, good[:]) {
		t.Error("not again within an hour and a half")
	}
	r.ended(clk.Now(), nil)
	if due(10, good[:]) {
		t.Error("a new certificate, and still due")
	}
	if !due(10, make([]byte, 32)) {
		t.Error("other authorities, and not due")
	}
	clk.Reboot("boot-2")
	if due(10, make([]byte, 32)); due(10, good[:]) {
		t.Error("after a boot")
	}
	for name, tt := range map[string]struct{ life, want time.Duration }{
		"90 days":         {91 * 24 * time.Hour, 61 * 24 * time.Hour},
		"20 years":        {20 * 365 * 24 * time.Hour, 61 * 24 * time.Hour},
		"cut by its CA's": {9 * 24 * time.Hour, 6 * 24 * time.Hour},
	} {
		if got := renewAt(&x509.Certificate{NotBefore: epoch, NotAfter: epoch.Add(tt.life)}).Sub(epoch); got != tt.want {
			t.Errorf("%s: after %v, want %v", name, got, tt.want)
		}
	}
}

package uplink_test

import (
	"crypto/ecdsa"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
	"sitewatch/uplink"
	"sitewatch/uplink/soc"
)

const day = 24 * time.Hour

// trusting is a SOC with a clock that the test moves.
func trusting(t *testing.T) (*station, *edgetest.Clock) {
	clk := edgetest.NewClock()
	s := &station{t: t, data: t.TempDir(), addr: "127.0.0.1:0", log: testLog(t), clock: clk}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s, clk
}

// shop is one box and its folder.
type shop struct {
	*outbox
	t   *testing.T
	soc *station
	dir string
	id  *uplink.Identity
}

func (s *station) token(site edge.SiteID) string {
	s.t.Helper()
	tok, err := soc.Claim(s.data, site, s.clock)
	if err != nil {
		s.t.Fatal(err)
	}
	return tok.String()
}

// shop enrols a box.
func (s *station) shop(t *testing.T, site edge.SiteID) *shop {
	t.Helper()
	b := &shop{outbox: newOutbox(site), t: t, soc: s, dir: t.TempDir()}
	b.enrol(s.token(site))
	return b
}

func (b *shop) enrol(token string) {
	b.t.Helper()
	var err error
	b.id, err = uplink.Enrol(b.t.Context(), uplink.EnrolOptions{Dir: b.dir, SOC: b.soc.addr, Token: token, Site: b.site, Clock: b.soc.clock})
	if err != nil {
		b.t.Fatal(err)
	}
}

// run connects the box as its folder says that it is.
func (b *shop) run(clk edge.Clock, spread time.Duration) (c *uplink.Client, stop func()) {
	b.t.Helper()
	var err error
	if b.id, err = uplink.LoadIdentity(b.dir); err != nil {
		b.t.Fatal(err)
	}
	b.clock = clk
	return box(b.t, uplink.Options{Outbox: b.outbox, Files: newFiles(b.t), Identity: b.id, Paths: []uplink.Path{{SOC: []string{b.soc.addr}}},
		Clock: clk, Renew: uplink.RenewOptions{Spread: spread, Again: 1}})
}

// delivers puts an event in and waits for its ack.
func (b *shop) delivers(what string) {
	b.t.Helper()
	seq := b.put(b.t, edge.Event{Kind: edge.KindIntruder, Why: what})
	eventually(b.t, what+": acked", func() bool { u, _ := b.Watermark(b.t.Context(), edge.Urgent); return u == seq })
}

// refused waits until the box has heard why it is not let in.
func (b *shop) refused(c *uplink.Client, why string) {
	b.t.Helper()
	eventually(b.t, "refused: "+why, func() bool { st := c.Status(); return !st.Connected && strings.Contains(st.LastError, why) })
}

// metric is the SOC's counter of that name; label is that of its first label, "" when it has none.
func (s *station) metric(name, label string) (v float64) {
	s.t.Helper()
	all, err := s.reg.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				v = m.GetCounter().GetValue()
			}
		}
	}
	return v
}

// beats waits until the box has heard the SOC say its time after a move of its clock.
func beats() { <-time.After(1500 * time.Millisecond) }

func TestCertificateIsRenewedOverTheLiveConnection(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	b := s.shop(t, "0417")
	first := b.id.Certificate()
	if life := first.NotAfter.Sub(clk.Now().Wall); life < 89*day || life > 90*day {
		t.Errorf("a certificate is good for %v, want 90 days", life)
	}
	c, _ := b.run(edgetest.NewClock(), 1)
	b.delivers("the first")
	connected := c.Status().Since
	clk.Advance(59 * day)
	beats()
	if !b.id.Certificate().Equal(first) {
		t.Fatal("renewed before its time")
	}
	clk.Advance(2 * day)
	eventually(t, "renewed", func() bool { return !b.id.Certificate().Equal(first) })
	second := b.id.Certificate()
	if d := second.NotAfter.Sub(clk.Now().Wall); d < 89*day || !second.PublicKey.(*ecdsa.PublicKey).Equal(first.PublicKey) {
		t.Errorf("good for %v, want 90 days and the same key", d)
	}
	if kept, err := uplink.LoadIdentity(b.dir); err != nil || !kept.Certificate().Equal(second) {
		t.Errorf("not on disk: %v", err)
	}
	if at, expired, _, ok := s.srv.Certificate("0417"); !ok || expired || !at.Equal(second.NotAfter) {
		t.Errorf("the SOC knows of one until %v, expired %v, %v", at, expired, ok)
	}
	b.delivers("after it")
	if st := c.Status(); st.Since != connected || !st.Connected {
		t.Error("the line was cut for it")
	}
	if n := s.metric("sitewatch_soc_certificates_total", "renewed"); n != 1 {
		t.Errorf("%v certificates were made, want 1", n)
	}
}

func TestBoxThatWasOffForLongerThanItsCertificateDeliversAndRenews(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	b := s.shop(t, "0417")
	first := b.id.Certificate()
	clk.Advance(200 * day)
	_, stop := b.run(clk, time.Hour)
	b.delivers("kept for 200 days")
	if at, expired, revoked, ok := s.srv.Certificate("0417"); !ok || !expired || revoked || !at.Equal(first.NotAfter) {
		t.Errorf("not flagged: %v %v %v %v", at, expired, revoked, ok)
	}
	if n := s.metric("sitewatch_soc_certificates_total", "expired"); n == 0 {
		t.Error("not counted")
	}
	stop()
	b.run(clk, 1)
	eventually(t, "renewed", func() bool { return !b.id.Certificate().Equal(first) })
	eventually(t, "the SOC has seen the new one", func() bool { _, expired, _, _ := s.srv.Certificate("0417"); return !expired })
	b.delivers("with the new one")
}

func TestRevokedBoxIsRefusedAtOnceAndAClaimBringsItBack(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	b, other := s.shop(t, "0417"), s.shop(t, "0418")
	unused := s.token("0417")
	stolen := &shop{outbox: newOutbox("0417"), t: t, soc: s, dir: t.TempDir()}
	if err := os.CopyFS(stolen.dir, os.DirFS(b.dir)); err != nil {
		t.Fatal(err)
	}
	c, _ := b.run(clk, time.Hour)
	oc, _ := other.run(clk, time.Hour)
	b.delivers("before")
	other.delivers("before")
	since := oc.Status().Since

	if err := soc.Revoke(s.data, "0417", "stolen", clk); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cut off", func() bool { return !c.Status().Connected })
	b.refused(c, "has been revoked")
	if _, _, revoked, _ := s.srv.Certificate("0417"); !revoked {
		t.Error("not shown")
	}
	if _, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: t.TempDir(), SOC: s.addr, Token: unused, Site: "0417", Clock: clk}); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a token from before still enrols: %v", err)
	}
	seq := b.put(t, edge.Event{Kind: edge.KindFire})

	b.enrol(s.token("0417")) // in the same second, beside the running program
	eventually(t, "the alarm from in between acked", func() bool { u, _ := b.Watermark(t.Context(), edge.Urgent); return u == seq })
	sc, _ := stolen.run(clk, time.Hour)
	stolen.refused(sc, "has been revoked")
	if oc.Status().Since != since {
		t.Error("another site was cut off, too")
	}
	s.stop()
	s.start() // it is kept
	eventually(t, "the new certificate after a restart of the SOC", func() bool { return c.Status().Connected })
	stolen.refused(sc, "has been revoked")
}

func TestExpiredAndRevokedIsRevoked(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	b := s.shop(t, "0417")
	if err := soc.Revoke(s.data, "0417", "", clk); err != nil {
		t.Fatal(err)
	}
	clk.Advance(200 * day)
	c, _ := b.run(clk, 1)
	b.refused(c, "has been revoked")
}

func TestBoxOfAnotherNameIsRefused(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	b := s.shop(t, "0417")
	b.id.Site = "0418" // as if its configuration had been changed
	c, _ := box(t, uplink.Options{Outbox: newOutbox("0418"), Files: newFiles(t), Identity: b.id, Paths: []uplink.Path{{SOC: []string{s.addr}}}, Clock: clk})
	b.refused(c, "the certificate is of site 0417, the box says it is 0418")
}

func authorityOf(c *x509.Certificate) string { return c.Issuer.CommonName }

func TestAuthorityIsReplacedWithoutTouchingABox(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	on, off, lost := s.shop(t, "1"), s.shop(t, "2"), s.shop(t, "3")
	early := s.token("4")
	c, _ := on.run(clk, 1)
	on.delivers("before")
	r, err := soc.OpenRollover(s.data, clk)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Switch(false); err == nil {
		t.Error("switched to nothing")
	}
	if err := r.Retire(false); err == nil {
		t.Error("retired the only one")
	}
	clk.Advance(time.Hour + time.Minute) // a certificate of the last hour would be given again
	if a, err := r.New(); err != nil || a.State != soc.AuthorityNext || !a.Vouched {
		t.Fatalf("got %+v, %v", a, err)
	}
	if _, err := r.New(); err == nil {
		t.Error("a second next one")
	}
	known := func(b *shop) int {
		p, err := os.ReadFile(filepath.Join(b.dir, "ca.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(p), "BEGIN CERTIFICATE")
	}
	eventually(t, "the connected box knows both", func() bool { return known(on) == 2 })
	if got := authorityOf(on.id.Certificate()); got != "Sitewatch SOC" {
		t.Errorf("its certificate is by %s", got)
	}
	clk.Advance(2 * time.Hour)
	if err := r.Switch(false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its certificate is by the new one", func() bool { return authorityOf(on.id.Certificate()) == "Sitewatch SOC 2" })
	eventually(t, "the SOC knows", func() bool { at, _, _, _ := s.srv.Certificate("1"); return at.Equal(on.id.Certificate().NotAfter) })
	on.delivers("by the new authority")

	late := &shop{outbox: newOutbox("4"), t: t, soc: s, dir: t.TempDir()}
	late.enrol(early) // the token names the old one
	late.run(clk, 1)
	late.delivers("enrolled in between")

	eventually(t, "2 and 3 are left behind, and no other", func() bool { // what a box has shown is written a moment later
		behind, ok := r.Retire(false).(*soc.BehindError)
		return ok && slices.Equal(behind.Sites, []edge.SiteID{"2", "3"})
	})
	clk.Advance(100 * day) // expired, too
	off.run(clk, 1)
	off.delivers("was off during all of it")
	eventually(t, "it has followed", func() bool { return authorityOf(off.id.Certificate()) == "Sitewatch SOC 2" })
	eventually(t, "the SOC knows", func() bool { at, _, _, _ := s.srv.Certificate("2"); return at.Equal(off.id.Certificate().NotAfter) })
	if err := r.Retire(true); err != nil {
		t.Fatal(err)
	}
	lc, _ := lost.run(clk, time.Hour)
	lost.refused(lc, "not by an authority")
	clk.Advance(2 * time.Hour)
	eventually(t, "the others forget the old one", func() bool { return known(on) == 1 && known(off) == 1 })
	on.delivers("after it")
	off.delivers("after it")
	if st := c.Status(); !st.Connected {
		t.Errorf("not connected: %s", st.LastError)
	}
	s.stop()
	s.start()
	eventually(t, "they come back to a restarted SOC", func() bool { return c.Status().Connected })
	lost.enrol(s.token("3"))
	lost.delivers("with a new token")
	all, err := r.Authorities()
	if err != nil || len(all) != 2 || all[0].State != soc.AuthorityRetired || all[1].State != soc.AuthorityIssuing || len(all[1].Boxes) != 4 {
		t.Errorf("got %+v, %v", all, err)
	}
	eventually(t, "nothing is left to do", func() bool { // what a box has shown is written a moment later
		ps, advice := soc.CheckTrust(s.data, clk)
		return len(ps) == 0 && len(advice) == 0
	})
}

// A first authority that an early version made may not vouch for another: then boxes have to be told before the switch.
func TestSwitchWaitsWhereNobodyVouches(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	b := s.shop(t, "1")
	r, err := soc.OpenRollover(s.data, clk)
	if err != nil {
		t.Fatal(err)
	}
	clk.Advance(2 * time.Hour)
	if _, err := r.New(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.data, "ca", "ca-2-cross.pem")); err != nil {
		t.Fatal(err)
	}
	if r, err = soc.OpenRollover(s.data, clk); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Switch(false).(*soc.BehindError); !ok {
		t.Error("a box is left behind and nobody says so")
	}
	b.run(clk, 1)
	first := b.id.Certificate()
	eventually(t, "it is told", func() bool { return !b.id.Certificate().Equal(first) })
	eventually(t, "nobody is left behind", func() bool { return r.Switch(false) == nil })
	clk.Advance(2 * time.Hour)
	eventually(t, "followed", func() bool { return authorityOf(b.id.Certificate()) == "Sitewatch SOC 2" })
	b.delivers("after it")
}

func TestBoxWithAWrongClockConnects(t *testing.T) {
	t.Parallel()
	s, soct := trusting(t)
	now := soct.Now().Wall
	for name, tt := range map[string]struct {
		wall   time.Time
		synced bool
	}{
		"1970":                    {time.Unix(60, 0), false},
		"ten years ahead":         {now.AddDate(10, 0, 0), false},
		"ten years ahead, by NTP": {now.AddDate(10, 0, 0), true},
		"a year behind":           {now.AddDate(-1, 0, 0), false},
		"far beyond":              {now.AddDate(200, 0, 0), false},
	} {
		for _, kind := range []string{"plain", "box"} {
			machine := edgetest.NewClock()
			machine.Sync(tt.synced)
			machine.Step(tt.wall.Sub(machine.Now().Wall))
			var clk edge.Clock = machine
			if kind == "box" {
				clk = edge.NewBoxClock(machine, now.Add(-30*day))
			}
			b := &shop{outbox: newOutbox("1"), t: t, soc: s, dir: t.TempDir()}
			tok := s.token("1")
			var err error
			if b.id, err = uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: b.dir, SOC: s.addr, Token: tok, Site: "1", Clock: clk}); err != nil {
				t.Errorf("%s, %s: %v", name, kind, err)
				continue
			}
			_, stop := b.run(clk, time.Hour)
			b.delivers(name)
			stop()
		}
	}
}

func TestClockOf1970TakesTheSOCsTime(t *testing.T) {
	t.Parallel()
	s, soct := trusting(t)
	b := s.shop(t, "1")
	machine := edgetest.NewClock()
	machine.Sync(false)
	machine.Step(time.Unix(0, 0).Sub(machine.Now().Wall))
	machine.Reboot("boot-2")
	clk := edge.NewBoxClock(machine, soct.Now().Wall.Add(-30*day))
	last := soct.Now()
	last.Wall = last.Wall.Add(-5 * day)
	clk.Known(last)
	b.clock = clk
	b.put(t, edge.Event{Kind: edge.KindFire})
	b.run(clk, time.Hour)
	b.delivers("after the Welcome")
	evs := s.events()
	if len(evs) != 2 {
		t.Fatalf("%d events", len(evs))
	}
	if e := evs[0].Event; e.Clock != edge.ClockUnset || e.Occurred.Before(last.Wall) || e.Occurred.After(last.Wall.Add(time.Minute)) {
		t.Errorf("before the SOC has told: %s, %v", e.Clock, e.Occurred)
	}
	if got := clk.Now(); got.ClockState() != edge.ClockDrifting || got.Wall.Sub(soct.Now().Wall).Abs() > 5*time.Second {
		t.Errorf("after it: %s, %v, want %v", got.ClockState(), got.Wall, soct.Now().Wall)
	}
}

func TestIdentityThatIsDamaged(t *testing.T) {
	t.Parallel()
	s, clk := trusting(t)
	for name, tt := range map[string]struct {
		spoil func(dir string) error
		works bool
	}{
		"no ca.pem":      {func(d string) error { return os.Remove(filepath.Join(d, "ca.pem")) }, true},
		"ca.pem rubbish": {func(d string) error { return os.WriteFile(filepath.Join(d, "ca.pem"), []byte("x"), 0o600) }, true},
		"no authority at all": {func(d string) error {
			p, err := os.ReadFile(filepath.Join(d, "cert.pem"))
			if err != nil {
				return err
			}
			end := strings.Index(string(p), "-----END CERTIFICATE-----\n") + len("-----END CERTIFICATE-----\n")
			if err := os.WriteFile(filepath.Join(d, "cert.pem"), p[:end], 0o600); err != nil {
				return err
			}
			return os.Remove(filepath.Join(d, "ca.pem"))
		}, false},
		"cert.pem cut": {func(d string) error { return os.Truncate(filepath.Join(d, "cert.pem"), 100) }, false},
		"no key":       {func(d string) error { return os.Remove(filepath.Join(d, "key.pem")) }, false},
		"another key": {func(d string) error {
			other := s.shop(t, "9")
			k, err := os.ReadFile(filepath.Join(other.dir, "key.pem"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(d, "key.pem"), k, 0o600)
		}, false},
	} {
		b := s.shop(t, "1")
		if err := tt.spoil(b.dir); err != nil {
			t.Fatal(err)
		}
		id, err := uplink.LoadIdentity(b.dir)
		if tt.works != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (edge.HintOf(err) == "" || !strings.Contains(err.Error(), b.dir)) {
			t.Errorf("%s: does not help: %v", name, err)
		}
		if tt.works {
			_, stop := box(t, uplink.Options{Outbox: b.outbox, Files: newFiles(t), Identity: id, Paths: []uplink.Path{{SOC: []string{s.addr}}}, Clock: clk})
			b.delivers(name)
			stop()
		}
		b.enrol(s.token("1")) // the way out is always open
	}
}

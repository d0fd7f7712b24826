package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/journal"
	"sitewatch/uplink"
	"sitewatch/uplink/soc/ledger"
)

// shop is a box with a real journal and a real line to a receiver that runs as a process of its own.
type shop struct {
	*journal.Journal
	t    *testing.T
	id   *uplink.Identity
	mute atomic.Bool // the box signs nothing
	stop func()
}

// openShop enrols the box, or goes on with what is in dir.
func openShop(t *testing.T, soc, dir string) *shop {
	t.Helper()
	clock := edge.NewSystemClock()
	identity := filepath.Join(dir, "identity")
	if _, err := os.Stat(identity); err != nil {
		tok := must(t, "claim", "--config", soc, "--site", "0417")
		if _, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: identity, SOC: uplinkOf(t, soc), Token: tok, Site: "0417", Clock: clock}); err != nil {
			t.Fatal(err)
		}
	}
	id, err := uplink.LoadIdentity(identity)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, id: id}
	log := slog.New(slog.DiscardHandler)
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir, Site: "0417", Clock: clock, Log: log, Version: "test",
		Signer: func() (edge.Signer, bool) { return id.Signer(), !s.mute.Load() }})
	if err != nil {
		t.Fatal(err)
	}
	c := uplink.New(uplink.Options{Outbox: j, Files: j, Evidence: j, Identity: id, Clock: clock, Log: log, Name: "High Street", Kind: "shop", Paths: []uplink.Path{{SOC: []string{uplinkOf(t, soc)}}}})
	ctx, cancel := context.WithCancel(context.Background())
	uctx, hang := context.WithCancel(context.Background())
	var wg, up sync.WaitGroup
	wg.Go(func() {
		if err := j.Run(ctx); err != nil {
			t.Errorf("journal: %v", err)
		}
	})
	up.Go(func() {
		if err := c.Run(uctx); err != nil {
			t.Errorf("uplink: %v", err)
		}
	})
	s.Journal = j
	s.stop = sync.OnceFunc(func() {
		hang()
		up.Wait()
		cancel()
		wg.Wait()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { s.stop() })
	return s
}

// alarm journals a fire with a clip and its still, which are ready at once.
func (s *shop) alarm(film string) (edge.Seq, edge.ClipID) {
	s.t.Helper()
	ctx, id := s.t.Context(), edge.ClipID(edge.NewID())
	now := time.Now()
	seq, err := s.Append(ctx, edge.Event{Kind: edge.KindFire, Zone: "1011", ZoneName: "Stock room", Why: "Fire in the stock room.",
		Clips: []edge.ClipRef{{ID: id, Camera: "door", From: now.Add(-10 * time.Second), To: now.Add(20 * time.Second)}}})
	if err != nil {
		s.t.Fatal(err)
	}
	file := func(ext, data string) edge.ClipFile {
		f := edge.ClipFile{ID: id, Path: filepath.Join(s.ClipDir(), string(id)+ext), SizeBytes: int64(len(data)), SHA256: sha256.Sum256([]byte(data))}
		if err := os.WriteFile(f.Path, []byte(data), 0o600); err != nil {
			s.t.Fatal(err)
		}
		return f
	}
	if err := s.StillReady(ctx, file(".jpg", "still of "+film)); err != nil {
		s.t.Fatal(err)
	}
	if err := s.ClipReady(ctx, edge.ClipFact{ID: id, From: now.Add(-11 * time.Second), To: now.Add(20 * time.Second), Codec: "h264"}, file(".mp4", film)); err != nil {
		s.t.Fatal(err)
	}
	return seq, id
}

// look opens the SOC's ledger beside it.
func look(t *testing.T, soc string) *ledger.SQLite {
	t.Helper()
	led, err := ledger.Open(t.Context(), ledger.Options{Path: filepath.Join(filepath.Dir(soc), "data", "ledger.db"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { led.Close() })
	return led
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 9000 { // three minutes
		if ok() {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("%s: never", what)
}

// proved waits until the SOC has a good checkpoint of the box's last event, and the manifest of the clip.
func (s *shop) proved(led *ledger.SQLite, clip edge.ClipID) {
	s.t.Helper()
	until(s.t, "the SOC has what proves the clip", func() bool {
		m, err := led.Manifest(s.t.Context(), clip)
		if err != nil || m.Problem != "" {
			return false
		}
		c, err := led.Clip(s.t.Context(), clip)
		if err != nil || !c.Still || c.State != ledger.ClipReady || c.FactSeq == 0 {
			return false
		}
		p, err := led.Checkpoints(s.t.Context(), "0417", s.ID(), s.Last(), s.Last(), 10)
		return err == nil && len(p) == 1 && p[0].State == ledger.CheckpointGood
	})
}

func span() []string {
	now := time.Now().UTC()
	return []string{"--from", now.Add(-time.Hour).Format(time.RFC3339), "--to", now.Add(time.Hour).Format(time.RFC3339)}
}

// TestExportProvesItself goes all the way: a box with TLS, a certificate that is renewed and an authority that is replaced in
// between, an export beside the SOC that runs, and a look at it with nothing but the certificates of the authorities.
func TestExportProvesItself(t *testing.T) {
	path, addr := written(t)
	start(t, path, addr)
	box := t.TempDir()
	s := openShop(t, path, box)
	led := look(t, path)
	_, first := s.alarm("film one")
	s.proved(led, first)
	before := s.id.Certificate()
	oldCA := filepath.Join(t.TempDir(), "old.pem")
	ca := filepath.Join(filepath.Dir(path), "data", "ca")
	copyFile(t, filepath.Join(ca, "ca.pem"), oldCA)

	must(t, "ca", "new", "--config", path)
	must(t, "ca", "switch", "--config", path)
	s.stop()
	// The box would renew by itself within minutes; a new token does the same at once, for the same key.
	tok := must(t, "claim", "--config", path, "--site", "0417")
	if _, err := uplink.Enrol(t.Context(), uplink.EnrolOptions{Dir: filepath.Join(box, "identity"), SOC: uplinkOf(t, path), Token: tok, Site: "0417", Clock: edge.NewSystemClock()}); err != nil {
		t.Fatal(err)
	}
	s = openShop(t, path, box)
	if s.id.Certificate().Equal(before) {
		t.Fatal("the certificate is the old one")
	}
	_, second := s.alarm("film two")
	s.proved(led, second)

	out := filepath.Join(t.TempDir(), "case")
	args := append([]string{"export", "--config", path, "--site", "0417", "--out", out}, span()...)
	if said := must(t, args...); !strings.Contains(said, "2 clips, 2 stills") {
		t.Errorf("export says %q", said)
	}
	proof := must(t, "verify", "--config", path, out, "--ca", oldCA)
	for _, want := range []string{"proved: 2 clips and 2 stills", "signed by the box", "PROVED\n"} {
		if !strings.Contains(proof, want) {
			t.Errorf("verify says %q, want %q", proof, want)
		}
	}
	if strings.Contains(proof, "not proved") || strings.Contains(proof, "note:") {
		t.Errorf("verify says %q", proof)
	}
	must(t, "verify", "--config", path, out, "--ca", filepath.Join(out, "ca.pem"))
	if status, _, errs := program(t, "verify", "--config", path, out, "--ca", filepath.Join(ca, "ca-2.pem")); status != 1 || !strings.Contains(errs, "authority") {
		t.Errorf("the new authority alone: %d %q", status, errs)
	}
	zipped := filepath.Join(t.TempDir(), "case.zip")
	args[6] = zipped
	must(t, args...)
	must(t, "verify", "--config", path, zipped, "--ca", oldCA)

	// What the box has is what came.
	if b, err := os.ReadFile(filepath.Join(out, "clips", string(first), "clip.mp4")); err != nil || string(b) != "film one" {
		t.Errorf("got %q, %v", b, err)
	}
	for name, change := range map[string]string{"clips/" + string(second) + "/clip.mp4": "film", "journals/" + string(s.ID()) + "/events.txt": "Fire in the"} {
		file := filepath.Join(out, name)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, bytes.Replace(b, []byte(change), []byte(strings.ToUpper(change)), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		if status, said, errs := program(t, "verify", "--config", path, out, "--ca", oldCA); status != 1 || !strings.Contains(said, "BROKEN: "+name) || !strings.Contains(errs, "first broken link") {
			t.Errorf("%s was changed: %d %q %q", name, status, said, errs)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	byHand(t, out, first)

	log, err := led.Custody(t.Context(), "0417", "", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	prev := [32]byte{}
	for i, c := range log {
		actions = append(actions, c.Entry.Action)
		if [32]byte(c.Prev) != prev || c.Entry.N != int64(i+1) || c.Entry.Who == "" || c.Entry.Address == "" {
			t.Errorf("entry %d is %+v", i, c.Entry)
		}
		prev = edge.ChainHash(prev, c.Body)
	}
	// Each export is begun and done, with a line for each of four files; each look with the SOC's configuration is one.
	if got := strings.Join(actions, " "); strings.Count(got, ledger.Exported) != 12 || strings.Count(got, ledger.Verified) != 6 {
		t.Errorf("the custody log has %v", actions)
	}
	if only, err := led.Custody(t.Context(), "", second, 0, 100); err != nil || len(only) != 4 || only[0].Entry.Digest.String() == "" {
		t.Errorf("of the second clip: %d, %v, want clip and still of two exports", len(only), err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// byHand does what VERIFY.txt tells a person to do.
func byHand(t *testing.T, dir string, clip edge.ClipID) {
	t.Helper()
	for _, tool := range []string{"openssl", "xxd", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("skipped by hand: no %s here", tool)
			return
		}
	}
	script := fmt.Sprintf(`set -e
sha256sum --quiet -c SHA256SUMS
openssl x509 -in SHA256SUMS.pem -pubkey -noout > /tmp/key.$$
openssl dgst -sha256 -verify /tmp/key.$$ -signature SHA256SUMS.sig SHA256SUMS
whose="openssl verify -no_check_time -purpose sslserver -verify_hostname soc.sitewatch.internal -CAfile ca.pem"
$whose SHA256SUMS.pem
awk '/-BEGIN/ {c = "openssl x509 -outform DER | sha256sum"} {print | c} /-END/ {close(c)}' ca.pem | cut -d' ' -f1 > /tmp/prints.$$
test $(wc -l < /tmp/prints.$$) = 2
while read f; do grep -q "^    $f$" VERIFY.txt; done < /tmp/prints.$$
M=clips/%s/manifest
CERT=$(sed 's/.*"certificate":"\([0-9a-f]*\)".*/\1/' $M.json)
openssl x509 -in certificates/$CERT.pem -pubkey -noout > /tmp/key.$$
openssl dgst -sha256 -verify /tmp/key.$$ -signature $M.sig $M.json
rm /tmp/key.$$ /tmp/prints.$$
if $whose certificates/$CERT.pem; then echo "a box seals"; exit 1; fi
openssl verify -no_check_time -CAfile ca.pem certificates/$CERT.pem
openssl x509 -in certificates/$CERT.pem -noout -ext subjectAltName | grep sitewatch://site/0417
grep -q $(sha256sum < clips/%[1]s/clip.mp4 | cut -d' ' -f1) $M.json
cd journals/????????????????????????????????
line=$(grep "^1 " events.txt)
got=$({ printf %%s "$line" | cut -d" " -f2 | xxd -r -p; printf %%s "$line" | cut -d" " -f3-; } | head -c -1 | sha256sum | cut -d' ' -f1)
test "$got" = "$(grep "^2 " events.txt | cut -d' ' -f2)"
`, clip)
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Verified OK") {
		t.Errorf("by hand: %v\n%s", err, out)
	}
}

func TestExportSaysWhatIsWrong(t *testing.T) {
	path, addr := written(t)
	dir := t.TempDir()
	if status, _, errs := program(t, append([]string{"export", "--config", path, "--site", "0417", "--out", dir + "/x"}, span()...)...); status != 1 || !strings.Contains(errs, "no ledger") {
		t.Errorf("before the first run: %d %q", status, errs)
	}
	start(t, path, addr)
	s := openShop(t, path, t.TempDir())
	_, clip := s.alarm("film")
	led := look(t, path)
	s.proved(led, clip)
	times := span()
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"unknown site", append([]string{"--site", "9999"}, times...), 2, "no site 9999"},
		{"bad site", append([]string{"--site", "../x"}, times...), 2, "no site id"},
		{"from after to", []string{"--site", "0417", "--from", times[3], "--to", times[1]}, 2, "not before"},
		{"no time", []string{"--site", "0417", "--from", "yesterday", "--to", times[3]}, 2, "is not a time"},
		{"nothing happened", []string{"--site", "0417", "--from", "2020-01-01", "--to", "2020-01-02"}, 1, "nothing of site 0417"},
		{"out is there", append([]string{"--site", "0417", "--out", dir}, times...), 2, "already"},
		{"out cannot be made", append([]string{"--site", "0417", "--out", dir + "/none/x"}, times...), 1, "--out"},
	} {
		args := append([]string{"export", "--config", path}, tt.args...)
		if !strings.Contains(strings.Join(args, " "), "--out") {
			args = append(args, "--out", filepath.Join(dir, "case"))
		}
		if status, _, errs := program(t, args...); status != tt.status || !strings.Contains(errs, tt.says) {
			t.Errorf("%s: %d %q, want %d with %q", tt.name, status, errs, tt.status, tt.says)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	ca := filepath.Join(filepath.Dir(path), "data", "ca", "ca.pem")
	out := filepath.Join(dir, "case")
	must(t, append([]string{"export", "--config", path, "--site", "0417", "--out", out}, times...)...)
	for _, tt := range []struct {
		name   string
		args   []string
		status int
	}{
		{"good", []string{out, "--ca", ca}, 0},
		{"no --ca", []string{out}, 2},
		{"a ca that is not there", []string{out, "--ca", ca + "x"}, 2},
		{"a ca that is none", []string{out, "--ca", path}, 2},
		{"no such folder", []string{out + "x", "--ca", ca}, 2},
		{"not a zip", []string{path, "--ca", ca}, 1},
		{"another folder", []string{filepath.Dir(ca), "--ca", ca}, 1},
	} {
		if status, _, errs := program(t, append([]string{"verify"}, tt.args...)...); status != tt.status {
			t.Errorf("verify, %s: %d %q, want %d", tt.name, status, errs, tt.status)
		}
	}
}

func TestWhoLooksIsLogged(t *testing.T) {
	path, addr := written(t)
	start(t, path, addr)
	s := openShop(t, path, t.TempDir())
	_, clip := s.alarm("film")
	s.proved(look(t, path), clip)
	get := func(url string, head ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+"/api/v1/"+url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(head); i += 2 {
			req.Header.Set(head[i], head[i+1])
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(r.Body)
		return r.StatusCode, b.String()
	}
	film := "clips/" + string(clip)
	for range 3 {
		get(film+".mp4", "Range", "bytes=0-1", "Sec-Fetch-Dest", "video", "X-Forwarded-User", "anna")
	}
	get(film+".mp4", "X-Forwarded-User", "anna")
	get(film+".mp4", "X-Forwarded-User", "bert", "X-Forwarded-For", "10.1.2.3")
	get(film+".jpg", "X-Forwarded-User", "anna")
	get(film)
	_, list := get("custody?site=0417")
	for want, n := range map[string]int{`"who":"anna"`: 3, `"who":"bert"`: 1, `"action":"viewed-clip"`: 1, `"action":"downloaded-clip"`: 2, `"action":"viewed-still"`: 1, "10.1.2.3": 1,
		`"clip":"` + string(clip) + `"`: 4, `"next"`: 0} {
		if strings.Count(list, want) != n {
			t.Errorf("%s is %d times in %s, want %d", want, strings.Count(list, want), list, n)
		}
	}
	if status, said := get(film + "/evidence"); status != 200 || !strings.Contains(said, `"state":"signed"`) || !strings.Contains(said, `"manifest":{"type":"sitewatch manifest 1"`) {
		t.Errorf("what is signed: %d %s", status, said)
	}
	if _, page := get("custody?clip=" + string(clip) + "&limit=1"); strings.Count(page, `"action"`) != 1 || !strings.Contains(page, `"next":1`) {
		t.Errorf("a page of one: %s", page)
	}
	for _, bad := range []string{"custody?clip=x", "custody?site=../x", "custody?limit=0", "custody?after=-1", "custody?colour=blue"} {
		if status, said := get(bad); status != 400 {
			t.Errorf("%s: %d %s", bad, status, said)
		}
	}
}

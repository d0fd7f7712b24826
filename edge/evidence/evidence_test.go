package evidence

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"sitewatch/edge"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ca makes certificates for a test.
type ca struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func makeKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func newCA(t testing.TB, by *ca) *ca {
	c := &ca{t: t, key: makeKey(t)}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Unix(1e9, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	parent, key := tmpl, c.key
	if by != nil {
		parent, key = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &c.key.PublicKey, key)
	must(t, err)
	c.cert, err = x509.ParseCertificate(der)
	must(t, err)
	return c
}

// soc is the SOC's own key.
func (c *ca) soc() edge.Signer {
	key := makeKey(c.t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Unix(1e9, 0),
		DNSNames: []string{socName}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, c.cert, &key.PublicKey, c.key)
	must(c.t, err)
	return edge.Signer{Key: key, Certificate: der}
}

// box gives a key a certificate that has long expired.
func (c *ca) box(site edge.SiteID, key *ecdsa.PrivateKey) edge.Signer {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Unix(1e9, 0),
		URIs: []*url.URL{edge.SiteURI(site)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, c.cert, &key.PublicKey, c.key)
	must(c.t, err)
	return edge.Signer{Key: key, Certificate: der}
}

const (
	journalA = "0123456789abcdef0123456789abcdef"
	clipA    = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	clipB    = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	clipC    = "cccccccccccccccccccccccccccccccc" // which was never completed
	eventsA  = journalDir + "/" + journalA + "/" + eventsFile
	pointsA  = journalDir + "/" + journalA + "/" + pointDir + "/"
)

// scene is what a test puts into a folder: nine events of one journal, of which 5 is known to be gone, two clips with stills, and a
// certificate that was renewed in between.
type scene struct {
	t       testing.TB
	ca      *ca
	first   edge.Signer
	renewed edge.Signer
	lines   []Line
	dir     string
	points  []edge.Seq
	bare    bool   // without manifests
	smashed bool   // of clipC only a part has come
	text    string // of the row of the timeline

	vouching []byte // a certificate that goes along
}

func newScene(t testing.TB) *scene {
	s := &scene{t: t, ca: newCA(t, nil), dir: filepath.Join(t.TempDir(), "out"), points: []edge.Seq{3, 4, 8}}
	key := makeKey(t)
	s.first, s.renewed = s.ca.box("0417", key), s.ca.box("0417", key)
	s.chain()
	return s
}

// filmed is the span of each clip; the SOC keeps it in milliseconds.
var filmed = edge.Span{From: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 25, 12, 0, 30, 0, time.UTC)}

func data(clip string, part edge.FilePart) []byte {
	return []byte(fmt.Sprintf("part %d of %s", part, clip))
}

func (s *scene) fact(clip string) *edge.ClipFact {
	a, b := sha256.Sum256(data(clip, edge.PartClip)), sha256.Sum256(data(clip, edge.PartStill))
	return &edge.ClipFact{ID: edge.ClipID(clip), Camera: "door", SizeBytes: 1, SHA256: a[:], StillSHA256: b[:]}
}

func (s *scene) chain() {
	var prev [32]byte
	for n := range uint64(9) {
		e := edge.Event{V: 1, Site: "0417", Journal: journalA, Seq: edge.Seq(n + 1), Lane: edge.Urgent, Kind: edge.KindFire, Why: fmt.Sprintf("The %d. thing.", n+1)}
		switch n + 1 {
		case 2:
			e.Kind, e.Clip = edge.KindClipReady, s.fact(clipA)
		case 7:
			e.Kind, e.Clip = edge.KindClipReady, s.fact(clipB)
		}
		body, err := e.Encode()
		must(s.t, err)
		l := Line{N: n + 1, Prev: prev, Body: body}
		prev = l.Hash()
		s.lines = append(s.lines, l)
	}
}

func (s *scene) checkpoint(by edge.Signer, seq edge.Seq) edge.Signed {
	h := s.lines[seq-1].Hash()
	p, err := by.Sign(edge.Checkpoint{Type: edge.CheckpointType, Site: "0417", Journal: journalA, Seq: seq, Hash: h[:], At: time.Unix(1e9, 0).UTC(), Clock: edge.ClockSynced, Certificate: by.Fingerprint()})
	must(s.t, err)
	return p
}

func (s *scene) manifest(by edge.Signer, clip string) edge.Signed {
	f := s.fact(clip)
	m, err := by.Sign(edge.Manifest{Type: edge.ManifestType, Site: "0417", Journal: journalA, Seq: 1, Clip: edge.ClipID(clip), Camera: "door", SizeBytes: 1,
		From: filmed.From, To: filmed.To.Add(999 * time.Microsecond), Clock: edge.ClockDrifting, SHA256: f.SHA256, StillSHA256: f.StillSHA256, Certificate: by.Fingerprint()})
	must(s.t, err)
	return m
}

func (s *scene) write(out string) {
	t := s.t
	w, err := Create(out)
	must(t, err)
	defer w.Discard()
	must(t, w.Journal(journalA, func(line func(Line) error) error {
		for _, l := range s.lines {
			if l.N == 5 {
				continue
			}
			if err := line(l); err != nil {
				return err
			}
		}
		return nil
	}))
	must(t, w.Gaps(journalA, []edge.Gap{{From: 5, To: 5, Reason: "the journal was\nfull"}}))
	for i, seq := range s.points {
		by := s.first
		if i > 0 {
			by = s.renewed
		}
		must(t, w.Checkpoint(journalA, seq, s.checkpoint(by, seq)))
	}
	must(t, w.Certificate(s.vouching))
	var h Header
	h.Site, h.Name, h.By = "0417", "High <Street>", "me@here"
	for i, clip := range []string{clipA, clipB} {
		for _, part := range []edge.FilePart{edge.PartStill, edge.PartClip} {
			_, _, err := w.File(edge.ClipID(clip), part, bytes.NewReader(data(clip, part)))
			must(t, err)
		}
		if !s.bare {
			must(t, w.Manifest(edge.ClipID(clip), s.manifest([]edge.Signer{s.first, s.renewed}[i], clip)))
		}
		h.Clips = append(h.Clips, ClipHeader{ID: edge.ClipID(clip), Camera: "door", From: filmed.From, To: filmed.To, Clip: true, Still: true})
	}
	if s.smashed {
		_, _, err = w.Arrived(clipC, strings.NewReader("half of a film"))
		must(t, err)
		_, _, err = w.File(clipC, edge.PartStill, strings.NewReader("its still"))
		must(t, err)
	}
	h.Clips = append(h.Clips, ClipHeader{ID: clipC, Camera: "yard", State: "uploading", Arrived: s.smashed, Still: s.smashed})
	must(t, w.Custody(func(line func(Line) error) error {
		var prev [32]byte
		for n := range uint64(3) {
			l := Line{N: n + 1, Prev: prev, Body: fmt.Appendf(nil, `{"n":%d}`, n+1)}
			prev = l.Hash()
			if err := line(l); err != nil {
				return err
			}
		}
		return nil
	}))
	_, err = w.Close(h, [][]byte{s.ca.cert.Raw}, []Row{{Journal: journalA, Seq: 1, Kind: edge.KindFire, Lane: edge.Urgent, Clock: edge.ClockUnset, Late: true,
		Why: "<script>alert(1)</script>", ZoneName: "=cmd|x", Text: s.text, Clips: []ClipHeader{h.Clips[0], h.Clips[2]}}}, s.ca.soc())
	must(t, err)
}

// folder is the scene as a file system that can be tampered with.
func (s *scene) folder() fstest.MapFS {
	s.t.Helper()
	s.write(s.dir)
	return load(s.t, os.DirFS(s.dir))
}

func load(t testing.TB, from fs.FS) fstest.MapFS {
	m := fstest.MapFS{}
	must(t, fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(from, name)
		m[name] = &fstest.MapFile{Data: b}
		return err
	}))
	return m
}

func clone(m fstest.MapFS) fstest.MapFS {
	c := fstest.MapFS{}
	for n, f := range m {
		c[n] = &fstest.MapFile{Data: slices.Clone(f.Data)}
	}
	return c
}

func verify(t testing.TB, fsys fs.FS, by ...*ca) Report {
	t.Helper()
	var cas []*x509.Certificate
	for _, c := range by {
		cas = append(cas, c.cert)
	}
	r, err := Verify(t.Context(), fsys, cas)
	must(t, err)
	return r
}

func TestWholeFolderIsProved(t *testing.T) {
	s := newScene(t)
	m := s.folder()
	r := verify(t, m, s.ca)
	if r.Broken != nil || !r.OK() || r.Events != 7 || r.Clips != 2 || r.Stills != 2 || r.Custody != 3 || len(r.Remarks) != 0 {
		t.Fatalf("got %+v", r)
	}
	if len(r.Proved) != 2 || r.Proved[0].From != 1 || r.Proved[0].To != 4 || r.Proved[1].From != 6 || r.Proved[1].To != 8 {
		t.Errorf("proved %+v, want 1 to 4 and 6 to 8", r.Proved)
	}
	if len(r.Open) != 1 || !strings.Contains(r.Open[0], "events 9 to 9") {
		t.Errorf("open: %q, want event 9", r.Open)
	}
	if len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0], "events 5 to 5") || !strings.Contains(r.Gaps[0], "the journal was full") {
		t.Errorf("gaps: %q", r.Gaps)
	}
	var out bytes.Buffer
	must(t, r.Print(&out))
	if !strings.HasSuffix(out.String(), "\nPROVED\n") || !strings.Contains(out.String(),
		"\nproved: clip "+clipA+", camera door, 2026-11-25T12:00:00.000Z to 2026-11-25T12:00:30.000Z by a clock that was drifting\n") {
		t.Errorf("printed:\n%s", &out)
	}
	page := string(m[htmlFile].Data)
	for _, want := range []string{"received late", "clock unset", `src="clips/` + clipA + `/clip.mp4"`, "No pictures: the clip is uploading", "&lt;script&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "://") {
		t.Error("the page runs something or leads away")
	}
	if table := string(m[csvFile].Data); !strings.Contains(table, ",'=cmd|x,") || !strings.Contains(table, ","+clipA+" "+clipC+",") {
		t.Errorf("the table is %q", table)
	}
	// The same as a zip, also as a zip of the folder itself.
	for _, top := range []string{"", "evidence/"} {
		b, n := zipOf(t, m, top)
		z, err := Zip(t.Context(), b, n)
		must(t, err)
		if r := verify(t, z, s.ca); !r.OK() || r.Events != 7 {
			t.Errorf("zip %q: %+v", top, r.Broken)
		}
	}
	// macOS packs what it knows of each file beside the folder; nothing else is let by there.
	mac := fstest.MapFS{"__MACOSX/evidence/._evidence.json": &fstest.MapFile{}}
	for name, f := range m {
		mac["evidence/"+name] = f
	}
	b, n := zipOf(t, mac, "")
	z, err := Zip(t.Context(), b, n)
	must(t, err)
	if r := verify(t, z, s.ca); !r.OK() {
		t.Errorf("packed by macOS: %v", r.Broken)
	}
	mac["__MACOSX/evidence/clip.mp4"] = &fstest.MapFile{}
	b, n = zipOf(t, mac, "")
	z, err = Zip(t.Context(), b, n)
	must(t, err)
	if r := verify(t, z, s.ca); r.OK() {
		t.Error("a film beside the folder is let by")
	}
	out2 := filepath.Join(t.TempDir(), "x.zip")
	s.write(out2)
	fsys, closer, err := Open(t.Context(), out2)
	must(t, err)
	defer closer.Close()
	if r := verify(t, fsys, s.ca); !r.OK() {
		t.Errorf("our own zip: %+v", r.Broken)
	}
	if _, err := Create(out2); !errors.Is(err, ErrExists) {
		t.Errorf("over an existing one: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(out2), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func zipOf(t testing.TB, m fstest.MapFS, top string) (io.ReaderAt, int64) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		f, err := w.Create(top + name)
		must(t, err)
		_, err = f.Write(m[name].Data)
		must(t, err)
	}
	must(t, w.Close())
	return bytes.NewReader(b.Bytes()), int64(b.Len())
}

// TestFirstBrokenLinkIsNamed changes one thing each and wants to hear of that thing.
func TestFirstBrokenLinkIsNamed(t *testing.T) {
	s := newScene(t)
	s.smashed = true
	whole := s.folder()
	replace := func(name, old, by string) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			if !bytes.Contains(m[name].Data, []byte(old)) {
				t.Fatalf("%s has no %q", name, old)
			}
			m[name].Data = bytes.Replace(m[name].Data, []byte(old), []byte(by), 1)
		}
	}
	flip := func(name string, at int) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			if at < 0 {
				at += len(m[name].Data)
			}
			m[name].Data[at] ^= 1
		}
	}
	line := func(n int, change func(string) string) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			lines := strings.SplitAfter(string(m[eventsA].Data), "\n")
			for i, l := range lines {
				if strings.HasPrefix(l, fmt.Sprint(n)+" ") {
					lines[i] = change(l)
				}
			}
			m[eventsA].Data = []byte(strings.Join(lines, ""))
		}
	}
	other := newCA(t, nil)
	swap := func(a, b string) func(fstest.MapFS) { return func(m fstest.MapFS) { m[a], m[b] = m[b], m[a] } }
	both := func(fs ...func(fstest.MapFS)) func(fstest.MapFS) {
		return func(m fstest.MapFS) {
			for _, f := range fs {
				f(m)
			}
		}
	}
	drop := func(name string) func(fstest.MapFS) { return func(m fstest.MapFS) { delete(m, name) } }
	certOf := func(by edge.Signer) string { return certDir + "/" + by.Fingerprint().String() + ".pem" }
	clip := clipDir + "/" + clipA + "/"
	for _, tt := range []struct {
		name   string
		change func(fstest.MapFS)
		file   string
		seq    edge.Seq
		says   string
	}{
		{"a byte of a clip", flip(clip+clipFile, 3), clip + clipFile, 0, "signed in"},
		{"a byte of a still", flip(clip+stillFile, 3), clip + stillFile, 0, "signed in"},
		{"two clips swapped", swap(clip+clipFile, clipDir+"/"+clipB+"/"+clipFile), clip + clipFile, 0, "signed in"},
		{"two folders of clips swapped", both(swap(clip+clipFile, clipDir+"/"+clipB+"/"+clipFile), swap(clip+manifest+bodyExt, clipDir+"/"+clipB+"/"+manifest+bodyExt),
			swap(clip+manifest+sigExt, clipDir+"/"+clipB+"/"+manifest+sigExt), swap(clip+stillFile, clipDir+"/"+clipB+"/"+stillFile)), clip + manifest + bodyExt, 0, "of clip " + clipA},
		{"a clip with its manifest left out", both(drop(clip+manifest+bodyExt), drop(clip+manifest+sigExt), flip(clip+clipFile, 3)), clip + clipFile, 2, "event names"},
		{"a clip is gone", drop(clip + clipFile), clip + clipFile, 0, "none"},
		{"a byte of a manifest", replace(clip+manifest+bodyExt, `"door"`, `"shop"`), clip + manifest + bodyExt, 0, "signature"},
		{"a byte of its signature", flip(clip+manifest+sigExt, -1), clip + manifest + bodyExt, 0, "signature"},
		{"its signature is gone", drop(clip + manifest + sigExt), clip + manifest + sigExt, 0, "none"},
		{"a manifest is gone, its signature is there", drop(clip + manifest + bodyExt), clip + manifest + bodyExt, 0, "none"},
		{"a byte of a checkpoint", replace(pointsA+"4.json", `"synced"`, `"synceD"`), pointsA + "4.json", 0, "signature"},
		{"a byte of its signature ", flip(pointsA+"4.sig", -1), pointsA + "4.json", 0, "signature"},
		{"a checkpoint under another number", both(swap(pointsA+"4.json", pointsA+"3.json"), swap(pointsA+"4.sig", pointsA+"3.sig")), pointsA + "3.json", 4, "of event 3"},
		{"a byte of an event in the middle", line(2, func(l string) string { return strings.Replace(l, "The 2", "The 3", 1) }), eventsA, 2, "was changed"},
		{"a byte of the first event", line(1, func(l string) string { return strings.Replace(l, "The 1", "The 3", 1) }), eventsA, 1, "was changed"},
		{"a byte of an event with a checkpoint", line(8, func(l string) string { return strings.Replace(l, "The 8", "The 3", 1) }), eventsA, 8, "signed in its checkpoint"},
		{"a byte of an event's link", line(2, func(l string) string { return l[:2] + flipHex(l[2]) + l[3:] }), eventsA, 2, "the hash of event 1"},
		{"an event in the middle is gone", line(2, func(string) string { return "" }), eventsA, 2, "event 3 after event 1"},
		{"an event is there twice", line(2, func(l string) string { return l + l }), eventsA, 2, "the same again"},
		{"an event with a checkpoint is another", line(3, func(l string) string { return s.invented() }), eventsA, 3, "signed"},
		{"a line is cut", func(m fstest.MapFS) { m[eventsA].Data = m[eventsA].Data[:len(m[eventsA].Data)-5] }, eventsA + ", line 8", 0, "in its middle"},
		{"the gap is not named any more", drop(journalDir + "/" + journalA + "/" + gapsFile), eventsA, 5, "a gap"},
		{"a forged certificate", both(func(m fstest.MapFS) { m[certOf(s.first)] = m[certOf(s.renewed)] }), certOf(s.first), 0, "fingerprint"},
		{"a certificate is gone", drop(certOf(s.renewed)), certOf(s.renewed), 0, "none"},
		{"another authority's box", func(m fstest.MapFS) {
			by := other.box("0417", makeKey(t))
			p := s.checkpoint(by, 4)
			m[pointsA+"4.json"].Data, m[pointsA+"4.sig"].Data = p.Body, p.Signature
			addCert(m, by)
		}, "", 0, "another authority"},
		{"another site's box", func(m fstest.MapFS) {
			by := s.ca.box("0418", makeKey(t))
			p := s.checkpoint(by, 4)
			m[pointsA+"4.json"].Data, m[pointsA+"4.sig"].Data = p.Body, p.Signature
			addCert(m, by)
		}, "", 0, "one of site 0418"},
		{"a byte of the last event, which no checkpoint covers", line(9, func(l string) string { return strings.Replace(l, "The 9", "The 3", 1) }), eventsA, 0, "sealed"},
		{"the last events and their checkpoint are gone", both(line(9, func(string) string { return "" }), line(8, func(string) string { return "" }), drop(pointsA+"8.json"), drop(pointsA+"8.sig")), eventsA, 0, "sealed"},
		{"a clip left out of the description, with all of its files", both(drop(clip+clipFile), drop(clip+stillFile), drop(clip+manifest+bodyExt), drop(clip+manifest+sigExt),
			replace(headerFile, clipA, clipB)), "", 0, "expected"},
		{"a byte of the timeline", flip(htmlFile, 400), htmlFile, 0, "sealed"},
		{"a byte of the table", flip(csvFile, 40), csvFile, 0, "sealed"},
		{"a byte of the guide", flip(guideFile, 40), guideFile, 0, "sealed"},
		{"a byte of what had come of a clip", flip(clipDir+"/"+clipC+"/"+arrivedFile, 3), clipDir + "/" + clipC + "/" + arrivedFile, 0, "sealed"},
		{"what had come of a clip is gone", drop(clipDir + "/" + clipC + "/" + arrivedFile), clipDir + "/" + clipC + "/" + arrivedFile, 0, headerFile},
		{"the description has another camera", replace(headerFile, `"camera": "door"`, `"camera": "shop"`), headerFile, 0, "camera door from 2026-11-25T12:00:00.000Z"},
		{"the description has another time", replace(headerFile, `"to": "2026-11-25T12:00:30Z"`, `"to": "2026-11-25T12:00:31Z"`), headerFile, 0, "to 2026-11-25T12:00:30.000Z, which the box has signed"},
		{"the description has a clip twice", replace(headerFile, clipB, clipA), headerFile, 0, "each clip once"},
		{"a byte of the description", replace(headerFile, `"me@here"`, `"he@here"`), headerFile, 0, "sealed"},
		{"the last entry of the custody log", replace(custodyFile, `{"n":3}`, `{"n":7}`), custodyFile, 0, "sealed"},
		{"a reason in the gaps", replace(journalDir+"/"+journalA+"/"+gapsFile, "full", "null"), journalDir + "/" + journalA + "/" + gapsFile, 0, "sealed"},
		{"a byte of the list", flip(sumsFile, 0), sumsFile, 0, "SOC has signed"},
		{"a byte of the seal", flip(sealFile, -1), sumsFile, 0, "SOC has signed"},
		{"no seal", drop(sealFile), sealFile, 0, "none"},
		{"a seal by a box", func(m fstest.MapFS) { m[sealCert] = &fstest.MapFile{Data: pemOf(s.first.Certificate)} }, sealCert, 0, "somebody else"},
		{"a seal by another SOC", func(m fstest.MapFS) { m[sealCert] = &fstest.MapFile{Data: pemOf(other.soc().Certificate)} }, sealCert, 0, "another authority"},
		{"another checkpoint, good by itself", func(m fstest.MapFS) {
			p := s.checkpoint(s.first, 7)
			m[pointsA+"7.json"], m[pointsA+"7.sig"] = &fstest.MapFile{Data: p.Body}, &fstest.MapFile{Data: p.Signature}
		}, pointsA + "7.json", 0, "not listed"},
		{"an entry of the custody log", replace(custodyFile, `{"n":1}`, `{"n":7}`), custodyFile + ", entry 2", 0, "changed"},
		{"another site's folder", replace(headerFile, `"site": "0417"`, `"site": "0418"`), "", 0, "site 0418"},
		{"no description", drop(headerFile), headerFile, 0, "none"},
		{"a byte of the copy of the CA", flip(caFile, 40), caFile, 0, "sealed"},
		{"no page", drop(htmlFile), htmlFile, 0, "none"},
		{"no guide", drop(guideFile), guideFile, 0, "none"},
		{"a space behind the SOC's certificate", func(m fstest.MapFS) { m[sealCert].Data = append(m[sealCert].Data, ' ') }, sealCert, 0, "something else"},
		{"a file that was put there", func(m fstest.MapFS) { m["READ ME FIRST.html"] = &fstest.MapFile{} }, "READ ME FIRST.html", 0, "has put it there since"},
		{"a film beside a clip", func(m fstest.MapFS) { m[clip+"clip2.mp4"] = m[clip+clipFile] }, clip + "clip2.mp4", 0, "has put it there since"},
	} {
		m := clone(whole)
		tt.change(m)
		r := verify(t, m, s.ca)
		if r.Broken == nil {
			t.Errorf("%s: nothing is found", tt.name)
			continue
		}
		if tt.file != "" && r.Broken.File != tt.file || tt.seq != 0 && r.Broken.Seq != tt.seq || !strings.Contains(r.Broken.Error(), tt.says) || r.OK() {
			t.Errorf("%s: got %v, want %s, event %d, %q", tt.name, r.Broken, tt.file, tt.seq, tt.says)
		}
	}
	if r := verify(t, whole, other); r.Broken == nil || !strings.Contains(r.Broken.Error(), "another authority") {
		t.Errorf("another CA: %v", r.Broken)
	}
}

func flipHex(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

func addCert(m fstest.MapFS, by edge.Signer) {
	m[certDir+"/"+by.Fingerprint().String()+".pem"] = &fstest.MapFile{Data: pemOf(by.Certificate)}
}

// invented is line 3 with another text.
func (s *scene) invented() string {
	l := s.lines[2]
	l.Body = bytes.Replace(l.Body, []byte("The 3"), []byte("The X"), 1)
	return string(l.Append(nil))
}

func TestNothingSignedByTheBoxIsNotProved(t *testing.T) {
	s := newScene(t)
	s.points, s.bare = nil, true
	r := verify(t, s.folder(), s.ca)
	if r.Broken != nil || r.OK() || !r.Pictures || r.Clips != 0 || r.Events != 0 || len(r.Open) != 6 {
		t.Errorf("got %+v", r)
	}
}

// TestAuthorityThatIsVouchedFor: who only knows the authority of long ago believes the one that it vouches for.
func TestAuthorityThatIsVouchedFor(t *testing.T) {
	old := newCA(t, nil)
	s := newScene(t)
	s.ca = newCA(t, old)
	key := makeKey(t)
	s.first, s.renewed = old.box("0417", key), s.ca.box("0417", key)
	if r := verify(t, s.folder(), old); r.Broken == nil {
		t.Error("proved without the certificate that vouches")
	}
	s.vouching, s.dir = s.ca.cert.Raw, s.dir+"2"
	if r := verify(t, s.folder(), old); !r.OK() {
		t.Errorf("got %+v", r.Broken)
	}
}

func TestLines(t *testing.T) {
	for _, body := range []string{`{"a":"b c"}`, "", "plain", "{\n}", "=", "{\x7f}", "\xff\xfe"} {
		want := Line{N: 7, Prev: [32]byte{1, 2}, Body: []byte(body)}
		b := want.Append(nil)
		got, err := ParseLine(bytes.TrimSuffix(b, []byte("\n")))
		if err != nil || got.N != want.N || got.Prev != want.Prev || string(got.Body) != body || bytes.Count(b, []byte("\n")) != 1 {
			t.Errorf("%q: got %+v, %v", b, got, err)
		}
	}
}

func TestStopsWhenTold(t *testing.T) {
	s := newScene(t)
	m := s.folder()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, m, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

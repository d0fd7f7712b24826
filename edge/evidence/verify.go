package evidence

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"sitewatch/edge"
)

// Bounds of single files. A clip is at most as large as the SOC takes one.
const (
	maxHeader = 64 << 20
	maxCert   = 32 << 10
	maxGaps   = 16 << 20
	maxSums   = 32 << 20
	maxClip   = 1 << 30
	maxStill  = 16 << 20
	maxPoints = 50_000
	maxFacts  = 200_000
)

// verifier is one look at a folder.
type verifier struct {
	ctx     context.Context
	fsys    fs.FS
	trust   edge.Trust
	files   map[string]int64
	names   []string // of files, in their order
	heads   map[edge.ClipID]ClipHeader
	certs   map[string][]byte // by fingerprint
	facts   map[edge.ClipID]fact
	here    map[edge.JournalID][]edge.Gap // which events are in the folder
	used    map[string]bool               // files that something was taken from
	digests map[string][32]byte           // of files that were read whole for their digest
	r       *Report
}

// fact is what an event says of a clip.
type fact struct {
	journal edge.JournalID
	seq     edge.Seq
	proved  bool
	edge.ClipFact
}

// Verify checks a folder against the certificates of the SOC's authorities, and nothing else. The error is of reading alone:
// that something does not hold is in the report. It stops at the first broken link.
func Verify(ctx context.Context, fsys fs.FS, cas []*x509.Certificate) (Report, error) {
	var r Report
	v := &verifier{ctx: ctx, fsys: fsys, trust: edge.Trust{Roots: cas}, files: map[string]int64{}, heads: map[edge.ClipID]ClipHeader{}, certs: map[string][]byte{},
		facts: map[edge.ClipID]fact{}, here: map[edge.JournalID][]edge.Gap{}, used: map[string]bool{}, digests: map[string][32]byte{}, r: &r}
	for _, step := range []func() error{v.list, v.header, v.certificates, v.journals, v.clips, v.promised, v.custody, v.seal} {
		err := step()
		if errors.As(err, &r.Broken) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// list learns the names of all files.
func (v *verifier) list() error {
	err := fs.WalkDir(v.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if cerr := v.ctx.Err(); cerr != nil {
			return cerr
		}
		if err != nil {
			return v.unreadable(name, err)
		}
		if d.IsDir() {
			if strings.Count(name, "/") > maxDepth {
				return &Break{File: name, Want: "a folder of evidence", Have: "folders inside of each other without end"}
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return &Break{File: name, Want: "a file", Have: "something else, such as a link"}
		}
		st, err := d.Info()
		if err != nil {
			return v.unreadable(name, err)
		}
		if v.files[name] = st.Size(); len(v.files) > maxFiles {
			return &Break{File: name, Want: fmt.Sprintf("at most %d files", maxFiles), Have: "more"}
		}
		return nil
	})
	v.names = slices.Sorted(maps.Keys(v.files))
	return err
}

func (v *verifier) has(name string) bool {
	_, ok := v.files[name]
	return ok
}

// read reads a small file.
func (v *verifier) read(name string, most int64) ([]byte, error) {
	if err := v.ctx.Err(); err != nil {
		return nil, err
	}
	v.used[name] = true
	if _, ok := v.files[name]; !ok {
		return nil, &Break{File: name, Want: "the file", Have: "none"}
	}
	f, err := v.fsys.Open(name)
	if err != nil {
		return nil, v.unreadable(name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, v.unreadable(name, err)
	}
	if int64(len(b)) > most {
		return nil, &Break{File: name, Want: fmt.Sprintf("at most %d bytes", most), Have: "more"}
	}
	return b, nil
}

// unreadable is a file that cannot be read to its end: a zip's own checksum does not fit, or the disk fails.
func (v *verifier) unreadable(name string, err error) error {
	return &Break{File: name, Want: "a file that can be read", Have: err.Error()}
}

func (v *verifier) header() error {
	if !v.has(headerFile) {
		return &Break{File: headerFile, Want: "the description of an export: give the folder or zip that 'soc export' has made", Have: "none"}
	}
	b, err := v.read(headerFile, maxHeader)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &v.r.Header); err != nil {
		return &Break{File: headerFile, Want: "a description in JSON", Have: err.Error()}
	}
	if v.r.Format != Format || !edge.ValidID(string(v.r.Site)) {
		return &Break{File: headerFile, Want: fmt.Sprintf("%q of a site", Format), Have: fmt.Sprintf("%.40q of site %.40q", v.r.Format, v.r.Site)}
	}
	for _, c := range v.r.Header.Clips {
		if _, twice := v.heads[c.ID]; twice {
			return &Break{File: headerFile, Want: "each clip once", Have: fmt.Sprintf("%.40q twice", c.ID)}
		}
		v.heads[c.ID] = c
	}
	for _, n := range v.r.Header.Notes {
		add(&v.r.Remarks, "the SOC says: %.1000s", n)
	}
	return nil
}

// under are the names of what is in a folder, in their order.
func (v *verifier) under(dir string) []string {
	var out []string
	from, _ := slices.BinarySearch(v.names, dir+"/")
	for _, name := range v.names[from:] {
		rest, ok := strings.CutPrefix(name, dir+"/")
		if !ok {
			break
		}
		rest, _, _ = strings.Cut(rest, "/")
		out = append(out, rest)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (v *verifier) certificates() error {
	for _, name := range v.under(certDir) {
		file := path.Join(certDir, name)
		b, err := v.read(file, maxCert)
		if err != nil {
			return err
		}
		block, rest := pem.Decode(b)
		if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
			return &Break{File: file, Want: "one certificate", Have: "something else"}
		}
		print := edge.Fingerprint(block.Bytes).String()
		if print+".pem" != name {
			return &Break{File: file, Want: "the certificate with the fingerprint in its name", Have: "one with " + print}
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return &Break{File: file, Want: "a certificate", Have: err.Error()}
		}
		v.certs[print] = block.Bytes
		if c.IsCA && len(v.trust.Between) < 100 {
			v.trust.Between = append(v.trust.Between, c)
		}
	}
	return nil
}

// statement reads what a box has signed and checks who it was; name has no ending. certificate is the fingerprint that the
// statement names, decode reads it.
func (v *verifier) statement(name string, decode func(body []byte) (certificate edge.HexBytes, site edge.SiteID, err error)) error {
	body, err := v.read(name+bodyExt, edge.MaxSignedBytes)
	if err != nil {
		return err
	}
	sig, err := v.read(name+sigExt, edge.MaxSignatureBytes)
	if err != nil {
		return err
	}
	print, site, err := decode(body)
	if err != nil {
		return &Break{File: name + bodyExt, Want: "a statement of the box", Have: err.Error()}
	}
	file := path.Join(certDir, print.String()+".pem")
	der, ok := v.certs[print.String()]
	if !ok {
		return &Break{File: file, Want: "the certificate that " + name + bodyExt + " names", Have: "none"}
	}
	by, err := edge.Signed{Body: body, Signature: sig, Certificate: der}.Check(v.trust)
	switch {
	case errors.Is(err, edge.ErrBadSignature):
		return &Break{File: name + bodyExt, Want: "what the signature " + path.Base(name) + sigExt + " was made for, by " + file, Have: "another text, or another signature"}
	case errors.Is(err, edge.ErrUntrusted):
		return &Break{File: file, Want: "the certificate of a box, by the CA that was given", Have: untrusted}
	case err != nil:
		return &Break{File: file, Want: "the certificate of a box, by the CA that was given", Have: "another: " + err.Error()}
	case by != v.r.Site:
		return &Break{File: file, Want: "a certificate of site " + string(v.r.Site), Have: "one of site " + string(by)}
	case site != v.r.Site:
		return &Break{File: name + bodyExt, Want: "a statement about site " + string(v.r.Site), Have: "one about site " + string(site)}
	}
	return nil
}

// untrusted is what a certificate is that no authority of those given stands behind.
const untrusted = "one by another authority: it is forged, or the CA certificate is not the SOC's"

// promised says which files the description names that are not here.
func (v *verifier) promised() error {
	for _, c := range v.r.Header.Clips {
		for _, f := range []struct {
			there bool
			name  string
		}{{c.Clip, clipFile}, {c.Still, stillFile}, {c.Arrived, arrivedFile}} {
			name := path.Join(clipDir, string(c.ID), f.name)
			if _, ok := v.files[name]; f.there && !ok {
				return &Break{File: name, Want: "the file, which " + headerFile + " names", Have: "none"}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(v.facts)) {
		f := v.facts[id]
		if _, ok := v.files[path.Join(clipDir, string(id), clipFile)]; !ok && len(f.SHA256) > 0 {
			add(&v.r.Remarks, "clip %s, of which event %d tells, is not in the folder", id, f.seq)
		}
	}
	return nil
}

// digest is that of a file of at most so many bytes.
func (v *verifier) digest(name string, most int64) (sum [32]byte, err error) {
	v.used[name] = true
	f, err := v.fsys.Open(name)
	if err != nil {
		return sum, v.unreadable(name, err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, &watched{v.ctx, io.LimitReader(f, most+1)})
	switch {
	case v.ctx.Err() != nil:
		return sum, v.ctx.Err()
	case err != nil:
		return sum, v.unreadable(name, err)
	case n > most:
		return sum, &Break{File: name, Want: fmt.Sprintf("at most %d bytes", most), Have: "more"}
	}
	h.Sum(sum[:0])
	v.digests[name] = sum
	return sum, nil
}

// watched ends with its context.
type watched struct {
	ctx context.Context
	r   io.Reader
}

func (w *watched) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(b)
}

package evidence

import (
	"archive/zip"
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"sitewatch/edge"
)

// ErrExists means that there is something where the evidence should go.
var ErrExists = errors.New("there is something of this name already")

// ErrTooMuch means that Verify would not look at it: there are more files, or a longer list, than it takes from anybody.
var ErrTooMuch = errors.New("it is more than can be proved at once")

// MaxClips is how many clips fit into a folder, with their files and what is signed, and leave room for checkpoints.
const MaxClips = 20_000

// Writer makes a folder or a zip. It stands under a temporary name until Close.
type Writer struct {
	out, temp string
	file      *os.File    // of the zip
	zip       *zip.Writer // nil: a folder
	sums      strings.Builder
	have      map[string]bool
	open      *entry
}

// Create begins a folder, or a zip when out ends in .zip. Call Close or Discard.
func Create(out string) (*Writer, error) {
	out = filepath.Clean(out)
	if _, err := os.Lstat(out); err == nil {
		return nil, fmt.Errorf("%w: %s", ErrExists, out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	w := &Writer{out: out, have: map[string]bool{}}
	dir, name := filepath.Split(out)
	if dir == "" {
		dir = "."
	}
	var err error
	if strings.EqualFold(filepath.Ext(out), ".zip") {
		if w.file, err = os.CreateTemp(dir, "."+name+"-*"); err != nil {
			return nil, err
		}
		w.temp = w.file.Name()
		w.zip = zip.NewWriter(w.file)
		return w, nil
	}
	if w.temp, err = os.MkdirTemp(dir, "."+name+"-*"); err != nil {
		return nil, err
	}
	return w, nil
}

// entry is the one file that is being written.
type entry struct {
	w    *Writer
	name string
	to   io.Writer
	buf  *bufio.Writer
	file *os.File
	sum  interface {
		io.Writer
		Sum([]byte) []byte
	}
}

// Create begins the next file; Close it before the one after it. pack: it is worth packing in a zip.
func (w *Writer) create(name string, pack bool) (*entry, error) {
	if w.open != nil || w.have[name] {
		return nil, fmt.Errorf("evidence: %s is begun twice, or while %v is open", name, w.open)
	}
	if len(w.have) == maxFiles {
		return nil, fmt.Errorf("%w: more than %d files", ErrTooMuch, maxFiles)
	}
	e := &entry{w: w, name: name, sum: sha256.New()}
	if w.zip != nil {
		h := &zip.FileHeader{Name: name, Method: zip.Store}
		if pack {
			h.Method = zip.Deflate
		}
		to, err := w.zip.CreateHeader(h)
		if err != nil {
			return nil, err
		}
		e.to = to
	} else {
		full := filepath.Join(w.temp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return nil, err
		}
		e.file, e.to = f, f
	}
	e.buf = bufio.NewWriterSize(io.MultiWriter(e.to, e.sum), 1<<16)
	w.open, w.have[name] = e, true
	return e, nil
}

func (e *entry) Write(b []byte) (int, error) { return e.buf.Write(b) }

func (e *entry) Close() error {
	e.w.open = nil
	err := e.buf.Flush()
	if e.file != nil {
		err = errors.Join(err, e.file.Sync(), e.file.Close())
	}
	fmt.Fprintf(&e.w.sums, "%x  %s\n", e.sum.Sum(nil), e.name)
	return err
}

// put writes a whole file.
func (w *Writer) put(name string, data []byte) error {
	e, err := w.create(name, true)
	if err != nil {
		return err
	}
	_, err = e.Write(data)
	return errors.Join(err, e.Close())
}

// bounded writes a whole file that Verify reads at once.
func (w *Writer) bounded(name string, data []byte, most int) error {
	if len(data) > most {
		return fmt.Errorf("%w: %s has %d bytes of at most %d", ErrTooMuch, name, len(data), most)
	}
	return w.put(name, data)
}

// Certificate adds a certificate in DER, once.
func (w *Writer) Certificate(der []byte) error {
	name := path.Join(certDir, edge.Fingerprint(der).String()+".pem")
	if len(der) == 0 || w.have[name] {
		return nil
	}
	return w.put(name, pemOf(der))
}

// Signed adds a statement of a box under a name without ending, and its certificate.
func (w *Writer) signed(name string, s edge.Signed) error {
	return errors.Join(w.put(name+bodyExt, s.Body), w.put(name+sigExt, s.Signature), w.Certificate(s.Certificate))
}

// Checkpoint adds one of a journal.
func (w *Writer) Checkpoint(journal edge.JournalID, seq edge.Seq, s edge.Signed) error {
	return w.signed(path.Join(journalDir, string(journal), pointDir, fmt.Sprint(seq)), s)
}

// Manifest adds a clip's.
func (w *Writer) Manifest(clip edge.ClipID, s edge.Signed) error {
	return w.signed(path.Join(clipDir, string(clip), manifest), s)
}

// Journal adds the events of a journal, in their order: each calls line for every one.
func (w *Writer) Journal(journal edge.JournalID, each func(line func(Line) error) error) error {
	return w.chain(path.Join(journalDir, string(journal), eventsFile), each)
}

// Custody adds the custody log.
func (w *Writer) Custody(each func(line func(Line) error) error) error {
	return w.chain(custodyFile, each)
}

func (w *Writer) chain(name string, each func(line func(Line) error) error) error {
	e, err := w.create(name, true)
	if err != nil {
		return err
	}
	var b []byte
	err = each(func(l Line) error {
		b = l.Append(b[:0])
		_, err := e.Write(b)
		return err
	})
	return errors.Join(err, e.Close())
}

// Gaps says which numbers between the events of a journal are not in the folder, and why.
func (w *Writer) Gaps(journal edge.JournalID, gaps []edge.Gap) error {
	if len(gaps) == 0 {
		return nil
	}
	var b strings.Builder
	for _, g := range gaps {
		fmt.Fprintf(&b, "%d-%d %s\n", g.From, g.To, oneLine(g.Reason))
	}
	return w.bounded(path.Join(journalDir, string(journal), gapsFile), []byte(b.String()), maxGaps)
}

// File adds a clip or a still from r and returns its digest and size.
func (w *Writer) File(clip edge.ClipID, part edge.FilePart, r io.Reader) (sum [32]byte, n int64, err error) {
	name := clipFile
	if part == edge.PartStill {
		name = stillFile
	}
	return w.copy(path.Join(clipDir, string(clip), name), r)
}

// Arrived adds what had come of a clip that was not complete.
func (w *Writer) Arrived(clip edge.ClipID, r io.Reader) (sum [32]byte, n int64, err error) {
	return w.copy(path.Join(clipDir, string(clip), arrivedFile), r)
}

func (w *Writer) copy(name string, r io.Reader) (sum [32]byte, n int64, err error) {
	e, err := w.create(name, false)
	if err != nil {
		return sum, 0, err
	}
	n, err = io.Copy(e, r)
	err = errors.Join(err, e.Close())
	e.sum.Sum(sum[:0])
	return sum, n, err
}

// Close adds what describes the rest, seals it with the SOC's key and gives the folder or zip its name. It returns the SHA-256 of
// SHA256SUMS, which stands for all of it. What it makes is for this user alone: it is of people.
func (w *Writer) Close(h Header, cas [][]byte, rows []Row, soc edge.Signer) (sum [32]byte, err error) {
	h.Format = Format
	var pems []byte
	for _, der := range cas {
		pems = append(pems, pemOf(der)...)
	}
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return sum, err
	}
	page, err := timelineHTML(&h, rows)
	if err != nil {
		return sum, err
	}
	table, err := timelineCSV(rows)
	if err != nil {
		return sum, err
	}
	if err := w.bounded(headerFile, append(b, '\n'), maxHeader); err != nil {
		return sum, err
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{caFile, pems}, {htmlFile, page}, {csvFile, table}, {guideFile, guide(&h, cas)}} {
		if err := w.put(f.name, f.data); err != nil {
			return sum, err
		}
	}
	sums := []byte(w.sums.String())
	sum = sha256.Sum256(sums)
	sig, err := soc.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return sum, fmt.Errorf("seal: %w", err)
	}
	if err := errors.Join(w.bounded(sumsFile, sums, maxSums), w.put(sealFile, sig), w.put(sealCert, pemOf(soc.Certificate))); err != nil {
		return sum, err
	}
	if w.zip != nil {
		if err := errors.Join(w.zip.Close(), w.file.Sync(), w.file.Close()); err != nil {
			return sum, err
		}
	}
	if _, err := os.Lstat(w.out); err == nil {
		return sum, fmt.Errorf("%w: %s", ErrExists, w.out)
	}
	if err := os.Rename(w.temp, w.out); err != nil {
		return sum, err
	}
	w.temp = ""
	return sum, syncDir(filepath.Dir(w.out))
}

// syncDir makes the new name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Discard removes what has been written, unless it has got its name.
func (w *Writer) Discard() {
	if w.temp == "" {
		return
	}
	if w.open != nil && w.open.file != nil {
		w.open.file.Close()
	}
	if w.file != nil {
		w.file.Close()
	}
	os.RemoveAll(w.temp)
	w.temp = ""
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

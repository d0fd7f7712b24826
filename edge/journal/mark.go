package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"

	"sitewatch/edge"
)

// mark is what the journal notes of its own end beside the database after each commit, without waiting for the disk. The
// database cannot know that its end is missing: a log that is cut back to an earlier commit, a file that is gone and a file
// of yesterday all look whole. The mark may lag behind after a power cut; it is never ahead of what was committed.
type mark struct {
	id      edge.JournalID // 32 hex digits
	head    head
	cursors [3]edge.Seq // by lane
}

const (
	markMagic = "swmark1\n"
	markBytes = len(markMagic) + 32 + 8 + 32 + 8 + 8 + 8
)

func (j *Journal) markPath() string { return filepath.Join(j.opt.Dir, "journal.mark") }

func (m mark) encode() []byte {
	b := append([]byte(markMagic), m.id...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.head.seq))
	b = append(b, m.head.hash[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.cursors[edge.Urgent]))
	b = binary.BigEndian.AppendUint64(b, uint64(m.cursors[edge.Routine]))
	sum := sha256.Sum256(b)
	return append(b, sum[:8]...)
}

func decodeMark(b []byte) (m mark, ok bool) {
	if len(b) != markBytes || !bytes.HasPrefix(b, []byte(markMagic)) {
		return m, false
	}
	if sum := sha256.Sum256(b[:markBytes-8]); !bytes.Equal(sum[:8], b[markBytes-8:]) {
		return m, false
	}
	b = b[len(markMagic):]
	m.id, b = edge.JournalID(b[:32]), b[32:]
	m.head.seq, b = edge.Seq(binary.BigEndian.Uint64(b)), b[8:]
	b = b[copy(m.head.hash[:], b):]
	m.cursors[edge.Urgent] = edge.Seq(binary.BigEndian.Uint64(b))
	m.cursors[edge.Routine] = edge.Seq(binary.BigEndian.Uint64(b[8:]))
	return m, true
}

// readMark returns the mark on disk; ok is false when there is none that can be trusted.
func (j *Journal) readMark() (m mark, ok bool) {
	b, err := os.ReadFile(j.markPath())
	if err != nil {
		return mark{}, false
	}
	return decodeMark(b)
}

// openMark makes the mark say what the database says; from here on it follows each commit.
func (j *Journal) openMark() error {
	f, err := os.OpenFile(j.markPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	j.mark = f
	b := j.present().encode()
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return errors.Join(f.Truncate(int64(len(b))), f.Sync(), syncDir(j.opt.Dir))
}

func (j *Journal) present() mark { return mark{j.id, j.head, j.cursors} }

// writeMark follows a commit. It does not wait for the disk, and nothing depends on it but the next Open's doubt.
func (j *Journal) writeMark() {
	if j.mark == nil {
		return
	}
	if _, err := j.mark.WriteAt(j.present().encode(), 0); err != nil && !j.markTold {
		j.markTold = true
		j.opt.Log.Warn("journal: its mark cannot be written", "err", err)
	}
}

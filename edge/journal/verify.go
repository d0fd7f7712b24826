package journal

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"sitewatch/edge"
)

// ChainError is the first place where a journal does not prove itself.
type ChainError struct {
	Seq    edge.Seq
	Reason string
}

func (e *ChainError) Error() string { return fmt.Sprintf("event %d: %s", e.Seq, e.Reason) }

// anchorMessage is what an anchor's signature covers: a fixed text, the journal id, the seq as 8 bytes big-endian, the hash.
func anchorMessage(id edge.JournalID, seq edge.Seq, hash [32]byte) []byte {
	m := append([]byte("sitewatch anchor 1\n"), id...)
	m = binary.BigEndian.AppendUint64(append(m, '\n'), uint64(seq))
	return append(m, hash[:]...)
}

// verifyPage is how many events are read in one transaction. While one is open the write-ahead log of a running gateway
// can only grow, and a large journal takes minutes to walk.
const verifyPage = 1000

// Verify walks the hash chain of the journal file at path, which another process may have open and go on writing and pruning.
// *ChainError says where it breaks: an event was changed, or is missing without an anchor or a gap that says so.
func Verify(ctx context.Context, path string) error { return VerifySigned(ctx, path, nil) }

// Proof is what Prove has found.
type Proof struct {
	Site    edge.SiteID
	Journal edge.JournalID
	Last    edge.Seq // newest event
	Signed  edge.Seq // newest event that a checkpoint of the box covers, 0 for none
}

// Prove is Verify that also checks what the box has signed of the chain, with the certificates that lie beside it. With trust they
// must be of the journal's site and by an authority that is trusted; nil: whose they are is left open.
func Prove(ctx context.Context, path string, trust *edge.Trust) (Proof, error) {
	v := verifier{prove: true, trust: trust}
	err := v.all(ctx, path)
	return Proof{Site: v.site, Journal: v.id, Last: v.at.seq, Signed: v.proof}, err
}

// VerifySigned is Verify that also has each signature checked; one that is missing fails too.
func VerifySigned(ctx context.Context, path string, check func(message, signature []byte) error) error {
	v := verifier{check: check}
	return v.all(ctx, path)
}

func (v *verifier) all(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", fileURL(path)+"?mode=ro&_query_only=on&_busy_timeout=5000")
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	defer db.Close()
	var there bool
	if err := db.QueryRowContext(ctx, `select count(*) > 0 from sqlite_master where name = 'journal'`).Scan(&there); err == nil && !there {
		return edge.WithHint(fmt.Errorf("verify %s: it is no journal", path), "give journal.db of the gateway's data; of a copy, copy journal.db-wal, too: it has the newest events")
	}
	for done := false; !done; {
		if done, err = v.page(ctx, db); err != nil {
			return fmt.Errorf("verify %s: %w", path, err)
		}
	}
	return nil
}

type verifier struct {
	tx    *sql.Tx // of this page
	check func(message, signature []byte) error
	id    edge.JournalID
	head  head
	at    head // last that was proved
	spans []edge.Gap
	told  map[edge.Seq]told // by seq of the event that names a loss

	anchor  edge.Seq // where the walk began, and
	counted counted  // ... what the gaps said then: the sums prove something only when nobody has pruned since
	missing uint64   // numbers that were not there, since the anchor
	begun   bool     // the first page has been read

	prove  bool // what the box has signed is checked, too
	trust  *edge.Trust
	site   edge.SiteID
	signed map[edge.Seq]edge.Signed // checkpoints of this page
	proof  edge.Seq                 // newest that is proved
	tail   bool                     // the walk began in the middle, or events went meanwhile
}

// told is what a gap says of its events-lost event.
type told struct {
	hash   [32]byte
	events uint64
}

// counted is what the gaps say together.
type counted struct {
	gaps, events uint64
	crossing     bool // one of them begins before the anchor, so that some of its numbers are not counted here
}

// page proves the next events in a snapshot of its own. done: they reach to the head of that snapshot.
func (v *verifier) page(ctx context.Context, db *sql.DB) (done bool, err error) {
	if v.tx, err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err != nil {
		return false, err
	}
	defer v.tx.Rollback() // it has only read
	if err := v.start(ctx); err != nil {
		return false, err
	}
	if err := v.gaps(ctx); err != nil {
		return false, err
	}
	if v.prove {
		if err := v.checkpoints(ctx); err != nil {
			return false, err
		}
	}
	return v.events(ctx)
}

// start reads the head, and the anchor: what was pruned behind it since the page before needs no proof any more.
func (v *verifier) start(ctx context.Context) error {
	var hash, sig []byte
	if err := v.tx.QueryRowContext(ctx, `select id, site, head_seq, head_hash from journal`).Scan(&v.id, &v.site, &v.head.seq, &hash); err != nil {
		return err
	}
	copy(v.head.hash[:], hash)
	var anchor head
	err := v.tx.QueryRowContext(ctx, `select seq, hash, signature from anchors`).Scan(&anchor.seq, &hash, &sig)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	copy(anchor.hash[:], hash)
	if anchor.seq == v.at.seq && anchor.hash != v.at.hash {
		return &ChainError{anchor.seq, "was not what the anchor says"}
	}
	if anchor.seq <= v.at.seq {
		return nil
	}
	v.tail = v.tail || v.begun // pruned while we walked
	v.anchor = anchor.seq
	v.at = anchor
	return v.signature(anchor.seq, anchorMessage(v.id, anchor.seq, anchor.hash), sig)
}

func (v *verifier) signature(seq edge.Seq, message, sig []byte) error {
	if v.check == nil {
		return nil
	}
	if err := v.check(message, sig); err != nil {
		return &ChainError{seq, "signature: " + err.Error()}
	}
	return nil
}

func (v *verifier) gaps(ctx context.Context) error {
	rows, err := v.tx.QueryContext(ctx, `select from_seq, to_seq, events, event_seq, event_hash, signature from gaps order by from_seq`)
	if err != nil {
		return err
	}
	defer rows.Close()
	v.spans, v.told = v.spans[:0], map[edge.Seq]told{}
	var now counted
	for rows.Next() {
		var g edge.Gap
		var seq sql.NullInt64
		var hash, sig []byte
		if err := rows.Scan(&g.From, &g.To, &g.Events, &seq, &hash, &sig); err != nil {
			return err
		}
		v.spans = append(v.spans, g)
		now.gaps++
		now.events += g.Events
		now.crossing = now.crossing || g.From <= v.anchor
		if !seq.Valid {
			continue
		}
		v.told[edge.Seq(seq.Int64)] = told{[32]byte(append(hash, make([]byte, 32)...)), g.Events}
		if err := v.signature(edge.Seq(seq.Int64), hash, sig); err != nil {
			return err
		}
	}
	if !v.begun {
		v.counted, v.begun = now, true
	}
	v.tail = v.tail || v.counted != now // events went while we walked
	return rows.Err()
}

// counts says whether as many numbers are missing as the gaps say.
func (v *verifier) counts() error {
	if last := max(v.head.seq, v.at.seq); !v.tail {
		missing := v.missing + uint64(last-v.at.seq)
		if missing > v.counted.events || missing < v.counted.events && !v.counted.crossing {
			return &ChainError{last, fmt.Sprintf("%d numbers up to here are missing and the gaps name %d", missing, v.counted.events)}
		}
	}
	return nil
}

// allowed says whether the missing events from..to are all in spans that gaps name.
func (v *verifier) allowed(from, to edge.Seq) bool {
	for _, g := range v.spans { // ordered by From
		if g.From <= from && from <= g.To {
			from = g.To + 1
		}
		if from > to {
			return true
		}
	}
	return false
}

func (v *verifier) events(ctx context.Context) (done bool, err error) {
	rows, err := v.tx.QueryContext(ctx, `select seq, prev, hash, body from events where seq > ? order by seq limit ?`,
		int64(v.at.seq), verifyPage)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var seq edge.Seq
		var prev, hash, body []byte
		if err := rows.Scan(&seq, &prev, &hash, &body); err != nil {
			return false, err
		}
		if len(prev) != 32 || len(hash) != 32 {
			return false, &ChainError{seq, "was changed: a hash has 32 bytes"}
		}
		if err := v.event(seq, [32]byte(prev), [32]byte(hash), body); err != nil {
			return false, err
		}
	}
	if err := rows.Err(); err != nil || n == verifyPage {
		return false, err
	}
	switch {
	case v.at.seq < v.head.seq && !v.allowed(v.at.seq+1, v.head.seq):
		return false, &ChainError{v.at.seq + 1, fmt.Sprintf("missing; the journal goes on to %d", v.head.seq)}
	case v.at.seq == v.head.seq && v.at.hash != v.head.hash:
		return false, &ChainError{v.at.seq, "is not the head that the journal names"}
	}
	return true, v.counts()
}

func (v *verifier) event(seq edge.Seq, prev, hash [32]byte, body []byte) error {
	switch {
	case seq == v.at.seq+1 && prev != v.at.hash:
		return &ChainError{seq, "does not follow the event before it"}
	case seq > v.at.seq+1 && !v.allowed(v.at.seq+1, seq-1):
		return &ChainError{v.at.seq + 1, fmt.Sprintf("missing up to %d without a gap that says so", seq-1)}
	case seq == v.head.seq && hash != v.head.hash:
		return &ChainError{seq, "is not what the journal names as its head"}
	case sha256.Sum256(append(prev[:], body...)) != hash:
		return &ChainError{seq, "was changed: its hash does not fit"}
	}
	ev, err := edge.DecodeEvent(body)
	if err != nil {
		return &ChainError{seq, err.Error()}
	}
	if ev.Seq != seq || ev.Journal != v.id {
		return &ChainError{seq, "is another journal's or stands at another's place"}
	}
	if g, ok := v.told[seq]; ok && (g.hash != hash || ev.Gap == nil || ev.Gap.Events < g.events) {
		return &ChainError{seq, "is not the events-lost event that its gap names"}
	}
	if err := v.checkpoint(seq, hash); err != nil {
		return err
	}
	v.missing += uint64(seq - v.at.seq - 1)
	v.at = head{seq, hash}
	return nil
}

// Package evidence is the folder, or zip, in which a site's events, clips and stills leave the SOC so that they can be proved
// years later with nothing but the CA certificate (P12): how it is written, and how it is checked. FORMAT.md beside this file is
// the specification.
//
// It opens no connection, asks no clock and trusts nothing that it reads: a folder may come from anybody. A Writer is for one
// goroutine; Verify may be called from any.
package evidence

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sitewatch/edge"
)

// Format is what evidence.json says of itself.
const Format = "sitewatch evidence 1"

// Names in the folder.
const (
	headerFile  = "evidence.json"
	sumsFile    = "SHA256SUMS"
	caFile      = "ca.pem"
	custodyFile = "custody.txt"
	guideFile   = "VERIFY.txt"
	htmlFile    = "timeline.html"
	csvFile     = "timeline.csv"
	certDir     = "certificates"
	journalDir  = "journals"
	clipDir     = "clips"
	eventsFile  = "events.txt"
	gapsFile    = "gaps.txt"
	pointDir    = "checkpoints"
	clipFile    = "clip.mp4"
	stillFile   = "still.jpg"
	arrivedFile = "arrived.mp4"
	manifest    = "manifest"
	bodyExt     = ".json"
	sigExt      = ".sig"
)

// SOCJournal is the journal of what the SOC itself has raised: no box signs it.
const SOCJournal edge.JournalID = "soc"

// Header is evidence.json: what the folder is. It is signed by nobody; what it says is for people.
type Header struct {
	Format  string       `json:"format"` // Format
	Site    edge.SiteID  `json:"site"`
	Name    string       `json:"name"` // of the site
	From    time.Time    `json:"from"` // the span that was asked for
	To      time.Time    `json:"to"`
	Made    time.Time    `json:"made"`
	By      string       `json:"by"`      // who made it
	Program string       `json:"program"` // which made it
	Notes   []string     `json:"notes"`   // what the SOC knows to be wrong with it
	Clips   []ClipHeader `json:"clips"`
}

// ClipHeader says what became of a clip of the span.
type ClipHeader struct {
	ID     edge.ClipID   `json:"id"`
	Camera edge.CameraID `json:"camera"`
	From   time.Time     `json:"from"`
	To     time.Time     `json:"to"`
	State  string        `json:"state"`  // as the SOC's API has it
	Reason string        `json:"reason"` // why it is lost or short
	Clip   bool          `json:"clip"`   // the file is in the folder
	Still  bool          `json:"still"`
	// Arrived: the clip never came in full, and what had come of it is in the folder. The box has not signed it.
	Arrived bool `json:"arrived"`
}

// Line is an element of a hash chain as a line of text: an event of events.txt, an entry of custody.txt.
type Line struct {
	N    uint64 // seq
	Prev [32]byte
	Body []byte
}

// Hash is the chain's value after the line: SHA-256 over Prev, then Body.
func (l Line) Hash() [32]byte { return edge.ChainHash(l.Prev, l.Body) }

// maxLine bounds a line: an event in base64 and what stands before it.
const maxLine = (edge.MaxEventBytes+64<<10)/3*4 + 128

// Append adds the line: number, prev in hex, body, with a space between each. The body stands as it is when it begins with { and has
// no control characters; any other stands in base64 after a =.
func (l Line) Append(b []byte) []byte {
	b = strconv.AppendUint(b, l.N, 10)
	b = append(b, ' ')
	b = hex.AppendEncode(b, l.Prev[:])
	b = append(b, ' ')
	if plain(l.Body) {
		b = append(b, l.Body...)
	} else {
		b = append(b, '=')
		b = base64.StdEncoding.AppendEncode(b, l.Body)
	}
	return append(b, '\n')
}

func plain(body []byte) bool {
	return len(body) > 0 && body[0] == '{' && !bytes.ContainsFunc(body, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

var errLine = errors.New("it is not a number, 64 hex digits and a body")

// ParseLine reads a line without its end.
func ParseLine(b []byte) (l Line, err error) {
	num, rest, ok := bytes.Cut(b, []byte(" "))
	prev, body, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || len(prev) != 64 || len(num) > 19 || len(num) == 0 || num[0] == '0' {
		return l, errLine
	}
	if l.N, err = strconv.ParseUint(string(num), 10, 63); err != nil {
		return l, errLine
	}
	if _, err := hex.Decode(l.Prev[:], prev); err != nil || !bytes.Equal(prev, bytes.ToLower(prev)) {
		return l, errLine
	}
	if len(body) > 0 && body[0] == '=' {
		if l.Body, err = base64.StdEncoding.Strict().AppendDecode(nil, body[1:]); err != nil {
			return l, fmt.Errorf("its body is not base64: %w", err)
		}
		return l, nil
	}
	if !plain(body) {
		return l, errLine
	}
	l.Body = bytes.Clone(body)
	return l, nil
}

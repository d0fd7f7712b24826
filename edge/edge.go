// Package edge holds the nouns that every part of Sitewatch shares: identities, signals, events, lanes,
// stamps and commands. It imports the standard library only and owns no goroutine, file or connection;
// everything in it may be used from any goroutine. Its subpackages hold what happens to the nouns.
package edge

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Identities. All but Seq are compared byte by byte; those that come from configuration match [ValidID].
type (
	SiteID      string // the shop, for example "0417"
	PanelID     string // one intruder or fire panel of a site
	PartitionID string // group of zones set together, as the panel numbers it
	ZoneID      string // detector circuit, as the panel numbers it
	CameraID    string
	TaskName    string // a supervised task, "panel/intruder"
	JournalID   string // one life of one journal file; 16 random bytes in hex
	BootID      string // one boot of one machine (Linux: /proc/sys/kernel/random/boot_id)
	ClipID      string // 16 random bytes in hex, given when the clip is wanted
	CommandID   string // given by the SOC
)

// Seq numbers the events of one journal from 1 without gaps. 0 is "none".
type Seq uint64

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,31}$`)

// ValidID says whether s may be the id of a site, panel or camera in a configuration:
// 1 to 32 letters, digits and hyphens, not starting with a hyphen.
func ValidID(s string) bool { return idPattern.MatchString(s) }

// NewID returns 16 random bytes as 32 hex digits, for a JournalID, ClipID or CommandID.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand documents that it ends the process instead
	return hex.EncodeToString(b[:])
}

// HintError is an error for a person at the site: Hint says what to do about it.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return fmt.Sprintf("%v: %s", e.Err, e.Hint) }
func (e *HintError) Unwrap() error { return e.Err }

// Printable is s without what a terminal takes for a command or turns the order of letters with: a ? stands for each. Text from
// elsewhere goes through it before a person sees it.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return '?'
		}
		return r
	}, s)
}

// WithHint adds to err what a person can do about it; nil stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &HintError{Err: err, Hint: hint}
}

// HintOf returns the outermost hint in err's chain, "" when there is none.
func HintOf(err error) string {
	var h *HintError
	if errors.As(err, &h) {
		return h.Hint
	}
	return ""
}

// Package ledger keeps what the SOC has received: sites, their journals' events exactly once, clips and commands.
//
// SQLite is the ledger of one machine; Ledger is the contract that every ledger fulfils and that the suite in this
// package's tests checks. A ledger never changes the stored bytes of an event: an amendment is folded into the columns
// beside them. SCHEMA.md explains the tables. All methods may be called from any goroutine while Run is running.
package ledger

import (
	"context"
	"errors"
	"time"

	"sitewatch/edge"
)

// ErrNotFound means that the ledger knows no such site, clip or command.
var ErrNotFound = errors.New("ledger: not found")

// ErrForeign means that the thing belongs to another site.
var ErrForeign = errors.New("ledger: belongs to another site")

// ErrUnasked means that a site has sent too many clips that no event of it asks for.
var ErrUnasked = errors.New("ledger: too many clips that no event asks for")

// Index numbers the events of a ledger from 1 in the order of their arrival.
type Index int64

// Change numbers insertions and amendments together, so that a reader can follow both.
type Change int64

// Ledger is what a receiver, an API and a console need. What a method wrote is durable when it returns nil.
type Ledger interface {
	Evidence
	Export

	// Run is the writer: it commits what the other methods ask for, many at once.
	Run(ctx context.Context) error

	// Hello records what a box says of itself and returns how far the SOC has its journal. A journal that is not the one of
	// the site's last Hello raises journal-replaced, unless it is the site's first.
	Hello(ctx context.Context, h Hello) (Welcome, error)
	// Told records that a box says that its journal has events up to last.
	Told(ctx context.Context, site edge.SiteID, journal edge.JournalID, last edge.Seq) error
	// Seen records when a site was last heard.
	Seen(ctx context.Context, site edge.SiteID, at time.Time) error
	// Append adds events that are not there yet and folds amendments and clip facts.
	Append(ctx context.Context, b Batch) (Outcome, error)
	// Raise adds events of the SOC's own, with what they say of sites and paths, all or nothing, and returns their seqs.
	// Of sites that are not known it keeps the events alone.
	Raise(ctx context.Context, r Raising) ([]edge.Seq, error)
	// Presence is what Raise has kept of sites and paths.
	Presence(ctx context.Context) (Presence, error)

	Sites(ctx context.Context) ([]Site, error)
	// Gaps says of a site's journals, the newest first, what is missing of the seqs after `after`, about limit spans in all.
	// next is where to go on, 0 at the end. ErrNotFound when the site is not known.
	Gaps(ctx context.Context, site edge.SiteID, after edge.Seq, limit int) (list []Completeness, next edge.Seq, err error)
	Events(ctx context.Context, q Query) ([]Event, error)
	// Head is the newest index and change.
	Head(ctx context.Context) (Index, Change, error)
	// BornAt is the change number with which the event of index i was inserted; 0 when there is no such event.
	BornAt(ctx context.Context, i Index) (Change, error)
	// Changes returns the events inserted or amended after c in the order of change.
	Changes(ctx context.Context, c Change, max int) ([]Event, error)
	// Amended returns those of the events up to through that were amended after c, in the order of change.
	Amended(ctx context.Context, through Index, c Change, max int) ([]Event, error)
	// Changed is closed at the next commit that inserts or amends an event.
	Changed() <-chan struct{}

	// Clip returns ErrNotFound for an unknown id.
	Clip(ctx context.Context, id edge.ClipID) (Clip, error)
	// ClipCutting notes that the box has begun to cut.
	ClipCutting(ctx context.Context, site edge.SiteID, id edge.ClipID) error
	// ClipOffered makes sure that there is a row for a file that is about to come, and returns it.
	// ErrForeign when the clip is another site's, ErrUnasked when the site has MaxUnasked clips without event already.
	ClipOffered(ctx context.Context, o ClipOffer) (Clip, error)
	// ClipStored notes that a file of the clip is complete and durable.
	ClipStored(ctx context.Context, site edge.SiteID, id edge.ClipID, part edge.FilePart, size int64, sha [32]byte) error

	// PutCommand stores a new command; ErrNotFound when the site is not known.
	PutCommand(ctx context.Context, site edge.SiteID, c edge.Command) error
	// Command returns ErrNotFound for an unknown id. One without outcome that has expired by now is CommandExpired.
	Command(ctx context.Context, id edge.CommandID, now time.Time) (Command, error)
	// OpenCommands are those of a site without outcome that have not expired.
	OpenCommands(ctx context.Context, site edge.SiteID, now time.Time) ([]edge.Command, error)
	// CommandOutcome keeps the first outcome. ErrForeign when the command is another site's.
	CommandOutcome(ctx context.Context, site edge.SiteID, id edge.CommandID, state edge.CommandState, outcome string) error
}

// Hello is what a box says of itself when it connects.
type Hello struct {
	Site    edge.SiteID
	Kind    string
	Name    string
	Version string
	Journal edge.JournalID
	LastSeq edge.Seq
	At      time.Time
	Synced  bool // At is kept by NTP
}

// Welcome is how far the SOC has a journal.
type Welcome struct {
	Watermarks Watermarks
	Urgent     []byte // hash of the record at that watermark; empty when the SOC does not have it
	Routine    []byte
}

// Watermarks are the highest seqs below which all of a lane has been received.
type Watermarks struct {
	Urgent  edge.Seq
	Routine edge.Seq
	Bulk    edge.Seq // every clip asked for up to here is ready or lost
}

// Batch is events of one journal as they came.
type Batch struct {
	Site    edge.SiteID
	Journal edge.JournalID
	Entries []Entry
}

// Entry is one event with what the receiver makes of it.
type Entry struct {
	Seq      edge.Seq
	Lane     edge.Lane
	Body     []byte
	Prev     [32]byte
	Event    edge.Event // decoded; for a body that cannot be read, what stands for it
	Received time.Time
	Late     bool
}

// Outcome counts what became of a batch's entries.
type Outcome struct {
	New       int
	Duplicate int
	Conflicts []edge.Seq // taken by another body; recorded beside it, never over it
	Unchained []edge.Seq // stored, but a neighbour's hash says that something was changed or exchanged
}

// Site is a site with its journals, the newest first.
type Site struct {
	ID       edge.SiteID
	Kind     string
	Name     string
	Version  string
	LastSeen time.Time
	Journals []Journal
}

// Journal is how much of a box's journal has been received.
type Journal struct {
	ID         edge.JournalID
	Watermarks Watermarks
	LastSeq    edge.Seq
	Gaps       []Gap
}

// Gap is a span of seqs that are not here.
type Gap struct {
	From    edge.Seq
	To      edge.Seq
	Reason  string
	Pending bool // they may still come
}

// Completeness is what is here of a journal and what is not. Present and the seqs of all Missing are the seqs from First to
// Last, each once.
type Completeness struct {
	Journal   edge.JournalID
	First     edge.Seq // 1; 0 when the journal has no event
	Last      edge.Seq // the newest that the SOC has or has been told of
	Present   uint64
	Missing   []Gap
	Conflicts []Gap // seqs under which a second event came; both are kept
}

// Query selects events, oldest first. Zero fields select everything.
type Query struct {
	Site    edge.SiteID
	Kind    edge.Kind
	Lane    edge.Lane
	After   Index // events with a larger index
	Through Index // and not over this one
	Max     int
}

// Event is an event with its place in the ledger and what has been folded into it.
type Event struct {
	Index    Index
	Change   Change
	Received time.Time
	Late     bool
	Chained  bool
	Event    edge.Event // Clips have their ID only
}

// ClipState is how far a clip is.
type ClipState string

const (
	ClipWanted    ClipState = "wanted"
	ClipCutting   ClipState = "cutting"
	ClipUploading ClipState = "uploading"
	ClipReady     ClipState = "ready"
	ClipLost      ClipState = "lost"
)

// Clip is a clip as far as it is known.
type Clip struct {
	ID        edge.ClipID
	Site      edge.SiteID
	Camera    edge.CameraID
	Journal   edge.JournalID
	Seq       edge.Seq
	Asked     bool // its event has arrived
	From, To  time.Time
	State     ClipState
	Reason    string
	FactSHA   edge.HexBytes // the clip's digest by the box's journal; empty until that event has arrived
	StillSHA  edge.HexBytes
	SizeBytes int64
	SHA256    edge.HexBytes // of the stored clip file
	Still     bool          // the still is stored
	StillHas  edge.HexBytes // of the stored still; empty also for one that an older program stored
	FactSeq   edge.Seq      // of the event that told what became of it; 0: not come yet
}

// MaxUnasked bounds the clips of a site that are here before their events.
const MaxUnasked = 64

// ClipOffer is a file that a box is about to send.
type ClipOffer struct {
	Site    edge.SiteID
	ID      edge.ClipID
	Part    edge.FilePart
	Camera  edge.CameraID
	Journal edge.JournalID
	Seq     edge.Seq
}

// Command is a command with what became of it.
type Command struct {
	edge.Command
	Site    edge.SiteID
	State   edge.CommandState
	Outcome string
}

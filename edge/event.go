package edge

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Event is a journalled fact. Encode gives the bytes that the journal stores, the hash chain covers and the wire carries.
// (Site, Journal, Seq) identifies it for ever (P2). Site, Journal, Seq, Lane, Recorded and Clock are filled in by the journal.
type Event struct {
	V         int         `json:"v"` // version of this form: 1
	Site      SiteID      `json:"site"`
	Journal   JournalID   `json:"journal"`
	Seq       Seq         `json:"seq"`
	Lane      Lane        `json:"lane"`
	Kind      Kind        `json:"kind"`
	Code      string      `json:"code,omitempty"`
	Panel     PanelID     `json:"panel,omitempty"`
	Partition PartitionID `json:"partition,omitempty"`
	Zone      ZoneID      `json:"zone,omitempty"`
	ZoneName  string      `json:"zone_name,omitempty"`
	User      string      `json:"user,omitempty"`
	Text      string      `json:"text,omitempty"`
	Why       string      `json:"why,omitempty"` // one sentence that an operator can read
	Cameras   []CameraID  `json:"cameras,omitempty"`
	Amends    Seq         `json:"amends,omitempty"` // of the same journal
	Occurred  time.Time   `json:"occurred_at"`      // UTC, best knowledge of when it happened
	Clock     ClockState  `json:"clock"`
	Recorded  Stamp       `json:"recorded"`
	Clips     []ClipRef   `json:"clips,omitempty"` // wanted for this event; their rows are in the same transaction
	Clip      *ClipFact   `json:"clip,omitempty"`  // of clip-ready and clip-lost
	Gap       *Gap        `json:"gap,omitempty"`   // of events-lost
	Path      string      `json:"path,omitempty"`  // of path-lost: the path's name
	Held      string      `json:"held,omitempty"`  // why an alarm goes in the routine lane: swinger, storm, engineer, walk-test
	// Corroborated is "video" when a camera that looks at the zone has seen movement about then.
	Corroborated string       `json:"corroborated,omitempty"`
	Command      *CommandFact `json:"command,omitempty"` // of command-done
	Raw          HexBytes     `json:"raw,omitempty"`
}

// ClipRef is a clip that an event asks for: the span [From, To] of Camera.
type ClipRef struct {
	ID     ClipID    `json:"id"`
	Camera CameraID  `json:"camera"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
}

// ClipFact is what became of a clip.
type ClipFact struct {
	ID          ClipID    `json:"id"`
	Camera      CameraID  `json:"camera"`
	From        time.Time `json:"from"` // first picture in the file; earlier than asked when the GOP began earlier
	To          time.Time `json:"to"`
	SizeBytes   int64     `json:"bytes,omitempty"`
	SHA256      HexBytes  `json:"sha256,omitempty"`
	StillBytes  int64     `json:"still_bytes,omitempty"`
	StillSHA256 HexBytes  `json:"still_sha256,omitempty"`
	Reason      string    `json:"reason,omitempty"` // why it is lost, or why it is shorter than asked

	Codec  string `json:"codec,omitempty"` // of the pictures: h264, h265
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	Audio  string `json:"audio,omitempty"` // codec of the sound in the file; empty: it has none
	// CameraOffset is how far the camera's own clock was ahead of the box's; nil: the camera tells no time.
	CameraOffset *Millis `json:"camera_offset_ms,omitempty"`
	Lost         uint64  `json:"lost,omitempty"`  // packets of the span that are known to be missing
	Holes        []Span  `json:"holes,omitempty"` // of which there are no pictures in the file, oldest first, at most MaxHoles
}

// MaxHoles bounds ClipFact.Holes: of more, the last one reaches to the end of the last hole.
const MaxHoles = 64

// Span is the time from From to To.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Millis is a number of milliseconds.
type Millis int64

// Gap names events that are gone from a journal before the SOC had them.
type Gap struct {
	From   Seq    `json:"from"`
	To     Seq    `json:"to"`
	Events uint64 `json:"events"` // how many of From..To are gone
	Reason string `json:"reason"`
}

// Encode returns the bytes to store: compact JSON in the order of the fields, times in UTC.
func (e *Event) Encode() ([]byte, error) { return json.Marshal(e) }

// MaxEventBytes bounds an encoded event on disk and on the wire.
const MaxEventBytes = 64 << 10

// DecodeEvent reads what Encode wrote. Fields that it does not know are ignored, so that a newer box can speak to an older SOC.
func DecodeEvent(b []byte) (Event, error) {
	var e Event
	if len(b) > MaxEventBytes {
		return e, fmt.Errorf("event of %d bytes is over the limit of %d", len(b), MaxEventBytes)
	}
	if err := json.Unmarshal(b, &e); err != nil {
		return e, fmt.Errorf("decode event: %w", err)
	}
	if e.V != 1 {
		return e, fmt.Errorf("event has version %d, want 1", e.V)
	}
	if e.Seq == 0 || e.Journal == "" || e.Site == "" || e.Kind == "" {
		return e, fmt.Errorf("event lacks its seq, journal, site or kind")
	}
	return e, nil
}

// HexBytes is bytes that are hex in JSON.
type HexBytes []byte

// MarshalText writes hex.
func (h HexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText reads hex.
func (h *HexBytes) UnmarshalText(b []byte) error {
	d, err := hex.DecodeString(string(b))
	*h = d
	return err
}

func (h HexBytes) String() string { return hex.EncodeToString(h) }

package edge

import "time"

// Signal is what a panel said, once, in words that do not depend on the driver. A driver makes it from one frame;
// the alarm desk makes events of it.
type Signal struct {
	Panel     PanelID     // filled in by the desk's sink for the panel; drivers leave it empty
	Kind      Kind        // what the driver's dialect makes of Code; KindAmended: Text belongs to the panel's last signal
	Code      string      // SIA code as received, "BA"; "" where the protocol has none
	Partition PartitionID // "" unknown
	Zone      ZoneID      // as the panel numbers it; "" none
	User      string      // user id as received
	Text      string      // UTF-8, cleaned by the driver
	Said      time.Time   // when it happened by the panel's own clock and the site's time zone; zero: the panel did not say
	SaidDate  bool        // Said's date came from the panel; false: it was completed from the arrival
	Old       bool        // the panel says that it is re-sending from its buffer
	Suspect   string      // why the content is doubtful although the checksum fits; "" sound
	At        Stamp       // arrival of the frame's last byte
	Raw       []byte      // the frame's bytes on the wire

	// State: the driver has read how a point is, not that it has changed: Kind when it is active, Kind's restore when it is not.
	// It is news only when it differs from what was stored of the panel, zone and kind; where nothing is stored yet it is stored
	// and no news, but for a lost device.
	State bool
	// Active: of a State without Kind, the point is active. With a Kind, Kind itself says active or restored.
	Active bool
	// Usual is the kind of such a point where nothing else says one, neither Kind, Code nor the configuration of the zone.
	Usual Kind
	// Key is what was said without how it was framed: a panel that repeats itself because our ack was lost sends the same Key.
	// Empty: never taken for a repeat.
	Key []byte
	// First: no other event frame has come since the line was opened or the program started.
	First bool
	// Opened is when the line was opened: First says something only about what the journal had from before. Zero: not known.
	Opened Stamp
	// Dated: Key contains the panel's time of day, so that an equal Key minutes later can only be the same fact.
	Dated bool
}

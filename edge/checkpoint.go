package edge

import (
	"fmt"
	"time"
)

// CheckpointType is the first field of every checkpoint.
const CheckpointType = "sitewatch checkpoint 1"

// Checkpoint is a box's word for its journal: with event Seq the chain was at Hash, so that it covers that event and all before.
type Checkpoint struct {
	Type        string     `json:"type"` // CheckpointType
	Site        SiteID     `json:"site"`
	Journal     JournalID  `json:"journal"`
	Seq         Seq        `json:"seq"`
	Hash        HexBytes   `json:"hash"` // 32 bytes
	At          time.Time  `json:"at"`   // UTC, when it was signed
	Clock       ClockState `json:"clock"`
	Certificate HexBytes   `json:"certificate"` // SHA-256 of the certificate of the key that signed
}

// DecodeCheckpoint reads the body of a signed checkpoint.
func DecodeCheckpoint(body []byte) (Checkpoint, error) {
	var c Checkpoint
	if err := decodeSigned(body, CheckpointType, &c); err != nil {
		return c, fmt.Errorf("decode checkpoint: %w", err)
	}
	if c.Type != CheckpointType || !ValidID(string(c.Site)) || c.Journal == "" || c.Seq == 0 || len(c.Hash) != 32 {
		return c, fmt.Errorf("checkpoint lacks its site, journal, seq or hash")
	}
	return c, nil
}

package edge

import (
	"fmt"
	"time"
)

// ManifestType is the first field of every manifest.
const ManifestType = "sitewatch manifest 1"

// Manifest is a box's word for a clip and its still: what the files are, and what is missing of them.
type Manifest struct {
	Type        string     `json:"type"` // ManifestType
	Site        SiteID     `json:"site"`
	Journal     JournalID  `json:"journal"`
	Seq         Seq        `json:"seq"` // of the event that asked for the clip
	Kind        Kind       `json:"kind"`
	Clip        ClipID     `json:"clip"`
	Camera      CameraID   `json:"camera"`
	Asked       Span       `json:"asked"`
	From        time.Time  `json:"from"` // first picture in the file
	To          time.Time  `json:"to"`
	SizeBytes   int64      `json:"bytes"`
	SHA256      HexBytes   `json:"sha256"`
	StillBytes  int64      `json:"still_bytes,omitempty"`
	StillSHA256 HexBytes   `json:"still_sha256,omitempty"`
	Codec       string     `json:"codec,omitempty"`
	Width       int        `json:"width,omitempty"`
	Height      int        `json:"height,omitempty"`
	Audio       string     `json:"audio"`                      // codec of the sound in the file; "": it has none
	AlarmClock  ClockState `json:"alarm_clock"`                // the box's clock when the event was recorded
	Clock       ClockState `json:"clock"`                      // and when the clip was finished
	CameraClock *Millis    `json:"camera_offset_ms,omitempty"` // how far the camera's clock was ahead of the box's, if it tells
	Lost        uint64     `json:"lost"`                       // packets that are known to be missing
	Holes       []Span     `json:"holes"`                      // of which there are no pictures
	Reason      string     `json:"reason,omitempty"`           // why it is shorter than asked
	Version     string     `json:"version"`                    // of the program that cut it
	Made        time.Time  `json:"made"`                       // UTC, when this was signed
	Certificate HexBytes   `json:"certificate"`                // SHA-256 of the certificate of the key that signed
}

// DecodeManifest reads the body of a signed manifest.
func DecodeManifest(body []byte) (Manifest, error) {
	var m Manifest
	if err := decodeSigned(body, ManifestType, &m); err != nil {
		return m, fmt.Errorf("decode manifest: %w", err)
	}
	switch {
	case m.Type != ManifestType || !ValidID(string(m.Site)) || m.Journal == "" || m.Seq == 0 || m.Clip == "":
		return m, fmt.Errorf("manifest lacks its site, journal, seq or clip")
	case len(m.SHA256) != 32 || m.SizeBytes <= 0:
		return m, fmt.Errorf("manifest lacks the clip's digest or size")
	case len(m.StillSHA256) != 0 && len(m.StillSHA256) != 32:
		return m, fmt.Errorf("the still's digest is not 32 bytes")
	}
	return m, nil
}

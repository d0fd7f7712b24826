package edge

import "crypto/sha256"

// Record is an event as the journal stores it and the wire carries it: the SOC gets Body and Prev unchanged, so that
// the hash chain can be checked there and offline (P12).
type Record struct {
	Seq  Seq
	Lane Lane
	Body []byte   // what Event.Encode wrote
	Prev [32]byte // Hash of the record before it in the journal; zeros before the first
	Hash [32]byte // SHA-256 over Prev then Body
}

// ChainHash is the hash of a record with these bytes: SHA-256 over prev, then body.
func ChainHash(prev [32]byte, body []byte) (sum [32]byte) {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(body)
	h.Sum(sum[:0])
	return sum
}

// ClipJob is a clip that an event asked for and that is neither ready nor lost yet.
type ClipJob struct {
	ClipRef
	Seq     Seq   // of the event that asked
	Kind    Kind  // of that event
	At      Stamp // when that event was recorded; the asked span is relative to it
	Cutting bool  // an earlier run of the program had begun to cut it
	Still   bool  // its still is already on disk and in the journal
}

// FilePart says which of a clip's two files is meant.
type FilePart uint8

const (
	PartStill FilePart = 1 // JPEG of the alarm moment
	PartClip  FilePart = 2 // fragmented MP4
)

// ClipFile is a finished file of a clip on the box's disk.
type ClipFile struct {
	ID        ClipID
	Part      FilePart
	Camera    CameraID
	Seq       Seq // of the event that asked
	Path      string
	SizeBytes int64
	SHA256    [32]byte
}

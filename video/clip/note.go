package clip

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sitewatch/edge"
)

// note says inside the file what it is and when its first picture came in, so that a file that was left behind, or that is
// found years later without its journal, explains itself. It is a box of type "uuid" (ISO/IEC 14496-12 §11.1), which
// players skip.
type note struct {
	Clip   edge.ClipID   `json:"clip"`
	Camera edge.CameraID `json:"camera"`
	Seq    edge.Seq      `json:"seq"`
	First  time.Time     `json:"first"`
}

// noteID is the extended type of the box.
var noteID = [16]byte{'s', 'i', 't', 'e', 'w', 'a', 't', 'c', 'h', '-', 'n', 'o', 't', 'e', '-', '1'}

func (n note) box() ([]byte, error) {
	b, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	box := binary.BigEndian.AppendUint32(nil, uint32(8+len(noteID)+len(b)))
	box = append(box, "uuid"...)
	box = append(box, noteID[:]...)
	return append(box, b...), nil
}

func parseNote(box []byte) (n note, err error) {
	if len(box) < 24 || [16]byte(box[8:24]) != noteID {
		return n, errors.New("clip: not a file of ours")
	}
	if err := json.Unmarshal(box[24:], &n); err != nil {
		return n, fmt.Errorf("clip: note: %w", err)
	}
	return n, nil
}

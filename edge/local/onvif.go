package local

import (
	"encoding/json"
	"time"
)

// ONVIF is the subscription to a camera's own events.
type ONVIF struct {
	State      State     `json:"state"`
	Reason     string    `json:"reason"`
	Hints      uint64    `json:"hints"`
	LastHint   time.Time `json:"last_hint_at"`
	LastKind   string    `json:"last_kind"`      // motion, covered, moved, blurred or input
	ClockAhead int64     `json:"clock_ahead_ms"` // of the camera's clock before the box's
	Doubts     []string  `json:"doubts"`         // what of its answers was not believed
}

type (
	plainONVIF ONVIF // without the methods
	onvifJSON  struct {
		plainONVIF
		LastHint stamp `json:"last_hint_at"` // hides that of ONVIF
	}
)

// MarshalJSON writes o with its time as a stamp.
func (o ONVIF) MarshalJSON() ([]byte, error) {
	if o.Doubts == nil {
		o.Doubts = []string{}
	}
	return json.Marshal(onvifJSON{plainONVIF(o), stamp(o.LastHint)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (o *ONVIF) UnmarshalJSON(b []byte) error {
	v := onvifJSON{plainONVIF(*o), stamp(o.LastHint)}
	err := json.Unmarshal(b, &v)
	*o = ONVIF(v.plainONVIF)
	o.LastHint = time.Time(v.LastHint)
	return err
}

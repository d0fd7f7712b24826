package local

import (
	"encoding/json"
	"time"
)

// stamp is a time as the JSON shows it: RFC 3339 in UTC with milliseconds, "" for the zero time. The structs keep
// time.Time for who fills and reads them; each below puts stamps in the place of its times.
type stamp time.Time

func (s stamp) MarshalText() ([]byte, error) {
	if time.Time(s).IsZero() {
		return nil, nil
	}
	return []byte(time.Time(s).UTC().Format("2006-01-02T15:04:05.000Z")), nil
}

func (s *stamp) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*s = stamp{}
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(b))
	*s = stamp(t)
	return err
}

type (
	plainStatus Status // without the methods
	statusJSON  struct {
		plainStatus
		Started stamp `json:"started_at"` // hides that of Status
	}
)

// MarshalJSON writes s with its time as a stamp.
func (s Status) MarshalJSON() ([]byte, error) {
	return json.Marshal(statusJSON{plainStatus(s), stamp(s.Started)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *Status) UnmarshalJSON(b []byte) error {
	v := statusJSON{plainStatus(*s), stamp(s.Started)}
	err := json.Unmarshal(b, &v)
	*s = Status(v.plainStatus)
	s.Started = time.Time(v.Started)
	return err
}

type (
	plainClock Clock // without the methods
	clockJSON  struct {
		plainClock
		Now stamp `json:"now"` // hides that of Clock
	}
)

// MarshalJSON writes c with its time as a stamp.
func (c Clock) MarshalJSON() ([]byte, error) {
	return json.Marshal(clockJSON{plainClock(c), stamp(c.Now)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Clock) UnmarshalJSON(b []byte) error {
	v := clockJSON{plainClock(*c), stamp(c.Now)}
	err := json.Unmarshal(b, &v)
	*c = Clock(v.plainClock)
	c.Now = time.Time(v.Now)
	return err
}

type (
	plainPanel Panel // without the methods
	panelJSON  struct {
		plainPanel
		LastFrame stamp `json:"last_frame_at"` // hides that of Panel
	}
)

// MarshalJSON writes p with its time as a stamp.
func (p Panel) MarshalJSON() ([]byte, error) {
	return json.Marshal(panelJSON{plainPanel(p), stamp(p.LastFrame)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Panel) UnmarshalJSON(b []byte) error {
	v := panelJSON{plainPanel(*p), stamp(p.LastFrame)}
	err := json.Unmarshal(b, &v)
	*p = Panel(v.plainPanel)
	p.LastFrame = time.Time(v.LastFrame)
	return err
}

type (
	plainCamera Camera // without the methods
	cameraJSON  struct {
		plainCamera
		LastPicture stamp `json:"last_picture_at"` // hides that of Camera
	}
)

// MarshalJSON writes c with its time as a stamp.
func (c Camera) MarshalJSON() ([]byte, error) {
	return json.Marshal(cameraJSON{plainCamera(c), stamp(c.LastPicture)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Camera) UnmarshalJSON(b []byte) error {
	v := cameraJSON{plainCamera(*c), stamp(c.LastPicture)}
	err := json.Unmarshal(b, &v)
	*c = Camera(v.plainCamera)
	c.LastPicture = time.Time(v.LastPicture)
	return err
}

type (
	plainRecording Recording // without the methods
	recordingJSON  struct {
		plainRecording
		Oldest stamp `json:"oldest_at"` // hides that of Recording
		Newest stamp `json:"newest_at"`
		Synced stamp `json:"synced_at"`
	}
)

// MarshalJSON writes r with its times as stamps.
func (r Recording) MarshalJSON() ([]byte, error) {
	return json.Marshal(recordingJSON{plainRecording(r), stamp(r.Oldest), stamp(r.Newest), stamp(r.Synced)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Recording) UnmarshalJSON(b []byte) error {
	v := recordingJSON{plainRecording(*r), stamp(r.Oldest), stamp(r.Newest), stamp(r.Synced)}
	err := json.Unmarshal(b, &v)
	*r = Recording(v.plainRecording)
	r.Oldest, r.Newest, r.Synced = time.Time(v.Oldest), time.Time(v.Newest), time.Time(v.Synced)
	return err
}

type (
	plainUplink Uplink // without the methods
	uplinkJSON  struct {
		plainUplink
		Since           stamp `json:"since"` // hides that of Uplink
		CertificateEnds stamp `json:"certificate_ends_at"`
	}
)

// MarshalJSON writes u with its times as stamps.
func (u Uplink) MarshalJSON() ([]byte, error) {
	return json.Marshal(uplinkJSON{plainUplink(u), stamp(u.Since), stamp(u.CertificateEnds)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (u *Uplink) UnmarshalJSON(b []byte) error {
	v := uplinkJSON{plainUplink(*u), stamp(u.Since), stamp(u.CertificateEnds)}
	err := json.Unmarshal(b, &v)
	*u = Uplink(v.plainUplink)
	u.Since, u.CertificateEnds = time.Time(v.Since), time.Time(v.CertificateEnds)
	return err
}

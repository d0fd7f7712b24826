package local

import (
	"time"

	"sitewatch/edge"
)

// Status is what the box knows of itself, as /api/v1/status shows it. In its JSON every field is present;
// times are RFC 3339 in UTC with milliseconds, "" when they are not known yet.
type Status struct {
	Site     edge.SiteID `json:"site"`
	SiteName string      `json:"site_name"`
	Version  string      `json:"version"`
	Started  time.Time   `json:"started_at"`
	Clock    Clock       `json:"clock"`
	Panels   []Panel     `json:"panels"`
	Cameras  []Camera    `json:"cameras"`
	Uplink   Uplink      `json:"uplink"`
	Journal  Journal     `json:"journal"`
	Disk     Disk        `json:"disk"`
	Segments Segments    `json:"segments"`
	Tasks    []Task      `json:"tasks"`
}

// Clock is the box's clock when the status was made.
type Clock struct {
	Now   time.Time       `json:"now"`
	State edge.ClockState `json:"state"`
	Boot  edge.BootID     `json:"boot"`
}

// State is how a panel, a camera or the uplink is.
type State string

const (
	StateStarting  State = "starting"
	StateConnected State = "connected"
	StateLost      State = "lost"
)

// Panel is one panel's line.
type Panel struct {
	ID        edge.PanelID `json:"id"`
	Driver    string       `json:"driver"`
	Port      string       `json:"port"`
	State     State        `json:"state"`
	Reason    string       `json:"reason"` // why it is lost
	Faulty    bool         `json:"faulty"` // too many frames are bad
	Frames    uint64       `json:"frames"`
	Rejects   uint64       `json:"rejects"` // frames refused for their checksum
	Noise     uint64       `json:"noise"`   // bytes that belonged to no frame
	Unacked   uint64       `json:"unacked"` // good frames left without acknowledgement: not on disk, or too late
	Bytes     uint64       `json:"bytes"`   // that came, whatever they are
	Damaged   uint64       `json:"damaged"` // of them: wrong parity or framing, breaks
	LastFrame time.Time    `json:"last_frame_at"`
	History   []Minute     `json:"history"` // the last hour, oldest first
}

// Minute is one minute of a panel's line.
type Minute struct {
	Good uint32 `json:"good"`
	Bad  uint32 `json:"bad"` // frames refused, and noise by its bytes
}

// BadPercent is how many of the last hour's frames were bad, 0 when none came.
func (p Panel) BadPercent() float64 {
	var good, bad float64
	for _, m := range p.History {
		good, bad = good+float64(m.Good), bad+float64(m.Bad)
	}
	if good+bad == 0 {
		return 0
	}
	return 100 * bad / (good + bad)
}

// Camera is one camera's stream.
type Camera struct {
	ID          edge.CameraID `json:"id"`
	Name        string        `json:"name"`
	State       State         `json:"state"`
	Reason      string        `json:"reason"`
	Codec       string        `json:"codec"`
	LastPicture time.Time     `json:"last_picture_at"`
	RingBytes   int64         `json:"ring_bytes"`
	RingSeconds float64       `json:"ring_seconds"` // how much lies ready for before an alarm
	Motions     uint64        `json:"motions"`
	Recording   Recording     `json:"recording"`
	ONVIF       *ONVIF        `json:"onvif,omitempty"` // absent when the camera's own events are not asked for
	Eye         Eye           `json:"eye"`
	Hint        string        `json:"hint"` // what to do about the reason
	Size        string        `json:"size"`
	Transport   string        `json:"transport"` // of RTP: tcp or udp
	Sound       string        `json:"sound"`     // its codec, "" when none is taken
	Frozen      string        `json:"frozen"`    // why the pictures stand still, "" when they do not
	Advice      []string      `json:"advice"`    // what is not as it should be although pictures come
	LostPackets uint64        `json:"lost_packets"`
	BadPackets  uint64        `json:"bad_packets"`
	Clock       CameraClock   `json:"clock"`
	Sub         Stream        `json:"sub"` // the small stream; all "" when the main one is watched
}

// Eye is how a camera is looked at for movement.
type Eye struct {
	Grade      string  `json:"grade"` // alert or watching
	Moving     bool    `json:"moving"`
	Awake      bool    `json:"awake"` // every picture is decoded
	Decoded    uint64  `json:"decoded"`
	Damaged    uint64  `json:"damaged"`
	LeftOut    uint64  `json:"left_out"`           // pictures that were not looked at, because the eyes were behind
	Behind     bool    `json:"behind"`             // such as of late: keyframes are looked at, and of the others as many as the processors allow
	Raise      float64 `json:"raise_seconds"`      // from when it was last to be looked at closely, by an alarm perhaps, to the first picture in the eye's hand
	Quarantine float64 `json:"quarantine_seconds"` // not looked at for so long yet, because a picture of it has ended an eye
}

// Stream is the small stream of a camera. While it is lost the keyframes of the main one are watched for movement.
type Stream struct {
	State  State  `json:"state"`
	Reason string `json:"reason"`
	Codec  string `json:"codec"`
	Size   string `json:"size"`
}

// CameraClock is the camera's own clock against the box's.
type CameraClock struct {
	State         string  `json:"state"` // known, unset (1970, or years away) or unknown: the camera tells no time
	OffsetSeconds float64 `json:"offset_seconds"`
	DriftPPM      float64 `json:"drift_ppm"` // 0 before a minute of it was seen
	Steps         uint64  `json:"steps"`     // jumps of more than a second
}

// Recording is what lies on disk of one camera's stream.
type Recording struct {
	Mode           string    `json:"mode"`   // alarm or continuous
	Reason         string    `json:"reason"` // why nothing is recorded although it should be
	Oldest         time.Time `json:"oldest_at"`
	Newest         time.Time `json:"newest_at"`
	Synced         time.Time `json:"synced_at"` // of the newest picture that a power cut cannot take any more
	Bytes          int64     `json:"bytes"`
	LimitBytes     int64     `json:"limit_bytes"` // of this camera alone; 0: only that of all
	BytesPerSecond float64   `json:"bytes_per_second"`
	BytesPerDay    float64   `json:"bytes_per_day"` // at this rate
	WrittenBytes   uint64    `json:"written_bytes"` // since the start
	Dropped        uint64    `json:"dropped"`       // pictures and pieces of sound not recorded since the start
	DroppedGOPs    uint64    `json:"dropped_gops"`
}

// Segments is what lies on disk of all cameras, and what it does to the disk.
type Segments struct {
	Bytes       int64   `json:"bytes"`
	LimitBytes  int64   `json:"limit_bytes"`
	BytesPerDay float64 `json:"bytes_per_day"`
	DeviceBytes int64   `json:"device_bytes"` // 0: not known
	Flash       bool    `json:"flash"`
	WearYears   float64 `json:"wear_years"`        // until flash of this size has been written in full 600 times, by recording alone; 0: not known
	WearUsed    int     `json:"wear_used_percent"` // what an eMMC says of itself; 0: it says nothing
	// Leaving says that no camera is recorded any more, and HoursLeft for how many hours of running what was recorded still stays.
	Leaving   bool `json:"leaving"`
	HoursLeft int  `json:"hours_left"`
}

// Uplink is the connection to the SOC.
type Uplink struct {
	SOC      string    `json:"soc"`
	Enrolled bool      `json:"enrolled"`
	State    State     `json:"state"`
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"` // of State
	Paths    []Path    `json:"paths"`
	// CertificateEnds is when the box's certificate is to be replaced at the latest; the box does so 30 days before.
	CertificateEnds time.Time `json:"certificate_ends_at"`
}

// Path is one way to the SOC.
type Path struct {
	Name      string  `json:"name"` // "" when it is the only one
	Interface string  `json:"interface"`
	SOC       string  `json:"soc"` // the address of the present or the last connection
	State     State   `json:"state"`
	Reason    string  `json:"reason"`
	RTT       float64 `json:"rtt_ms"` // 0: not known
	Events    bool    `json:"events"` // events take it now
	Bulk      bool    `json:"bulk"`   // stills and clips take it now
}

// Journal is the record of events and the clips that they asked for.
type Journal struct {
	ID         edge.JournalID      `json:"id"`
	LastSeq    edge.Seq            `json:"last_seq"`
	Bytes      int64               `json:"bytes"`
	LimitBytes int64               `json:"limit_bytes"`
	Watermarks map[string]edge.Seq `json:"watermarks"` // by lane: what the SOC has acked
	Waiting    map[string]uint64   `json:"waiting"`    // by lane: events that the SOC has not acked
	Clips      map[string]uint64   `json:"clips"`      // by state
}

// Disk is the file system of the data directory.
type Disk struct {
	Path       string `json:"path"`
	FreeBytes  uint64 `json:"free_bytes"`
	TotalBytes uint64 `json:"total_bytes"`
}

// Task is one supervised task.
type Task struct {
	Name     edge.TaskName `json:"name"`
	State    string        `json:"state"`
	Restarts uint64        `json:"restarts"`
	Reason   string        `json:"reason"` // of the last restart
}

// tidy makes empty lists and maps of absent ones: a reader of the JSON need not tell null from none.
func (s *Status) tidy() {
	if s.Panels == nil {
		s.Panels = []Panel{}
	}
	for i := range s.Panels {
		if s.Panels[i].History == nil {
			s.Panels[i].History = []Minute{}
		}
	}
	if s.Cameras == nil {
		s.Cameras = []Camera{}
	}
	for i := range s.Cameras {
		if s.Cameras[i].Advice == nil {
			s.Cameras[i].Advice = []string{}
		}
	}
	if s.Tasks == nil {
		s.Tasks = []Task{}
	}
	if s.Uplink.Paths == nil {
		s.Uplink.Paths = []Path{}
	}
	if s.Journal.Watermarks == nil {
		s.Journal.Watermarks = map[string]edge.Seq{}
	}
	if s.Journal.Waiting == nil {
		s.Journal.Waiting = map[string]uint64{}
	}
	if s.Journal.Clips == nil {
		s.Journal.Clips = map[string]uint64{}
	}
}

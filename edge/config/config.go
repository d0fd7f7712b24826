// Package config reads the two files that a person writes: gateway.yaml of the box and soc.yaml of the receiver.
//
// It is strict: an unknown key, a wrong type or a value that cannot be right is a problem with its line and with what to
// do about it, and all problems of a file are reported at once. A load with problems must not be used to start anything.
// Secrets never stand in these files, only the paths of files that hold them. The package reads the named file and,
// in CheckFiles, looks at the files that it names; it starts no goroutine and opens no port, connection or device.
// Only cmd/* imports it: every other package has its own Options. Loaded values are read-only and may be shared.
package config

import (
	"time"
	_ "time/tzdata" // the appliance image has no zoneinfo, and a wrong local time would misdate what the panel says

	"sitewatch/edge"
)

// MaxBytes bounds a configuration file.
const MaxBytes = 1 << 20

// Gateway is gateway.yaml with the defaults filled in.
type Gateway struct {
	Site    Site
	Data    string // absolute directory: journal, clips, identity
	Listen  string // loopback host:port of the box's own pages
	Panels  []Panel
	Cameras []Camera
	Clips   Clips
	Alarms  Alarms
	Motion  []MotionRule // the first that fits decides
	Limits  Limits
	Uplink  Uplink

	source source
}

// Site is the shop where the box stands.
type Site struct {
	ID       edge.SiteID
	Name     string
	Kind     string // "shop", "funeral", or any other word that the SOC knows
	Timezone string // IANA name
	Location *time.Location
}

// Panel is one intruder or fire panel, or a line of contacts.
type Panel struct {
	ID     edge.PanelID
	Driver string
	Port   string // absolute path of a serial device, or tcp-listen://, tcp://, modbus-tcp://host:port
	// Settings is for the driver alone to check: string, int, float64, bool, nil, []any and map[string]any.
	// Gateway.Problem gives a complaint about one of them its line.
	Settings map[string]any
	Cameras  []edge.CameraID // for alarms of zones that name none
	Zones    map[edge.ZoneID]Zone
	Kinds    map[string]edge.Kind // by SIA code: what this site takes it for
}

// Zone is a detector circuit as the installer knows it.
type Zone struct {
	Name      string
	Kind      edge.Kind // "" is whatever the panel says
	Partition edge.PartitionID
	Route     string // "interior", "perimeter", "entry", "external" or ""
	Cameras   []edge.CameraID
}

// Camera is one RTSP camera.
type Camera struct {
	ID                edge.CameraID
	Name              string
	Main              string // URL of the stream that is kept
	Sub               string // URL of the small stream that is watched for motion; "" is Main
	ONVIF             string // address of the device service whose events are hints; "": they are not asked for
	User              string
	PasswordFile      string
	CAFile            string // of rtsps: who signed the camera's certificate; "" is the system's authorities
	CertificateSHA256 string // of rtsps: the certificate itself, as hex of the SHA-256 of its DER form
	Basic             bool   // its password may go in clear over rtsp
	Transport         string // "tcp" or "udp"
	Record            string // "alarm" or "continuous"
	Segments          Size   // what it may record, within Limits.Segments; 0 is not said
	Audio             bool
	Role              string // what it is there for, of Roles; "" is not said
	Look              Look
}

// Look is where and how closely a camera is looked at for movement.
type Look struct {
	Sensitivity string    // "low", "normal" or "high"
	MinSize     float64   // percent of the picture; 0 is the usual
	Regions     []Polygon // none: the whole picture
	Masks       []Polygon // where not
}

// Polygon is an area of the picture, its corners from [0, 0] at the left above to [1, 1].
type Polygon [][2]float64

// Clips is how much is cut around an alarm.
type Clips struct {
	Before, After time.Duration
}

// Alarms are the limits of what alarms mean together.
type Alarms struct {
	ConfirmWindow time.Duration // two zones within it confirm an intruder alarm
	HoldUpWindow  time.Duration // likewise two hold-ups
	Swinger       int           // alarms of one zone in a set period; later ones are held
	Storm         int           // intruder and tamper alarms of a panel in a minute; later ones are held
	AfterSet      time.Duration // an intruder alarm within it came soon after set
	Engineer      time.Duration // engineer mode ends by itself after it
	WalkTest      time.Duration // likewise a walk test
}

// Limits are the bytes that each kind of data may take on the box's disk.
type Limits struct {
	Journal  Size
	Clips    Size
	Segments Size // 0: no continuous recording
}

// SOC is soc.yaml with the defaults filled in.
type SOC struct {
	Data   string // absolute directory: certificate authority, ledger, clips
	Uplink string // host:port that the boxes connect to
	HTTP   string // loopback host:port of the console and the API
	Ledger string // "sqlite"
	Clips  string // file:///absolute/directory
	// Heartbeat is how often each side of a link says that it lives; three that do not come are a loss.
	Heartbeat time.Duration

	source source
}

// ClipsDir returns the directory of Clips.
func (s *SOC) ClipsDir() string { return s.Clips[len("file://"):] }

// defaultGateway is the one place where the defaults of gateway.yaml are.
func defaultGateway() *Gateway {
	return &Gateway{
		Site:   Site{Kind: "shop"},
		Data:   "/var/lib/sitewatch",
		Listen: "127.0.0.1:8480",
		Clips:  Clips{Before: 10 * time.Second, After: 20 * time.Second},
		Alarms: Alarms{ConfirmWindow: 30 * time.Minute, HoldUpWindow: 8 * time.Hour, Swinger: 3, Storm: 20, AfterSet: 2 * time.Minute,
			Engineer: 4 * time.Hour, WalkTest: time.Hour},
		Motion: defaultMotion(),
		Limits: Limits{Journal: 1 * GiB, Clips: 20 * GiB},
	}
}

// defaultCamera is what a camera is that says nothing else.
func defaultCamera() Camera {
	return Camera{Transport: "tcp", Record: "alarm", Look: Look{Sensitivity: "normal"}}
}

// defaultSOC is the one place where the defaults of soc.yaml are. The default of Clips follows from Data.
func defaultSOC() *SOC {
	return &SOC{
		Data:      "/var/lib/sitewatch-soc",
		Uplink:    "0.0.0.0:7443",
		HTTP:      "127.0.0.1:8080",
		Ledger:    "sqlite",
		Heartbeat: 10 * time.Second,
	}
}

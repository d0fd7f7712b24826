package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/config"
	"sitewatch/video/onvif"
)

// item is one device as it is printed.
type item struct {
	Address    string        `json:"address"`
	Host       string        `json:"host"`
	Name       string        `json:"name"`
	Make       string        `json:"make"`
	Model      string        `json:"model"`
	Firmware   string        `json:"firmware"`
	Serial     string        `json:"serial"`
	ClockTold  bool          `json:"clock_told"`
	ClockAhead int64         `json:"clock_ahead_ms"` // of the camera's clock before this machine's; 0 when it was not told
	Events     bool          `json:"events"`         // it has a service for them
	Profiles   []profileItem `json:"profiles"`
	Cameras    []cameraItem  `json:"cameras"`
	Notes      []string      `json:"notes"` // what was not believed or could not be read
	Error      string        `json:"error"` // why nothing more is told; "": it was read
}

type profileItem struct {
	Token  string `json:"token"`
	Name   string `json:"name"`
	Source string `json:"source"`
	Codec  string `json:"codec"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	FPS    int    `json:"fps"`
}

// cameraItem is one camera of the device: a recorder has many.
type cameraItem struct {
	ID         string       `json:"id"` // of the configuration, else proposed
	Configured bool         `json:"configured"`
	Main       string       `json:"main"`
	Sub        string       `json:"sub"`
	MainStream profileItem  `json:"main_stream"`
	SubStream  *profileItem `json:"sub_stream"`
	Picture    string       `json:"picture"` // path of the file; "" when there is none

	jpeg []byte
	user string
	file string // with the password
}

func profileOf(p onvif.Profile) profileItem {
	return profileItem{p.Token, p.Name, p.Source, p.Codec, p.Size.Width, p.Size.Height, p.FPS}
}

// ask reads one device. What fails is in the item: no device stops another.
func (s *discovery) ask(ctx context.Context, m onvif.Match) (it item) {
	it = item{Address: m.Address, Name: m.Name, Profiles: []profileItem{}, Cameras: []cameraItem{}, Notes: []string{}}
	if u, err := url.Parse(m.Address); err == nil {
		it.Host = u.Hostname()
	}
	if m.Doubt != "" {
		it.Notes = append(it.Notes, m.Doubt)
	}
	ctx, cancel := context.WithTimeout(ctx, deviceAnswers*s.cmd.Timeout)
	defer cancel()
	user, file := s.credentials(it.Host)
	d, err := onvif.Open(onvif.Options{Address: m.Address, User: user, PasswordFile: file, Clock: s.clock, Timeout: s.cmd.Timeout})
	if err == nil {
		defer d.Close()
		err = s.read(ctx, d, &it, user, file)
		it.Notes = append(it.Notes, d.Doubts()...)
	}
	if err != nil {
		it.Error = errorText(ctx, err)
	}
	return it
}

func errorText(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return "onvif: the time for this device is over: give more with --timeout"
	}
	if edge.HintOf(err) == "" {
		err = edge.WithHint(err, "see that a camera is there and that ONVIF is switched on in its own pages")
	}
	if errors.Is(err, onvif.ErrAsks) {
		return onvif.ErrAsks.Error() + ": give --user and --password-file"
	}
	return err.Error()
}

// credentials are those of the command line, else those of a camera of the configuration on that host.
func (s *discovery) credentials(host string) (user, file string) {
	if s.cmd.User != "" {
		return s.cmd.User, s.cmd.PasswordFile
	}
	for _, c := range s.known.at(host) {
		if c.User != "" {
			return c.User, c.PasswordFile
		}
	}
	return "", ""
}

func (s *discovery) read(ctx context.Context, d *onvif.Device, it *item, user, file string) error {
	offset, told, err := d.Sync(ctx)
	if err != nil {
		return err
	}
	it.ClockTold, it.ClockAhead = told, offset.Milliseconds()
	info, err := d.Information(ctx)
	if err != nil {
		return err
	}
	it.Make, it.Model, it.Firmware, it.Serial = info.Make, info.Model, info.Firmware, info.Serial
	if it.Name == "" {
		it.Name, _ = d.Name(ctx) // many devices have none
	}
	it.Events = d.HasEvents(ctx)
	ps, err := d.Profiles(ctx)
	if err != nil {
		return fmt.Errorf("its streams: %w", err)
	}
	for _, p := range ps {
		it.Profiles = append(it.Profiles, profileOf(p))
	}
	channels := onvif.Channels(ps)
	if len(channels) == 0 {
		return edge.WithHint(errors.New("it offers no stream of H.264 or H.265"), "set one up in the camera's own pages")
	}
	if len(channels) > deviceCameras {
		it.Notes = append(it.Notes, fmt.Sprintf("it has %d cameras, of which %d are listed", len(channels), deviceCameras))
		channels = channels[:deviceCameras]
	}
	for _, ch := range channels {
		s.channel(ctx, d, it, cameraItem{MainStream: profileOf(ch.Main), user: user, file: file}, ch)
	}
	if len(it.Cameras) == 0 {
		return errors.New("it tells the address of no stream: " + it.Notes[len(it.Notes)-1])
	}
	return nil
}

// channel reads one camera of a device; what is missing becomes a note.
func (s *discovery) channel(ctx context.Context, d *onvif.Device, it *item, c cameraItem, ch onvif.Channel) {
	note := func(what string, err error) {
		if len(it.Notes) < 64 {
			it.Notes = append(it.Notes, what+": "+err.Error())
		}
	}
	var err error
	if c.Main, err = d.StreamURI(ctx, ch.Main); err != nil {
		note("the main stream of "+ch.Main.Name, err)
		return
	}
	if ch.Sub != nil {
		if c.Sub, err = d.StreamURI(ctx, *ch.Sub); err != nil {
			note("the small stream "+ch.Sub.Name, err)
		} else {
			sub := profileOf(*ch.Sub)
			c.SubStream = &sub
		}
	}
	if s.bytes.Load() > picturesMost {
		note("no picture", errors.New("there is no room for more of them"))
	} else if c.jpeg, _, err = d.Snapshot(ctx, ch.Main); err != nil {
		var serr error
		if c.jpeg, serr = s.streamPicture(ctx, c.Main, c.user, c.file); serr != nil {
			c.jpeg = nil
			note("no picture", err)
			note("none of the stream either", serr)
		}
	}
	s.bytes.Add(int64(len(c.jpeg)))
	it.Cameras = append(it.Cameras, c)
}

// propose gives each camera its id: that of the configuration, else one of its name or address that nobody has.
func (s *discovery) propose() {
	taken := map[string]bool{}
	for _, c := range s.known.cameras {
		taken[string(c.ID)] = true
	}
	for i := range s.items {
		it := &s.items[i]
		at := s.known.at(it.Host)
		for j := range it.Cameras {
			c := &it.Cameras[j]
			if id, ok := configured(at, *c, len(it.Cameras)); ok {
				c.ID, c.Configured = string(id), true
				continue
			}
			base := proposal(*it)
			id := base
			for n := 2; taken[id]; n++ {
				id = fmt.Sprintf("%.28s-%d", base, n)
			}
			c.ID, taken[id] = id, true
		}
	}
}

// configured finds the camera of the configuration: by its stream, or by its host where that is one camera only.
func configured(at []config.Camera, c cameraItem, cameras int) (edge.CameraID, bool) {
	path := func(s string) string {
		u, err := url.Parse(s)
		if err != nil {
			return s
		}
		return u.RequestURI()
	}
	for _, k := range at {
		if path(k.Main) == path(c.Main) {
			return k.ID, true
		}
	}
	if len(at) == 1 && cameras == 1 {
		return at[0].ID, true
	}
	return "", false
}

// proposal is an id of the name that an installer gave, else of the address: names that makers give are the same for all.
func proposal(it item) string {
	name := it.Name
	for _, w := range []string{it.Make, it.Model} {
		if w != "" && strings.Contains(strings.ToLower(name), strings.ToLower(w)) {
			name = ""
		}
	}
	slug := strings.Trim(strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < '0' || r > '9') && (r < 'a' || r > 'z') }), "-"), "-")
	if len(slug) < 2 || slug[0] < 'a' {
		host := strings.FieldsFunc(it.Host, func(r rune) bool { return r == '.' || r == ':' || r == '%' })
		slug = "camera-" + strings.ToLower(strings.Join(host[max(0, len(host)-2):], "-"))
		if strings.Trim(it.Host, "0123456789.") != "" && !strings.Contains(it.Host, ":") { // a name, not an address
			slug = strings.ToLower(host[0])
		}
	}
	slug = strings.TrimRight(slug[:min(len(slug), 28)], "-")
	if !edge.ValidID(slug) {
		slug = "camera"
	}
	return slug
}

// clock is how a camera's clock goes, for people.
func (it item) clock() string {
	d := (time.Duration(it.ClockAhead) * time.Millisecond).Round(100 * time.Millisecond)
	switch {
	case !it.ClockTold:
		return "clock not told"
	case d.Abs() < 2*time.Second:
		return "clock right"
	case d < 0:
		return "clock " + (-d).String() + " behind"
	}
	return "clock " + d.String() + " ahead"
}

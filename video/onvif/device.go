package onvif

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Device is one device. Open makes it; Close ends what connections it has left.
type Device struct {
	c        *client
	base     *url.URL
	services map[string]string // address by namespace; nil: not asked yet
	doubts   []string
}

// Open checks the address, reads the password and asks nothing yet.
func Open(opt Options) (*Device, error) {
	base, err := parseBase(opt.Address)
	if err != nil {
		return nil, err
	}
	password, err := readPassword(opt.PasswordFile)
	if err != nil {
		return nil, err
	}
	return &Device{c: newClient(opt, password), base: base}, nil
}

// Close ends the device's connections.
func (d *Device) Close() { d.c.http.CloseIdleConnections() }

// Doubts says what of the answers was not believed, a sentence each.
func (d *Device) Doubts() []string { return slices.Clone(d.doubts) }

func (d *Device) doubt(what, host string) {
	if host == "" || len(d.doubts) >= 8 {
		return
	}
	s := what + " names another host, " + host + ": its path was taken on " + d.base.Hostname()
	if !slices.Contains(d.doubts, s) {
		d.doubts = append(d.doubts, s)
	}
}

func (d *Device) hosts() hosts {
	h := hosts{base: d.base}
	if ip := d.c.remote.Load(); ip != nil {
		h.remote = *ip
	}
	return h
}

func (d *Device) call(ctx context.Context, r request) (*node, error) {
	return d.c.call(ctx, d.base.String(), r)
}

// Sync asks for the device's time, so that it believes our tokens, and returns how far its clock is ahead of ours. A device
// that does not tell is taken to be right.
func (d *Device) Sync(ctx context.Context) (offset time.Duration, told bool, err error) {
	before := d.c.clock.Now()
	body, err := d.call(ctx, request{body: `<GetSystemDateAndTime xmlns="` + nsDevice + `"/>`, open: true})
	if err != nil {
		return 0, false, err
	}
	took, _ := d.c.clock.Now().Since(before)
	t, ok := utcOf(body)
	if !ok {
		return 0, false, nil
	}
	// The device tells whole seconds: half of one is right in the mean. The clocks of two machines are compared here, by Wall.
	d.c.offset = t.Add(500 * time.Millisecond).Sub(before.Wall.Add(took / 2)).Round(100 * time.Millisecond)
	return d.c.offset, true, nil
}

func utcOf(body *node) (time.Time, bool) {
	u := body.find("GetSystemDateAndTimeResponse", "SystemDateAndTime", "UTCDateTime")
	if u == nil {
		return time.Time{}, false
	}
	year, month, day := u.number(9999, "Date", "Year"), u.number(12, "Date", "Month"), u.number(31, "Date", "Day")
	if year < 1970 || month < 1 || day < 1 {
		return time.Time{}, false
	}
	return time.Date(year, time.Month(month), day, u.number(24, "Time", "Hour"), u.number(59, "Time", "Minute"), u.number(61, "Time", "Second"), 0, time.UTC), true
}

// Information is what a device says that it is.
type Information struct{ Make, Model, Firmware, Serial, Hardware string }

// Information asks the device what it is.
func (d *Device) Information(ctx context.Context) (Information, error) {
	body, err := d.call(ctx, request{body: `<GetDeviceInformation xmlns="` + nsDevice + `"/>`})
	if err != nil {
		return Information{}, err
	}
	r := body.find("GetDeviceInformationResponse")
	if r == nil {
		return Information{}, ErrNotONVIF
	}
	return Information{plain(r.get("Manufacturer")), plain(r.get("Model")), plain(r.get("FirmwareVersion")), plain(r.get("SerialNumber")), plain(r.get("HardwareId"))}, nil
}

// Name asks for the name that an installer gave the device, "" when there is none.
func (d *Device) Name(ctx context.Context) (string, error) {
	body, err := d.call(ctx, request{body: `<GetScopes xmlns="` + nsDevice + `"/>`})
	if err != nil {
		return "", err
	}
	for _, s := range body.find("GetScopesResponse").all("Scopes") {
		if name := scopeValue(s.get("ScopeItem"), "name"); name != "" {
			return name, nil
		}
	}
	return "", nil
}

// scopeValue is what a scope of the kind says, "" when it is of another: onvif://www.onvif.org/name/Stock%20room.
func scopeValue(scope, kind string) string {
	v, ok := strings.CutPrefix(scope, "onvif://www.onvif.org/"+kind+"/")
	if !ok {
		return ""
	}
	if u, err := url.PathUnescape(v); err == nil {
		v = u
	}
	return plain(v)
}

// service returns where the service of a namespace is, ErrMissing when the device has none.
func (d *Device) service(ctx context.Context, ns string) (string, error) {
	if d.services == nil {
		found, err := d.askServices(ctx)
		if err != nil {
			return "", err
		}
		d.services = found
	}
	if s := d.services[ns]; s != "" {
		return s, nil
	}
	return "", ErrMissing
}

// HasEvents says whether the device has a service for events, as far as it tells.
func (d *Device) HasEvents(ctx context.Context) bool {
	_, err := d.service(ctx, nsEvents)
	return err == nil
}

// askServices asks the new way and the old: some devices answer the one with half of what they have.
func (d *Device) askServices(ctx context.Context) (map[string]string, error) {
	found := map[string]string{}
	add := func(ns, text string) {
		u, host := d.hosts().service(text)
		if u == nil || found[ns] != "" {
			return
		}
		d.doubt("the address of a service", host)
		found[ns] = u.String()
	}
	body, err := d.call(ctx, request{body: `<GetServices xmlns="` + nsDevice + `"><IncludeCapability>false</IncludeCapability></GetServices>`, open: true})
	if err == nil {
		for _, s := range body.find("GetServicesResponse").all("Service") {
			switch ns := s.get("Namespace"); ns {
			case nsMedia, nsMedia2, nsEvents:
				add(ns, s.get("XAddr"))
			}
		}
	} else if errors.Is(err, ErrRefused) || errors.Is(err, ErrAsks) || ctx.Err() != nil {
		return nil, err
	}
	if found[nsMedia] != "" && found[nsEvents] != "" {
		return found, nil
	}
	body, cerr := d.call(ctx, request{body: `<GetCapabilities xmlns="` + nsDevice + `"><Category>All</Category></GetCapabilities>`, open: true})
	if cerr == nil {
		caps := body.find("GetCapabilitiesResponse", "Capabilities")
		add(nsMedia, caps.get("Media", "XAddr"))
		add(nsEvents, caps.get("Events", "XAddr"))
	}
	if len(found) == 0 && cerr != nil {
		return nil, cerr
	}
	return found, nil
}

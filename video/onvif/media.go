package onvif

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"sitewatch/video"
)

// Profile is one stream that a device offers.
type Profile struct {
	Token  string
	Name   string
	Source string // token of the video source: a recorder has one for each of its cameras
	Codec  string // "H264", "H265", "JPEG", as the device calls it, in capitals; "" when it has no encoder
	Size   video.Size
	FPS    int // the most that it may send; 0: not told
	media2 bool
}

// Usable says whether the gateway can take the stream.
func (p Profile) Usable() bool { return p.Codec == "H264" || p.Codec == "H265" }

// maxPixels bounds a side of a picture that a device speaks of.
const maxPixels = 16384

// Profiles asks for the streams: by Media ver20, which alone speaks of H.265, and by ver10 when there is none or it fails.
func (d *Device) Profiles(ctx context.Context) ([]Profile, error) {
	ps, err := d.profiles(ctx, nsMedia2)
	if err == nil && slices.ContainsFunc(ps, Profile.Usable) || errors.Is(err, ErrRefused) || errors.Is(err, ErrAsks) || ctx.Err() != nil {
		return ps, err
	}
	old, err := d.profiles(ctx, nsMedia)
	if err != nil && len(ps) > 0 {
		return ps, nil
	}
	return old, err
}

func (d *Device) profiles(ctx context.Context, ns string) (out []Profile, err error) {
	address, err := d.service(ctx, ns)
	if err != nil {
		return nil, err
	}
	ask := `<GetProfiles xmlns="` + ns + `"/>`
	if ns == nsMedia2 {
		ask = `<GetProfiles xmlns="` + ns + `"><Type>VideoSource</Type><Type>VideoEncoder</Type></GetProfiles>`
	}
	body, err := d.c.call(ctx, address, request{body: ask})
	if err != nil {
		return nil, err
	}
	return profilesOf(body, ns == nsMedia2), nil
}

// profilesOf reads the answer of either version.
func profilesOf(body *node, media2 bool) (out []Profile) {
	for _, n := range body.find("GetProfilesResponse").all("Profiles") {
		source, enc := n.find("VideoSourceConfiguration"), n.find("VideoEncoderConfiguration")
		if c := n.find("Configurations"); c != nil {
			source, enc = c.find("VideoSource"), c.find("VideoEncoder")
		}
		p := Profile{Token: n.attr("token"), Name: plain(n.get("Name")), Source: plain(source.get("SourceToken")), media2: media2,
			Size: video.Size{Width: enc.number(maxPixels, "Resolution", "Width"), Height: enc.number(maxPixels, "Resolution", "Height")},
			FPS:  enc.number(1000, "RateControl", "FrameRateLimit")}
		p.Codec = strings.ToUpper(plain(enc.get("Encoding")))
		if p.Codec == "HEVC" {
			p.Codec = "H265"
		}
		if p.Token != "" && len(p.Token) <= maxText && len(out) < maxProfiles {
			out = append(out, p)
		}
	}
	return out
}

// StreamURI asks where a stream is. The address is one of the device's own host and without a user in it.
func (d *Device) StreamURI(ctx context.Context, p Profile) (string, error) {
	ns, token := nsMedia, escape(p.Token)
	ask := `<GetStreamUri xmlns="` + nsMedia + `"><StreamSetup><Stream xmlns="` + nsSchema + `">RTP-Unicast</Stream><Transport xmlns="` + nsSchema +
		`"><Protocol>RTSP</Protocol></Transport></StreamSetup><ProfileToken>` + token + `</ProfileToken></GetStreamUri>`
	if p.media2 {
		ns = nsMedia2
		ask = `<GetStreamUri xmlns="` + nsMedia2 + `"><Protocol>RTSP</Protocol><ProfileToken>` + token + `</ProfileToken></GetStreamUri>`
	}
	r, err := d.uri(ctx, ns, ask, "GetStreamUriResponse")
	if err != nil {
		return "", err
	}
	s, host := d.hosts().stream(r)
	if s == "" {
		return "", errors.New("onvif: the address of the stream is no RTSP address")
	}
	d.doubt("the address of a stream", host)
	return s, nil
}

func (d *Device) uri(ctx context.Context, ns, ask, answer string) (string, error) {
	address, err := d.service(ctx, ns)
	if err != nil {
		return "", err
	}
	body, err := d.c.call(ctx, address, request{body: ask})
	if err != nil {
		return "", err
	}
	r := body.find(answer)
	return cmp.Or(r.get("MediaUri", "Uri"), r.get("Uri")), nil // ver10, ver20
}

// Channel is what one camera gives: the stream to keep and the small one to watch.
type Channel struct {
	Source string
	Main   Profile
	Sub    *Profile // nil: there is no other than Main
}

// Channels picks for each video source the largest stream that can be taken, and of the others the one that is nearest to what
// the eye looks at. H.264 goes before H.265 where the size is the same: every player knows it.
func Channels(ps []Profile) (out []Channel) {
	by := map[string][]Profile{}
	var order []string
	for _, p := range ps {
		if !p.Usable() {
			continue
		}
		if by[p.Source] == nil {
			order = append(order, p.Source)
		}
		by[p.Source] = append(by[p.Source], p)
	}
	for _, source := range order {
		of := by[source]
		slices.SortStableFunc(of, func(a, b Profile) int {
			return cmp.Or(cmp.Compare(pixels(b), pixels(a)), cmp.Compare(a.Codec, b.Codec), cmp.Compare(b.FPS, a.FPS))
		})
		c := Channel{Source: source, Main: of[0]}
		rest := slices.DeleteFunc(slices.Clone(of[1:]), func(p Profile) bool { return pixels(p) >= pixels(c.Main) })
		slices.SortStableFunc(rest, func(a, b Profile) int {
			return cmp.Or(cmp.Compare(farness(a), farness(b)), cmp.Compare(a.Codec, b.Codec))
		})
		if len(rest) > 0 {
			c.Sub = &rest[0]
		}
		out = append(out, c)
	}
	return out
}

// watched is the size that the eye likes best.
const watched = 640 * 360

func pixels(p Profile) int { return p.Size.Width * p.Size.Height }

// farness is how far a stream is from watched: too many pixels cost, too few hide somebody who is far away.
func farness(p Profile) int {
	n := pixels(p)
	switch {
	case n <= 0:
		return maxPixels * maxPixels
	case n >= watched:
		return n - watched
	}
	return 4 * (watched - n)
}

package onvif

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

const envelope = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>`

// shown fails when text that people will see is too long or has what a terminal acts upon.
func shown(t *testing.T, ss ...string) {
	t.Helper()
	for _, s := range ss {
		if len([]rune(s)) > maxAddress+maxText || strings.ContainsFunc(s, unicode.IsControl) {
			t.Fatalf("%q would be shown", s)
		}
	}
}

// Whatever a device answers to any call: no panic, nothing beyond the bounds, no address of another host.
func FuzzAnswer(f *testing.F) {
	edgetest.Fuzz(f)
	for _, m := range messages {
		f.Add(pulled(m.xml))
	}
	for _, s := range []string{
		`<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime><Time><Hour>24</Hour></Time><Date><Year>1970</Year><Month>1</Month><Day>1</Day></Date></UTCDateTime></SystemDateAndTime></GetSystemDateAndTimeResponse>`,
		`<GetProfilesResponse><Profiles token="a"><VideoEncoderConfiguration><Encoding>H264</Encoding><Resolution><Width>1e9</Width><Height>-1</Height></Resolution></VideoEncoderConfiguration></Profiles></GetProfilesResponse>`,
		`<GetProfilesResponse><Profiles token="a"><Configurations><VideoEncoder><Encoding>H265</Encoding></VideoEncoder></Configurations></Profiles></GetProfilesResponse>`,
		`<GetStreamUriResponse><MediaUri><Uri>rtsp://a:b@[::1]:99999/x?y=1&z=2</Uri></MediaUri></GetStreamUriResponse>`,
		`<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code></s:Fault>`,
		`<CreatePullPointSubscriptionResponse><SubscriptionReference><Address>/x</Address><ReferenceParameters><a:b xmlns:a="c&quot;>">d</a:b></ReferenceParameters></SubscriptionReference></CreatePullPointSubscriptionResponse>`,
		`<GetServicesResponse><Service><Namespace>` + nsMedia + `</Namespace><XAddr>http://evil.example/x</XAddr></Service></GetServicesResponse>`,
	} {
		f.Add([]byte(envelope + s + "</s:Body></s:Envelope>"))
	}
	base, err := url.Parse("http://192.0.2.1/onvif/device_service")
	if err != nil {
		f.Fatal(err)
	}
	h := hosts{base: base}
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := bodyOf(b)
		if err != nil {
			shown(t, plain(err.Error()))
			return
		}
		utcOf(body)
		ps := profilesOf(body, len(b)%2 == 0)
		if len(ps) > maxProfiles {
			t.Fatalf("%d profiles", len(ps))
		}
		for _, p := range ps {
			shown(t, p.Name, p.Codec, p.Source)
			if p.Size.Width < 0 || p.Size.Width > maxPixels || p.Size.Height < 0 || p.Size.Height > maxPixels || p.FPS < 0 {
				t.Fatalf("got %+v", p)
			}
		}
		for _, c := range Channels(ps) {
			if !c.Main.Usable() || c.Sub != nil && !c.Sub.Usable() {
				t.Fatalf("got %+v", c)
			}
		}
		hs := hintsOf(body, edge.Stamp{}, time.Hour)
		if len(hs) > maxHints {
			t.Fatalf("%d hints", len(hs))
		}
		for _, x := range hs {
			shown(t, x.Source, x.Topic)
		}
		for _, name := range []string{"Uri", "XAddr", "Address"} {
			for _, n := range body.every(name) {
				if u, doubt := h.service(n.text); u != nil {
					shown(t, u.String(), doubt)
					if again, err := url.Parse(u.String()); err != nil || again.Hostname() != "192.0.2.1" || again.User != nil {
						t.Fatalf("%q became %q", n.text, u)
					}
				}
				if s, doubt := h.stream(n.text); s != "" {
					shown(t, s, doubt)
					if again, err := url.Parse(s); err != nil || again.Hostname() != "192.0.2.1" || again.User != nil {
						t.Fatalf("%q became %q", n.text, s)
					}
				}
			}
		}
		for _, n := range body.every("ReferenceParameters") {
			r := refs(n)
			if len(r) > maxRefs {
				t.Fatalf("%d bytes of reference parameters", len(r))
			}
			again, err := bodyOf([]byte(`<s:Envelope xmlns:a="b"><s:Body>` + r + `</s:Body></s:Envelope>`))
			if err != nil || len(again.kids) > len(n.kids) {
				t.Fatalf("%q is no XML of ours: %v", r, err)
			}
		}
	})
}

func FuzzMatches(f *testing.F) {
	const id = "0a6dc791-2be6-4991-9af1-454778a1917a"
	for _, s := range []string{
		`<e:Envelope><e:Header><w:RelatesTo>uuid:` + id + `</w:RelatesTo></e:Header><e:Body><d:ProbeMatches><d:ProbeMatch><w:EndpointReference><w:Address>urn:uuid:1</w:Address></w:EndpointReference><d:Types>dn:NetworkVideoTransmitter</d:Types>` +
			`<d:Scopes>onvif://www.onvif.org/name/Stock%20room onvif://www.onvif.org/hardware/DS-2CD</d:Scopes><d:XAddrs>http://[fe80::1]/onvif/device_service http://192.0.2.1/onvif/device_service</d:XAddrs></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>`,
		`<Envelope><Body><ProbeMatches><ProbeMatch><XAddrs>camera</XAddrs><Types>NetworkVideo</Types></ProbeMatch></ProbeMatches></Body></Envelope>`,
		`<!-- -->`, "", "\x00",
	} {
		f.Add([]byte(s))
	}
	from := netip.MustParseAddr("192.0.2.1")
	f.Fuzz(func(t *testing.T, b []byte) {
		ms := parseMatches(b, from, []string{id})
		if len(ms) > maxMatches {
			t.Fatalf("%d matches in a datagram", len(ms))
		}
		for _, m := range ms {
			shown(t, m.Name, m.Hardware, m.Endpoint, m.Doubt, m.Address)
			if u, err := parseBase(m.Address); err != nil || u.Hostname() != "192.0.2.1" {
				t.Fatalf("got %q, %v", m.Address, err)
			}
		}
	})
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{`Digest realm="a, b=\"c\"", nonce="n", qop="auth", algorithm=SHA-256`, `Basic realm="x", Digest nonce=n`, `=,"\`, `Digest realm="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, _ := challengeOf(http.Header{"Www-Authenticate": {s}})
		if c == nil {
			return
		}
		if a := c.authorization("user", "hush-hush-hush", "POST", "/"); strings.ContainsAny(a, "\r\n") || strings.Contains(a, "hush-hush-hush") && !strings.Contains(s, "hush-hush-hush") {
			t.Fatalf("got %q", a)
		}
	})
}

package config

import (
	"bytes"
	"strings"
	"testing"
)

func TestONVIFAddresses(t *testing.T) {
	file := func(address string) string {
		return "site: {id: \"1\", name: Demo, timezone: Europe/London}\nuplink: {soc: \"127.0.0.1:7443\"}\ncameras:\n  - {id: door, main: \"rtsp://camera/main\", onvif: \"" + address + "\"}\n"
	}
	for address, want := range map[string]string{
		"http://camera-1.local/onvif/device_service":  "",
		"https://[fd00::9]:8443/onvif/device_service": "",
		"rtsp://camera/main":                          "is no address of ONVIF",
		"http://u:hush@camera/onvif/device_service":   "has a user or a password in it",
		"http:///onvif/device_service":                "names no host",
		"http://camera:99999/onvif/device_service":    "is not 1 to 65535",
		"camera": "is no address of ONVIF",
		"http://camera-1.local/%zz/onvif/device_service?": "is no URL",
	} {
		g, ps := parseGateway("gateway.yaml", []byte(file(address)), drivers)
		got := lines(ps)
		if (want == "") != (got == "") || !strings.Contains(got, want) || strings.Contains(got, "hush") {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
		if want != "" {
			continue
		}
		var b bytes.Buffer
		if err := PrintCameras(&b, g.Cameras); err != nil || !strings.Contains(b.String(), "onvif: \""+address+"\"") {
			t.Errorf("printed %s, %v", b.String(), err)
		}
	}
}

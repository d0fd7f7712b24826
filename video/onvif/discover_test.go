package onvif_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"sitewatch/video/onvif"
	"sitewatch/video/onviftest"
)

// long is how long answers are waited for that must not be missed on a machine that is held up: a search lasts as long.
const long = 15 * time.Second

// Devices on the loopback interface answer the group and a probe that is sent to them alone.
func TestDiscover(t *testing.T) {
	t.Parallel() // after the flood of another
	a := start(t, onviftest.Options{Serial: "A1", Name: "Stock room & more", Discovery: []string{"lo"}})
	b := start(t, onviftest.Options{Serial: "B2", Make: onviftest.Dahua, Quirks: onviftest.IPv6First, Discovery: []string{"lo"}})
	c := start(t, onviftest.Options{Serial: "C3", Quirks: onviftest.ForeignXAddr, Discovery: []string{"lo"}})
	found, err := onvif.Discover(t.Context(), onvif.DiscoverOptions{Interfaces: []string{"lo"}, Timeout: long})
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]onvif.Match{}
	for _, m := range found {
		if _, twice := by[m.Address]; twice {
			t.Errorf("%s is found twice", m.Address)
		}
		by[m.Address] = m
	}
	for _, d := range []*onviftest.Device{a, b} {
		if m, ok := by[d.URL()]; !ok || m.Doubt != "" || m.Hardware == "" {
			t.Errorf("got %+v for %s", m, d.URL())
		}
	}
	if m := by[a.URL()]; m.Name != "Stock room & more" {
		t.Errorf("got name %q", m.Name)
	}
	if m, ok := by["http://127.0.0.1"+onvif.DevicePath]; !ok || !strings.Contains(m.Doubt, "203.0.113.9") {
		t.Errorf("got %+v, want its own host and a doubt; it is at %s", found, c.URL())
	}
	direct, err := onvif.Discover(t.Context(), onvif.DiscoverOptions{Interfaces: []string{onvif.NoInterface}, Hosts: []string{"127.0.0.1"}, Timeout: long})
	if err != nil || len(direct) == 0 {
		t.Errorf("a probe to one host: got %+v, %v", direct, err)
	}
}

// That nobody answers is no error. Others may run devices of their own on the loopback interface meanwhile.
func TestDiscoverWhereNothingIs(t *testing.T) {
	if _, err := onvif.Discover(t.Context(), onvif.DiscoverOptions{Interfaces: []string{"lo"}, Timeout: 200 * time.Millisecond}); err != nil {
		t.Errorf("got %v", err)
	}
	_, err := onvif.Discover(t.Context(), onvif.DiscoverOptions{Interfaces: []string{"no-such-0"}, Timeout: 200 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "no-such-0") {
		t.Errorf("got %v, want the interface named", err)
	}
}

// flood answers each probe with rubbish and with more devices than anybody has.
func TestDiscoverIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("it floods the loopback interface")
	}
	dev := start(t, onviftest.Options{Serial: "A1", Discovery: []string{"lo"}})
	conn, err := net.ListenMulticastUDP("udp4", loopback(t), &net.UDPAddr{IP: net.IPv4(239, 255, 255, 250), Port: 3702})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			_, from, err := conn.ReadFromUDP(b)
			if err != nil {
				return
			}
			for i := range 2000 {
				conn.WriteToUDP([]byte("<Envelope><Body><ProbeMatches><ProbeMatch><Types>dn:NetworkVideoTransmitter</Types><XAddrs>http://127.0.0.1:"+
					strings.Repeat("1", i%5+1)+"/"+strings.Repeat("x", i)+"</XAddrs></ProbeMatch></ProbeMatches></Body></Envelope>"), from)
			}
		}
	}()
	found, err := onvif.Discover(t.Context(), onvif.DiscoverOptions{Interfaces: []string{"lo"}, Timeout: long})
	if err != nil || len(found) > onvif.MaxMatches || len(found) == 0 {
		t.Errorf("got %d devices, %v", len(found), err)
	}
	conn.Close()
	<-done
	_ = dev
}

func loopback(t *testing.T) *net.Interface {
	t.Helper()
	ifi, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	return ifi
}

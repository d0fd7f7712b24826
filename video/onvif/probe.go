package onvif

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// probe is the message that asks who is there (WS-Discovery 5.2). Devices answer to one of the two types, old ones to the first.
func probe(id, types string) []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">` +
		`<s:Header><a:Action s:mustUnderstand="1">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action><a:MessageID>uuid:` + id + `</a:MessageID>` +
		`<a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>` +
		`<a:To s:mustUnderstand="1">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>` +
		`<s:Body><Probe xmlns="http://schemas.xmlsoap.org/ws/2005/04/discovery"><d:Types xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"` +
		` xmlns:dn="http://www.onvif.org/ver10/network/wsdl" xmlns:tds="http://www.onvif.org/ver10/device/wsdl">` + types + `</d:Types></Probe></s:Body></s:Envelope>`)
}

// probeTypes are asked for in messages of their own: a device must have all types of one message.
var probeTypes = []string{"dn:NetworkVideoTransmitter", "tds:Device"}

// Match is a device that answered a probe.
type Match struct {
	From     netip.Addr // who sent the answer
	Address  string     // of its device service, on the host that sent the answer
	Endpoint string     // what the device calls itself, the same at each answer; "" when it says nothing
	Name     string     // what the installer called it
	Hardware string     // model
	Doubt    string     // "" or what of the answer was not believed
}

// maxMatches bounds what one datagram may tell.
const maxMatches = 16

// parseMatches reads an answer to the probes with the ids that came from a host. What is no such answer, and what is no video
// device, gives nothing: printers hear probes too.
func parseMatches(b []byte, from netip.Addr, ids []string) (out []Match) {
	root, err := parseXML(b)
	if err != nil || root.name.Local != "Envelope" {
		return nil
	}
	relates := strings.ToLower(root.find("Header").get("RelatesTo"))
	asked := relates == "" // some leave it out
	for _, id := range ids {
		asked = asked || strings.Contains(relates, id)
	}
	if !asked {
		return nil
	}
	for _, m := range root.find("Body", "ProbeMatches").all("ProbeMatch") {
		if len(out) >= maxMatches {
			break
		}
		if match, ok := matchOf(m, from); ok {
			out = append(out, match)
		}
	}
	return out
}

func matchOf(m *node, from netip.Addr) (Match, bool) {
	types, scopes := m.get("Types"), strings.Fields(m.get("Scopes"))
	video := strings.Contains(types, "NetworkVideo")
	out := Match{From: from, Endpoint: plain(m.get("EndpointReference", "Address"))}
	for i, s := range scopes {
		if i >= 64 {
			break
		}
		video = video || strings.HasPrefix(s, "onvif://www.onvif.org/")
		if v := scopeValue(s, "name"); v != "" && out.Name == "" {
			out.Name = v
		}
		if v := scopeValue(s, "hardware"); v != "" && out.Hardware == "" {
			out.Hardware = v
		}
	}
	if !video {
		return Match{}, false
	}
	base := &url.URL{Scheme: "http", Host: hostOf(from), Path: DevicePath}
	u, host := hosts{base: base, remote: from.WithZone("")}.service(m.get("XAddrs"))
	if u == nil {
		u = base
	}
	if host != "" {
		out.Doubt = fmt.Sprintf("its answer names another host, %s: its path was taken on %s", host, from)
	}
	out.Address = u.String()
	return out, true
}

// hostOf is an address as it stands in a URL.
func hostOf(a netip.Addr) string { return withPort(a.String(), "") }

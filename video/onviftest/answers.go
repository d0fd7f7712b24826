package onviftest

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
)

func text(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (d *Device) dateAndTime() string {
	t := d.now().UTC()
	utc := fmt.Sprintf("<tt:UTCDateTime><tt:Time><tt:Hour>%d</tt:Hour><tt:Minute>%d</tt:Minute><tt:Second>%d</tt:Second></tt:Time>"+
		"<tt:Date><tt:Year>%d</tt:Year><tt:Month>%d</tt:Month><tt:Day>%d</tt:Day></tt:Date></tt:UTCDateTime>", t.Hour(), t.Minute(), t.Second(), t.Year(), t.Month(), t.Day())
	if d.has(NoTime) {
		utc = ""
	}
	return "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>" +
		"<tt:TimeZone><tt:TZ>GMT0BST,M3.5.0/1,M10.5.0/2</tt:TZ></tt:TimeZone>" + utc + "</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
}

// makes are who made the device and what, and its firmware.
var makes = map[Make][3]string{
	Hikvision: {"HIKVISION", "DS-2CD2143G2-I", "V5.7.3 build 220112"},
	Axis:      {"AXIS", "M3106-L Mk II", "10.12.182"},
	Dahua:     {"Dahua", "IPC-HDW2431T-AS-S2", "2.800.0000000.16.R, Build Date: 2021-07-08"},
}

func (d *Device) information() string {
	m := makes[d.opt.Make]
	return fmt.Sprintf("<tds:GetDeviceInformationResponse><tds:Manufacturer>%s</tds:Manufacturer><tds:Model>%s</tds:Model><tds:FirmwareVersion>%s</tds:FirmwareVersion>"+
		"<tds:SerialNumber>%s</tds:SerialNumber><tds:HardwareId>88</tds:HardwareId></tds:GetDeviceInformationResponse>", m[0], m[1], m[2], text(d.opt.Serial))
}

func (d *Device) scopes() []string {
	name := d.opt.Name
	if name == "" {
		name = makes[d.opt.Make][0]
	}
	return []string{"onvif://www.onvif.org/type/Network_Video_Transmitter", "onvif://www.onvif.org/Profile/Streaming",
		"onvif://www.onvif.org/hardware/" + url.PathEscape(makes[d.opt.Make][1]), "onvif://www.onvif.org/name/" + url.PathEscape(name), "onvif://www.onvif.org/location/country/uk"}
}

func (d *Device) scopeItems() string {
	var b strings.Builder
	for _, s := range d.scopes() {
		fmt.Fprintf(&b, "<tds:Scopes><tt:ScopeDef>Configurable</tt:ScopeDef><tt:ScopeItem>%s</tt:ScopeItem></tds:Scopes>", text(s))
	}
	return b.String()
}

func (d *Device) services() string {
	var b strings.Builder
	b.WriteString("<tds:GetServicesResponse>")
	for _, s := range [][2]string{{"tds", "device"}, {"trt", "media"}, {"tr2", "media2"}, {"tev", "event"}} {
		if s[0] == "tr2" && d.has(NoMedia2) || s[0] == "tev" && d.has(NoEvents) {
			continue
		}
		fmt.Fprintf(&b, "<tds:Service><tds:Namespace>%s</tds:Namespace><tds:XAddr>%s</tds:XAddr><tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>",
			spaces[s[0]], d.address(s[1]))
	}
	b.WriteString("</tds:GetServicesResponse>")
	return b.String()
}

func (d *Device) capabilities() string {
	events := "<tt:Events><tt:XAddr>" + d.address("event") + "</tt:XAddr><tt:WSSubscriptionPolicySupport>true</tt:WSSubscriptionPolicySupport>" +
		"<tt:WSPullPointSupport>true</tt:WSPullPointSupport></tt:Events>"
	if d.has(NoEvents) {
		events = ""
	}
	return "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Device><tt:XAddr>" + d.address("device") + "</tt:XAddr></tt:Device>" + events +
		"<tt:Media><tt:XAddr>" + d.address("media") + "</tt:XAddr></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>"
}

func (d *Device) profiles(media2 bool) string {
	var b strings.Builder
	open, shut := "<trt:GetProfilesResponse>", "</trt:GetProfilesResponse>"
	if media2 {
		open, shut = "<tr2:GetProfilesResponse>", "</tr2:GetProfilesResponse>"
	}
	b.WriteString(open)
	for _, s := range d.streams(media2) {
		source := s.Source
		if source == "" {
			source = "VideoSource_1"
		}
		encoder := fmt.Sprintf("<tt:Name>enc</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>%s</tt:Encoding><tt:Resolution><tt:Width>%d</tt:Width><tt:Height>%d</tt:Height></tt:Resolution>",
			s.Codec, s.Width, s.Height)
		if media2 {
			fmt.Fprintf(&b, `<tr2:Profiles token="%s" fixed="true"><tr2:Name>%s</tr2:Name><tr2:Configurations><tr2:VideoSource token="vsc"><tt:Name>vs</tt:Name><tt:SourceToken>%s</tt:SourceToken></tr2:VideoSource>`+
				`<tr2:VideoEncoder token="ve" GovLength="25">%s<tt:RateControl ConstantBitRate="false"><tt:FrameRateLimit>%d.0</tt:FrameRateLimit><tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl></tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>`,
				text(s.Token), text(s.Name), source, encoder, s.FPS)
			continue
		}
		fmt.Fprintf(&b, `<trt:Profiles fixed="true" token="%s"><tt:Name>%s</tt:Name><tt:VideoSourceConfiguration token="vsc"><tt:Name>vs</tt:Name><tt:UseCount>2</tt:UseCount><tt:SourceToken>%s</tt:SourceToken><tt:Bounds x="0" y="0" width="2688" height="1520"/></tt:VideoSourceConfiguration>`+
			`<tt:VideoEncoderConfiguration token="ve">%s<tt:Quality>4</tt:Quality><tt:RateControl><tt:FrameRateLimit>%d</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl></tt:VideoEncoderConfiguration></trt:Profiles>`,
			text(s.Token), text(s.Name), source, encoder, s.FPS)
	}
	b.WriteString(shut)
	return b.String()
}

package onvif

import (
	"crypto/md5"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sitewatch/edge"
	"sitewatch/video"
)

// messages are what cameras of several makes send, each with what it means.
var messages = []struct{ name, xml, want string }{
	{"Hikvision, motion", note("tns1:RuleEngine/CellMotionDetector/Motion", "Changed", `Name="VideoSourceConfigurationToken" Value="VideoSourceToken"`, `Name="IsMotion" Value="true"`), "motion on VideoSourceToken"},
	{"Hikvision, its end", note("tns1:RuleEngine/CellMotionDetector/Motion", "Changed", `Name="Rule" Value="R"`, `Name="IsMotion" Value="false"`), "motion off R"},
	{"Hikvision, at the beginning", note("tns1:VideoSource/MotionAlarm", "Initialized", `Name="Source" Value="VideoSource_1"`, `Name="State" Value="false"`), "motion off VideoSource_1 initial"},
	{"Hikvision, tamper", note("tns1:RuleEngine/TamperDetector/Tamper", "Changed", `Name="Source" Value="V"`, `Name="IsTamper" Value="true"`), "covered on V"},
	{"Hikvision, a line crossed", note("tns1:RuleEngine/LineDetector/Crossed", "Changed", `Name="Rule" Value="L"`, `Name="ObjectId" Value="15"`), "motion on L moment"},
	{"Hikvision, in a field", note("tns1:RuleEngine/FieldDetector/ObjectsInside", "Changed", `Name="Rule" Value="F"`, `Name="IsInside" Value="1"`), "motion on F"},
	{"Dahua, moved", note("tns1:VideoSource/GlobalSceneChange/ImagingService", "Changed", `Name="Source" Value="00000"`, `Name="State" Value="true"`), "moved on 00000"},
	{"Dahua, dark", note("tns1:VideoSource/ImageTooDark/AnalyticsService", "Changed", `Name="Source" Value="00000"`, `Name="State" Value="true"`), "covered on 00000"},
	{"Dahua, out of focus", note("tns1:VideoSource/ImageTooBlurry/ImagingService", "Changed", `Name="Source" Value="00000"`, `Name="State" Value="true"`), "blurred on 00000"},
	{"Dahua, input", note("tns1:Device/Trigger/DigitalInput", "Changed", `Name="InputToken" Value="00001"`, `Name="LogicalState" Value="true"`), "input on 00001"},
	{"Axis, motion", note("tnsaxis:CameraApplicationPlatform/VMD/Camera1Profile1", "Changed", `Name="p" Value="1"`, `Name="active" Value="1"`), "motion on 1"},
	{"Axis, motion, old", note("tns1:VideoAnalytics/tnsaxis:MotionDetection", "Changed", `Name="window" Value="0"`, `Name="motion" Value="0"`), "motion off 0"},
	{"Axis, tamper", note("tns1:VideoSource/tnsaxis:Tampering", "Changed", `Name="channel" Value="1"`, `Name="tampering" Value="1"`), "covered on 1"},
	{"Axis, input", note("tns1:Device/tnsaxis:IO/Port", "Changed", `Name="port" Value="2"`, `Name="state" Value="1"`), "input on 2"},
	{"Reolink, a person", note("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "Changed", `Name="Source" Value="000"`, `Name="State" Value="true"`), "motion on 000"},
	{"a rule that is taken away", note("tns1:RuleEngine/CellMotionDetector/Motion", "Deleted", `Name="Rule" Value="R"`, `Name="IsMotion" Value="true"`), "motion off R"},
	{"nothing for us", note("tns1:Monitoring/ProcessorUsage", "Changed", `Name="Token" Value="P"`, `Name="Value" Value="99"`), ""},
	{"no message", `<wsnt:NotificationMessage><wsnt:Topic>tns1:VideoSource/MotionAlarm</wsnt:Topic></wsnt:NotificationMessage>`, ""},
	{"white space around the topic", note("\r\n   tns1:VideoSource/MotionAlarm  ", "Changed", `Name="Source" Value="1"`, `Name="State" Value="true"`), "motion on 1"},
}

func note(topic, operation, source, data string) string {
	return `<wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">` + topic + `</wsnt:Topic><wsnt:ProducerReference><wsa5:Address>x</wsa5:Address></wsnt:ProducerReference>` +
		`<wsnt:Message><tt:Message UtcTime="2026-11-25T10:00:00.123Z" PropertyOperation="` + operation + `"><tt:Source><tt:SimpleItem ` + source + `/></tt:Source><tt:Key/><tt:Data><tt:SimpleItem ` + data + `/></tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>`
}

func pulled(messages string) []byte {
	return []byte(`<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2" xmlns:tt="http://www.onvif.org/ver10/schema">` +
		`<s:Body><tev:PullMessagesResponse><tev:CurrentTime>2026-11-25T10:00:01Z</tev:CurrentTime><tev:TerminationTime>2026-11-25T10:01:01Z</tev:TerminationTime>` + messages + `</tev:PullMessagesResponse></s:Body></s:Envelope>`)
}

func TestMessages(t *testing.T) {
	for _, m := range messages {
		body, err := bodyOf(pulled(m.xml))
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		var got []string
		for _, h := range hintsOf(body, edge.Stamp{}, time.Hour) {
			s := string(h.Kind) + map[bool]string{true: " on ", false: " off "}[h.Active] + h.Source
			if h.Initial {
				s += " initial"
			}
			if h.Moment {
				s += " moment"
			}
			got = append(got, s)
			if want := time.Date(2026, 11, 25, 9, 0, 0, 123e6, time.UTC); !h.Told.Equal(want) {
				t.Errorf("%s: told %v, want %v", m.name, h.Told, want)
			}
		}
		if s := strings.Join(got, ", "); s != m.want {
			t.Errorf("%s: got %q, want %q", m.name, s, m.want)
		}
	}
}

// The examples of RFC 7616 §3.9.1 and RFC 2617 §3.5.
func TestDigest(t *testing.T) {
	h := http.Header{"Www-Authenticate": {
		`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`,
		`Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`}}
	c, basic := challengeOf(h)
	if c == nil || basic || c.algorithm != "SHA-256" {
		t.Fatalf("got %+v, %v", c, basic)
	}
	c.count = 1
	const cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	if a := c.answer("Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce); !strings.Contains(a, `response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`) {
		t.Errorf("SHA-256: got %s", a)
	}
	c.algorithm, c.hash = "MD5", md5.New
	if a := c.answer("Mufasa", "Circle of Life", "GET", "/dir/index.html", cnonce); !strings.Contains(a, `response="8ca523f5e9506fed4657c9700eebdbec"`) {
		t.Errorf("MD5: got %s", a)
	}
	for line, want := range map[string]string{
		`Basic realm="x", Digest realm="a, b=\"c\"", nonce=n, qop=auth`:            `a, b="c"/n/true`,
		`Digest nonce="n",realm="r"`:                                               `r/n/false`,
		`Digest realm="r", nonce="n", algorithm=MD5-sess`:                          "",
		`Digest realm="r", nonce="n", qop="auth-int"`:                              "",
		`Digest realm="r"`:                                                         "",
		`Negotiate, Digest realm="r", nonce="n", qop="auth,auth-int", stale=TRUE,`: "r/n/true",
		`=,"`:            "",
		`Digest "x" ="y`: "",
	} {
		c, _ := challengeOf(http.Header{"Www-Authenticate": {line}})
		got := ""
		if c != nil {
			got = c.realm + "/" + c.nonce + map[bool]string{true: "/true", false: "/false"}[c.qop]
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if _, basic := challengeOf(http.Header{"Www-Authenticate": {`Basic realm="x"`}}); !basic {
		t.Error("Basic alone was not seen")
	}
}

// The example of ONVIF's Application Programmer's Guide 1.0, 6.1.1.3.
func TestToken(t *testing.T) {
	nonce := []byte{0x2c, 0xa2, 0x59, 0x41, 0xff, 0x69, 0x58, 0x56}
	sum := sha256.Sum256(nonce) // only to see that the digest depends on all three
	a := tokenDigest(nonce, "2010-09-16T07:50:45Z", "userpassword")
	for _, b := range []string{tokenDigest(sum[:8], "2010-09-16T07:50:45Z", "userpassword"), tokenDigest(nonce, "2010-09-16T07:50:46Z", "userpassword"), tokenDigest(nonce, "2010-09-16T07:50:45Z", "Userpassword")} {
		if a == b {
			t.Error("two tokens have one digest")
		}
	}
	// LKqI6G/AikKCQrN0zqZFlg== at 2010-09-16T07:50:45Z with userpassword is tuOSpGlFlIXsozq4HFNeeGeFLEI= in that guide.
	guide := []byte{0x2c, 0xaa, 0x88, 0xe8, 0x6f, 0xc0, 0x8a, 0x42, 0x82, 0x42, 0xb3, 0x74, 0xce, 0xa6, 0x45, 0x96}
	if got := tokenDigest(guide, "2010-09-16T07:50:45Z", "userpassword"); got != "tuOSpGlFlIXsozq4HFNeeGeFLEI=" {
		t.Errorf("got %s", got)
	}
}

func TestAddresses(t *testing.T) {
	base, _ := url.Parse("http://camera-1.local:8000/onvif/device_service")
	h := hosts{base: base, remote: netip.MustParseAddr("192.168.1.64")}
	for text, want := range map[string]string{
		"http://192.168.1.64/onvif/Media":                     "http://camera-1.local/onvif/Media",
		"http://camera-1.local:8000/onvif/Media":              "http://camera-1.local:8000/onvif/Media",
		"https://192.168.1.64:443/m?a=1&b=2":                  "https://camera-1.local:443/m?a=1&b=2",
		"/onvif/Media":                                        "http://camera-1.local:8000/onvif/Media",
		"http://10.0.0.1/onvif/Media":                         "http://camera-1.local:8000/onvif/Media but 10.0.0.1",
		"http://[fe80::1]/a http://192.168.1.64/b":            "http://camera-1.local/b",
		"http://10.0.0.1/a http://evil.example/b":             "http://camera-1.local:8000/a but 10.0.0.1",
		"http://user:hush@evil.example@192.168.1.64/a":        "http://camera-1.local/a",
		"ftp://192.168.1.64/a":                                "",
		"":                                                    "",
		"javascript:alert(1)":                                 "",
		"http:///a":                                           "",
		"//evil.example/a":                                    "",
		"http://192.168.1.64/" + strings.Repeat("x", 2000):    "",
		"http://%zz/ http://192.168.1.64/b":                   "http://camera-1.local/b",
		"http://user:hush@192.168.1.64/a":                     "http://camera-1.local/a",
		"http://[::ffff:192.168.1.64]/a":                      "http://camera-1.local/a",
		"\n  http://192.168.1.64/onvif/Media  \t":             "http://camera-1.local/onvif/Media",
		"camera-1.local/onvif/Media http://192.168.1.64/c ":   "http://camera-1.local/c",
		"http://192.168.1.64":                                 "http://camera-1.local",
		"http://192.168.1.64/onvif/Media%20Service?x=%26#top": "http://camera-1.local/onvif/Media%20Service?x=%26",
	} {
		u, doubt := h.service(text)
		got := ""
		if u != nil {
			got = u.String()
		}
		if doubt != "" {
			got += " but " + doubt
		}
		if got != want {
			t.Errorf("%.60q: got %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"rtsp://192.168.1.64:554/s?a=1&b=2":      "rtsp://camera-1.local:554/s?a=1&b=2",
		"rtsp://admin:hush@192.168.1.64/s":       "rtsp://camera-1.local/s",
		"rtsp://10.0.0.1/s":                      "rtsp://camera-1.local/s but 10.0.0.1",
		"http://192.168.1.64/s":                  "",
		"rtsp:///s":                              "",
		"rtsp://192.168.1.64/a\nb":               "",
		"rtsps://192.168.1.64:322/s":             "rtsps://camera-1.local:322/s",
		" rtsp://camera-1.local/s ":              "rtsp://camera-1.local/s",
		"rtsp://x/" + strings.Repeat("y", 1<<11): "",
	} {
		got, doubt := h.stream(text)
		if doubt != "" {
			got += " but " + doubt
		}
		if got != want {
			t.Errorf("%.60q: got %q, want %q", text, got, want)
		}
	}
	v6, _ := url.Parse("http://[fd00::9]/onvif/device_service")
	if got, doubt := (hosts{base: v6}).stream("rtsp://[fd00::9]:554/s"); got != "rtsp://[fd00::9]:554/s" || doubt != "" {
		t.Errorf("got %q, %q", got, doubt)
	}
}

func TestChannels(t *testing.T) {
	p := func(token, source, codec string, w, h int) Profile {
		return Profile{Token: token, Source: source, Codec: codec, Size: video.Size{Width: w, Height: h}}
	}
	for name, c := range map[string]struct {
		in   []Profile
		want string
	}{
		"two streams":                       {[]Profile{p("sub", "", "H264", 640, 360), p("main", "", "H265", 2688, 1520)}, "main/sub"},
		"three: the one nearest to 640x360": {[]Profile{p("main", "", "H264", 1920, 1080), p("mid", "", "H264", 1280, 720), p("sub", "", "H264", 704, 576)}, "main/sub"},
		"a tiny one is too small":           {[]Profile{p("main", "", "H264", 1920, 1080), p("tiny", "", "H264", 160, 120), p("mid", "", "H264", 800, 600)}, "main/mid"},
		"one stream":                        {[]Profile{p("main", "", "H264", 1920, 1080)}, "main/"},
		"the same size twice, H.264 first":  {[]Profile{p("b", "", "H265", 1920, 1080), p("a", "", "H264", 1920, 1080)}, "a/"},
		"pictures alone":                    {[]Profile{p("main", "", "JPEG", 1920, 1080)}, ""},
		"a recorder with two cameras":       {[]Profile{p("m1", "1", "H264", 1920, 1080), p("m2", "2", "H265", 2560, 1440), p("s1", "1", "H264", 640, 360), p("s2", "2", "H264", 352, 288)}, "m1/s1 m2/s2"},
		"no sizes told":                     {[]Profile{p("main", "", "H264", 0, 0), p("sub", "", "H264", 0, 0)}, "main/"},
	} {
		var got []string
		for _, ch := range Channels(c.in) {
			s := ch.Main.Token + "/"
			if ch.Sub != nil {
				s += ch.Sub.Token
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParseXMLIsBounded(t *testing.T) {
	for name, s := range map[string]string{
		"deep":          strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100),
		"wide":          "<a>" + strings.Repeat("<b/>", maxElements+1) + "</a>",
		"DOCTYPE":       `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`,
		"cut off":       "<a><b>",
		"empty":         "",
		"text":          "401 Unauthorized",
		"a stray end":   "</a>",
		"a long answer": "<a>" + strings.Repeat(" ", maxAnswerBytes) + "</a>",
	} {
		if n, err := parseXML([]byte(s)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, n)
		}
	}
	if n, err := parseXML([]byte("\xEF\xBB\xBF <?xml version=\"1.0\" encoding=\"gb2312\"?><a x='1'>\xB0\xA1 &amp; &nbsp; & b<c/></a>rubbish")); err != nil || n.attr("x") != "1" || n.find("c") == nil {
		t.Errorf("got %+v, %v", n, err)
	}
}

package onviftest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// message is what is read of a request.
type message struct {
	Header struct {
		Security *struct {
			Token struct {
				Username string
				Password string
				Nonce    string
				Created  string
			} `xml:"UsernameToken"`
		}
		SubscriptionId string
	}
	Body struct {
		Call struct {
			XMLName xml.Name
			Token   string `xml:"ProfileToken"`
			Timeout string `xml:"Timeout"`
			Limit   int    `xml:"MessageLimit"`
		} `xml:",any"`
	}
}

const maxRequest = 64 << 10

func (d *Device) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case d.has(Silent):
		<-r.Context().Done()
		return
	case d.has(Redirect):
		http.Redirect(w, r, d.opt.Elsewhere, http.StatusTemporaryRedirect)
		return
	case d.has(Endless):
		for filler := bytes.Repeat([]byte(" "), 32<<10); ; {
			if _, err := w.Write(filler); err != nil {
				return
			}
		}
	case d.has(NotONVIF):
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><body>It works!<br></body></html>")
		return
	}
	if r.Method == http.MethodGet {
		d.picture(w, r)
		return
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	var m message
	if err == nil {
		err = xml.Unmarshal(b, &m)
	}
	if err != nil {
		d.fault(w, http.StatusBadRequest, "env:Sender", "ter:WellFormed", err.Error())
		return
	}
	call := m.Body.Call.XMLName.Local
	d.mu.Lock()
	d.calls[call]++
	d.mu.Unlock()
	if !open[call] && !d.allowed(r, &m) {
		d.refuse(w, r)
		return
	}
	d.do(w, r, &m)
}

// open are the calls that need no user.
var open = map[string]bool{"GetSystemDateAndTime": true, "GetServices": true, "GetCapabilities": true}

func (d *Device) do(w http.ResponseWriter, r *http.Request, m *message) {
	media2 := strings.Contains(m.Body.Call.XMLName.Space, "ver20/media")
	switch m.Body.Call.XMLName.Local {
	case "GetSystemDateAndTime":
		d.answer(w, d.dateAndTime())
	case "GetDeviceInformation":
		d.answer(w, d.information())
	case "GetScopes":
		d.answer(w, "<tds:GetScopesResponse>"+d.scopeItems()+"</tds:GetScopesResponse>")
	case "GetServices":
		if d.has(NoServices) {
			d.unknown(w)
			return
		}
		d.answer(w, d.services())
	case "GetCapabilities":
		d.answer(w, d.capabilities())
	case "GetProfiles":
		d.answer(w, d.profiles(media2))
	case "GetStreamUri", "GetSnapshotUri":
		d.answerURI(w, m, media2)
	case "CreatePullPointSubscription":
		d.subscribe(w, r)
	case "PullMessages", "Renew", "Unsubscribe":
		d.subscription(w, r, m)
	default:
		d.unknown(w)
	}
}

func (d *Device) answerURI(w http.ResponseWriter, m *message, media2 bool) {
	var uri string
	for _, s := range d.opt.Streams {
		if s.Token == m.Body.Call.Token {
			uri = s.URI
		}
	}
	if uri == "" {
		d.fault(w, http.StatusBadRequest, "env:Sender", "ter:NoProfile", "Profile Not Exist")
		return
	}
	if m.Body.Call.XMLName.Local == "GetSnapshotUri" {
		if d.has(NoSnapshot) || d.opt.Snapshot == nil {
			d.unknown(w)
			return
		}
		uri = strings.ReplaceAll(d.address("picture"), d.path("picture"), "/onvif/snapshot.jpg?profile="+m.Body.Call.Token+"&size=full")
	} else if d.has(SecretInURI) {
		uri = strings.Replace(uri, "://", "://"+d.opt.User+":"+d.opt.Password+"@", 1)
	}
	if !d.has(BareAmpersand) {
		uri = strings.ReplaceAll(uri, "&", "&amp;")
	}
	name := m.Body.Call.XMLName.Local + "Response"
	if media2 {
		d.answer(w, fmt.Sprintf("<tr2:%s><tr2:Uri>%s</tr2:Uri></tr2:%s>", name, uri, name))
		return
	}
	d.answer(w, fmt.Sprintf("<trt:%s><trt:MediaUri><tt:Uri>%s</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"+
		"<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:%s>", name, uri, name))
}

func (d *Device) picture(w http.ResponseWriter, r *http.Request) {
	if d.opt.Snapshot == nil || !strings.HasPrefix(r.URL.Path, "/onvif/snapshot.jpg") {
		http.NotFound(w, r)
		return
	}
	if !d.allowed(r, nil) {
		d.refuse(w, r)
		return
	}
	d.mu.Lock()
	d.calls["picture"]++
	d.mu.Unlock()
	w.Header().Set("Content-Type", "image/jpeg")
	w.Write(d.opt.Snapshot())
}

func (d *Device) unknown(w http.ResponseWriter) {
	d.fault(w, http.StatusBadRequest, "env:Receiver", "ter:ActionNotSupported", "Optional Action Not Implemented")
}

func (d *Device) fault(w http.ResponseWriter, status int, code, sub, reason string) {
	if d.has(Faults200) {
		status = http.StatusOK
	}
	d.write(w, status, fmt.Sprintf(`<E:Fault><E:Code><E:Value>%s</E:Value><E:Subcode><E:Value>%s</E:Value></E:Subcode></E:Code>`+
		`<E:Reason><E:Text xml:lang="en">%s</E:Text></E:Reason></E:Fault>`, strings.Replace(code, "env:", "E:", 1), sub, reason))
}

func (d *Device) answer(w http.ResponseWriter, body string) { d.write(w, http.StatusOK, body) }

func (d *Device) write(w http.ResponseWriter, status int, body string) {
	text := d.envelope(body)
	if d.has(Doctype) {
		text = strings.Replace(text, "?>", `?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>`, 1)
	}
	if d.has(Garbage) {
		text = "\uFEFF\r\n" + text + "\x00\x00</html>"
	}
	w.Header().Set("Content-Type", "application/soap+xml; charset=utf-8")
	if d.has(HTMLType) {
		w.Header().Set("Content-Type", "text/html")
	}
	w.WriteHeader(status)
	if d.has(Chunked) {
		for len(text) > 100 {
			io.WriteString(w, text[:100])
			http.NewResponseController(w).Flush()
			text = text[100:]
		}
	}
	io.WriteString(w, text)
}

// prefixed are the names whose prefix Dahua leaves out.
var prefixed = regexp.MustCompile(`<(/?)(tds|trt|tr2|tev|wsnt):(\w+)`)

// envelope puts the body into a message as the make writes it.
func (d *Device) envelope(body string) string {
	const head = `<?xml version="1.0" encoding="UTF-8"?>`
	switch d.opt.Make {
	case Axis:
		body = strings.ReplaceAll(strings.ReplaceAll(body, "<E:", "<SOAP-ENV:"), "</E:", "</SOAP-ENV:")
		body = strings.ReplaceAll(body, ">E:", ">SOAP-ENV:")
		return head + "\n<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://www.w3.org/2003/05/soap-envelope\"" + namespaces("wsa5") +
			` xmlns:tnsaxis="http://www.axis.com/2009/event/topics"><SOAP-ENV:Body>` + strings.NewReplacer("<wsa:", "<wsa5:", "</wsa:", "</wsa5:").Replace(body) + "</SOAP-ENV:Body></SOAP-ENV:Envelope>"
	case Dahua:
		body = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(body, "<E:", "<s:"), "</E:", "</s:"), ">E:", ">s:")
		first := true
		body = prefixed.ReplaceAllStringFunc(body, func(tag string) string {
			m := prefixed.FindStringSubmatch(tag)
			if first && m[1] == "" {
				first = false
				return fmt.Sprintf(`<%s xmlns="%s"`, m[3], spaces[m[2]])
			}
			return "<" + m[1] + m[3]
		})
		return head + `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"` + namespaces("wsa") +
			`><s:Header><wsa:Action s:mustUnderstand="1">http://www.onvif.org/answer</wsa:Action></s:Header><s:Body>` + body + "</s:Body></s:Envelope>"
	}
	body = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(body, "<E:", "<env:"), "</E:", "</env:"), ">E:", ">env:")
	return head + "\r\n<env:Envelope xmlns:env=\"http://www.w3.org/2003/05/soap-envelope\"" + namespaces("wsa") + "><env:Body>" + body + "</env:Body></env:Envelope>\r\n"
}

var spaces = map[string]string{"tds": "http://www.onvif.org/ver10/device/wsdl", "trt": "http://www.onvif.org/ver10/media/wsdl", "tr2": "http://www.onvif.org/ver20/media/wsdl",
	"tev": "http://www.onvif.org/ver10/events/wsdl", "tt": "http://www.onvif.org/ver10/schema", "wsnt": "http://docs.oasis-open.org/wsn/b-2",
	"ter": "http://www.onvif.org/ver10/error", "tns1": "http://www.onvif.org/ver10/topics"}

func namespaces(wsa string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ` xmlns:%s="http://www.w3.org/2005/08/addressing"`, wsa)
	for _, p := range []string{"tds", "trt", "tr2", "tev", "tt", "wsnt", "ter", "tns1"} {
		fmt.Fprintf(&b, ` xmlns:%s="%s"`, p, spaces[p])
	}
	return b.String()
}

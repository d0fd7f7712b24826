package onvif

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Namespaces of the services.
const (
	nsDevice = "http://www.onvif.org/ver10/device/wsdl"
	nsMedia  = "http://www.onvif.org/ver10/media/wsdl"
	nsMedia2 = "http://www.onvif.org/ver20/media/wsdl"
	nsEvents = "http://www.onvif.org/ver10/events/wsdl"
	nsNotify = "http://docs.oasis-open.org/wsn/b-2"
	nsSchema = "http://www.onvif.org/ver10/schema"
)

// request is one call. body is XML that is ours, or escaped.
type request struct {
	body   string
	action string // of WS-Addressing, which the calls of a subscription need; "": none
	to     string // likewise, as the device wrote it
	refs   string // reference parameters of the subscription, as XML
	open   bool   // needs no user by the specification (Core 5.9.4, PRE_AUTH)
}

// message is the SOAP message of r; token is the security header or "".
func (r request) message(token string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"`)
	if r.action != "" {
		b.WriteString(` xmlns:a="http://www.w3.org/2005/08/addressing"`)
	}
	b.WriteString(">")
	if token != "" || r.action != "" {
		b.WriteString("<s:Header>")
		if r.action != "" {
			fmt.Fprintf(&b, `<a:Action s:mustUnderstand="1">%s</a:Action><a:MessageID>urn:uuid:%s</a:MessageID>`+
				`<a:ReplyTo><a:Address>http://www.w3.org/2005/08/addressing/anonymous</a:Address></a:ReplyTo><a:To s:mustUnderstand="1">%s</a:To>%s`,
				r.action, newUUID(), escape(r.to), r.refs)
		}
		b.WriteString(token + "</s:Header>")
	}
	b.WriteString("<s:Body>" + r.body + "</s:Body></s:Envelope>")
	return b.String()
}

// usernameToken is the WS-Security header (UsernameToken Profile 1.0, password digest). created is the device's own time.
func usernameToken(user, password string, created time.Time) string {
	var nonce [16]byte
	rand.Read(nonce[:]) // never fails: crypto/rand documents that it ends the process instead
	at := created.UTC().Format("2006-01-02T15:04:05.000Z")
	return `<Security s:mustUnderstand="1" xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><UsernameToken><Username>` +
		escape(user) + `</Username><Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest">` +
		tokenDigest(nonce[:], at, password) + `</Password><Nonce EncodingType="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary">` +
		base64.StdEncoding.EncodeToString(nonce[:]) + `</Nonce><Created xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd">` +
		at + `</Created></UsernameToken></Security>`
}

func tokenDigest(nonce []byte, created, password string) string {
	h := sha1.New()
	h.Write(nonce)
	h.Write([]byte(created + password))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// FaultError is what a device answers when it does not do what it was asked.
type FaultError struct {
	Code   string // the innermost code, without its prefix: ActionNotSupported
	Reason string
}

func (e *FaultError) Error() string {
	switch {
	case e.Reason == "":
		return "onvif: device answers " + e.Code
	case e.Code == "" || strings.EqualFold(e.Code, e.Reason):
		return "onvif: device answers: " + e.Reason
	}
	return fmt.Sprintf("onvif: device answers %s: %s", e.Code, e.Reason)
}

// Is makes a fault for something that the device does not have an ErrMissing.
func (e *FaultError) Is(target error) bool {
	switch e.Code {
	case "ActionNotSupported", "NoProfile", "OptionalActionNotImplemented", "NotImplemented":
		return target == ErrMissing
	}
	return false
}

// refusal says whether the fault is about who asks. Some devices say so in words only.
func (e *FaultError) refusal() bool {
	switch strings.ToLower(e.Code) {
	case "notauthorized", "failedauthentication", "unauthorized", "invalidsecuritytoken", "operationprohibited", "failedcheck":
		return true
	}
	text := strings.ToLower(e.Reason)
	return strings.Contains(text, "not authorized") || strings.Contains(text, "unauthorized") || strings.Contains(text, "authority failure") || strings.Contains(text, "wsse")
}

// bodyOf returns what is in the SOAP body, or the fault in it, or ErrNotONVIF.
func bodyOf(answer []byte) (*node, error) {
	root, err := parseXML(answer)
	if err != nil {
		return nil, err
	}
	body := root.find("Body")
	if root.name.Local != "Envelope" || body == nil {
		return nil, ErrNotONVIF
	}
	if f := body.find("Fault"); f != nil {
		e := &FaultError{Reason: plain(f.get("Reason", "Text"))}
		code := f.find("Code")
		for c := code; c != nil; c = c.find("Subcode") {
			if v := c.get("Value"); v != "" {
				e.Code = plain(local(v))
			}
		}
		if code == nil { // SOAP 1.1
			e.Code, e.Reason = plain(local(f.get("faultcode"))), plain(f.get("faultstring"))
		}
		return nil, e
	}
	return body, nil
}

// local is a name without its prefix.
func local(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		return s[i+1:]
	}
	return s
}

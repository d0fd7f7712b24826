// Package onvif asks IP cameras what they are and listens to what they notice, by ONVIF Core 23.06 and Media ver10 and ver20:
// SOAP 1.2 over HTTP, found by WS-Discovery (2005/04).
//
// Discover looks for devices. A Device is one of them: its information, clock, streams and a picture. Events keeps a
// subscription to a camera's own motion, tamper and input messages and hands them on as hints. A hint is what a cheap camera
// believes: it may wake something that looks, it never is an alarm.
//
// Nothing that a device answers panics or grows memory: bytes, elements and depth are bounded, a DOCTYPE is refused, so that
// there are no entities. A device speaks for its own host only: an address in an answer that names another host is taken for
// the same path on the device's host, and Doubts says so. Redirects are not followed. A password is sent as a digest only
// (WS-UsernameToken with the device's own time, or HTTP Digest), never by Basic, and is in no error and no log. The certificate
// of an https address is not checked: a camera's is its own, and what travels is good enough for http.
//
// A Device may be used from one goroutine at a time, Events.Status from any. Nothing runs but what the caller runs.
package onvif

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"sitewatch/edge"
)

// Bounds of what a device may send.
const (
	maxAnswerBytes   = 1 << 20
	maxSnapshotBytes = 8 << 20
	maxElements      = 20000
	maxDepth         = 32
	maxAttributes    = 32
	maxText          = 256 // of a name, a model, a reason: what people read
	maxProfiles      = 256 // a recorder with 64 channels has 128
)

// DefaultTimeout is how long one answer may take.
const DefaultTimeout = 5 * time.Second

// Errors that callers tell apart.
var (
	ErrRefused  = errors.New("onvif: device refused the user or the password")
	ErrAsks     = errors.New("onvif: device asks for a user and a password")
	ErrBasic    = errors.New("onvif: device offers Basic authentication only")
	ErrNotONVIF = errors.New("onvif: what answers there does not speak ONVIF")
	ErrMissing  = errors.New("onvif: device does not offer this")
)

// Options describe one device.
type Options struct {
	Address      string // http://host[:port]/onvif/device_service; no user and no password in it
	User         string // "" asks without one
	PasswordFile string // its first line is the password
	Clock        edge.Clock
	Timeout      time.Duration // of one answer; zero: DefaultTimeout
}

// maxPasswordBytes bounds a password file, so that a wrong path cannot be read into memory whole.
const maxPasswordBytes = 1024

func readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", edge.WithHint(fmt.Errorf("password file: %w", err), "write the camera's password into that file")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPasswordBytes))
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(line, "\r"), nil
}

// plain is text of a device as it may be shown: one line, printable, not long.
func plain(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7F && r < 0xA0 || r == '\uFFFD' || r >= 0x200B && r <= 0x202E || r >= 0x2060 && r <= 0x206F || r == 0xFEFF {
			return ' '
		}
		return r
	}, s)), " ")
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText])
	}
	return s
}

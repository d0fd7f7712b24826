package rtsp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/bluenviron/gortsplib/v5/pkg/base"

	"sitewatch/edge"
)

// parseAddress checks what the configuration gave. No error contains the address: it may hold a password.
func parseAddress(s string) (*base.URL, error) {
	u, err := base.ParseURL(s)
	switch {
	case err != nil || u.Host == "":
		return nil, edge.WithHint(ErrAddress, "write it as rtsp://host/path")
	case u.Scheme != "rtsp" && u.Scheme != "rtsps":
		return nil, edge.WithHint(fmt.Errorf("%w: scheme %s is not supported", ErrAddress, u.Scheme), "write it as rtsp://host/path or rtsps://host/path")
	case u.User != nil:
		return nil, edge.WithHint(fmt.Errorf("%w: it contains a user or a password", ErrAddress), "take them out and use user and password_file")
	}
	return u, nil
}

// maxPasswordBytes bounds a password file, so that a wrong path cannot be read into memory whole.
const maxPasswordBytes = 1024

// password returns the first line of the file.
func password(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = edge.WithHint(err, "write the camera's password into that file")
		}
		return "", fmt.Errorf("password file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPasswordBytes))
	if err != nil {
		return "", fmt.Errorf("password file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimRight(line, "\r"), nil
}

// withCredentials is the address as the client wants it; it is never shown.
func withCredentials(u *base.URL, user, password string) *base.URL {
	c := *u
	if user != "" {
		c.User = url.UserPassword(user, password)
	}
	return &c
}

var userinfo = regexp.MustCompile(`://[^/@\s]*@`)

// maxErrorText bounds the part of an error that a camera wrote.
const maxErrorText = 200

// safeText is an error's text without credentials, control characters and excess.
func safeText(err error, secret string) string {
	s := userinfo.ReplaceAllString(err.Error(), "://")
	if len(secret) > 2 { // shorter ones would tear every text apart
		s = strings.ReplaceAll(s, secret, "***")
		s = strings.ReplaceAll(s, url.QueryEscape(secret), "***")
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F || r == '\uFFFD' {
			return ' '
		}
		return r
	}, s)
	if r := []rune(s); len(r) > maxErrorText {
		s = string(r[:maxErrorText])
	}
	return strings.TrimSpace(s)
}

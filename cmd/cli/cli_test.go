package cli

import (
	"errors"
	"io"
	"strings"
	"testing"

	"sitewatch/edge/config"
)

// failing is a command whose error quotes what anybody has written.
type failing struct {
	Bad cmdBad `cmd:""`
	Set cmdSet `cmd:""`
}

type (
	cmdBad struct{}
	cmdSet struct{}
)

const hostile = "x\x1b[2K\rPROVED\u202e\u2069\u009b"

func (cmdBad) Run() error { return errors.Join(errors.New(hostile), errors.New("two")) }
func (cmdSet) Run() error { return ConfigError{Problems: []config.Problem{{What: hostile}}} }

func TestErrorsDoNotCommandTheTerminal(t *testing.T) {
	for _, tt := range []struct {
		arg    string
		status int
		want   string
	}{
		{"bad", ExitFailed, "test: x?[2K?PROVED???\ntwo\n"},
		{"set", ExitConfig, "x?[2K?PROVED???\n"},
		{"\x1b[2K", ExitConfig, "?[2K"},
	} {
		var errs strings.Builder
		if status := Run(t.Context(), "test", "", &failing{}, []string{tt.arg}, io.Discard, &errs); status != tt.status || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%q: %d %q, want %d with %q", tt.arg, status, errs.String(), tt.status, tt.want)
		}
		if strings.ContainsAny(errs.String(), "\x1b\r\u202e\u2069\u009b") {
			t.Errorf("%q: it prints %q", tt.arg, errs.String())
		}
	}
}

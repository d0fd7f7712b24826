package panel

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"
)

func TestSamePort(t *testing.T) {
	m, s, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	defer s.Close()
	link := filepath.Join(t.TempDir(), "usb-panel")
	if err := os.Symlink(s.Name(), link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{s.Name(), link, true},
		{link, filepath.Dir(link) + "/../" + filepath.Base(filepath.Dir(link)) + "/usb-panel", true},
		{s.Name(), "/dev/null", false},
		{"/dev/ttyUSB7", "/dev/ttyUSB8", false},
		{"/dev/ttyUSB7", "/dev//ttyUSB7", true},
		{"tcp-listen://0.0.0.0:10002", "tcp-listen://127.0.0.1:10002", true},
		{"tcp-listen://:10002", "tcp-listen://[::]:10002", true},
		{"tcp-listen://127.0.0.2:10002", "tcp-listen://127.0.0.1:10002", false},
		{"tcp-listen://0.0.0.0:10002", "tcp-listen://0.0.0.0:10003", false},
		{"tcp://Panel.LOCAL:4001", "tcp://panel.local.:4001", true},
		{"tcp://10.0.0.1:502", "modbus-tcp://10.0.0.1:502", true},
		{"tcp://[::ffff:10.0.0.1]:502", "modbus-tcp://10.0.0.1:0502", true},
		{"tcp://localhost:502", "tcp://127.0.0.1:502", true},
		{"tcp://10.0.0.1:502", "tcp-listen://0.0.0.0:502", false},
		{"nonsense", "nonsense", false},
	} {
		if got := SamePort(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %v, want %v", tt.a, tt.b, got, tt.want)
		}
		if got := SamePort(tt.b, tt.a); got != tt.want {
			t.Errorf("%s and %s: %v, want %v", tt.b, tt.a, got, tt.want)
		}
	}
}

package edgetest

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main runs a package's tests and fails them when a goroutine is left.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := Leaked(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Leaked names the goroutines that are left, but for those that o tells it to ignore. One that ends needs a moment of a machine that
// may be busy with others: goleak gives it 0.4 s, Leaked a minute.
func Leaked(o ...goleak.Option) (err error) {
	for range 150 {
		if err = goleak.Find(o...); err == nil {
			return nil
		}
	}
	return err
}

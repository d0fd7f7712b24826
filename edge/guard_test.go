package edge

import (
	"errors"
	"strings"
	"testing"
)

func TestGuardMakesAnErrorOfAPanic(t *testing.T) {
	var units []int
	err := Guard(func() error { units[3]++; return nil })()
	var p *PanicError
	if !errors.As(err, &p) || !strings.Contains(err.Error(), "index out of range") || !strings.Contains(string(p.Stack), "guard_test.go") {
		t.Errorf("got %v, want the panic and its stack", err)
	}
	want := errors.New("as it is")
	if err := Guard(func() error { return want })(); err != want {
		t.Errorf("got %v, want the error of the function", err)
	}
}

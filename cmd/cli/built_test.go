package cli

import (
	"testing"
	"time"
)

func TestBuilt(t *testing.T) {
	defer func(was string) { BuiltAt = was }(BuiltAt)
	BuiltAt = "1795000000"
	if got := Built(); !got.Equal(time.Unix(1795000000, 0)) {
		t.Errorf("got %v", got)
	}
	for _, s := range []string{"", "yesterday"} {
		BuiltAt = s
		if got := Built(); !got.IsZero() && got.Year() < 2026 {
			t.Errorf("%q: got %v", s, got)
		}
	}
}

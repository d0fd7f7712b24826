package edge

import "testing"

func TestCIDOf(t *testing.T) {
	for _, c := range []struct {
		kind        Kind
		code, route string
		want        string
	}{
		{KindFire, "FA", "", "1110"},
		{KindFire.Restored(), "FH", "", "3110"},
		{KindFire, "", "interior", "1110"},
		{KindHoldUp, "HA", "", "1122"},
		{KindDuress, "HA", "", "1121"},
		{KindDuress, "", "", "1121"},
		{KindPanic, "", "", "1120"},
		{KindIntruder, "BA", "", "1130"},
		{KindIntruder, "BA", "external", "1130"},
		{KindIntruder, "BA", "perimeter", "1131"},
		{KindIntruder, "", "interior", "1132"},
		{KindIntruder.Restored(), "BR", "entry", "3134"},
		{KindIntruderConfirmed, "", "interior", "1139"},
		{KindTamper, "ES", "interior", "1145"},
		{KindSet, "CL", "", "3401"},
		{KindSet, "CA", "", "3403"},
		{KindUnset, "", "", "1401"},
		{KindIntruder, "BX", "", "1130"}, // a site that takes BX for an alarm
		{KindUnknown, "ZZ", "", ""},
		{KindUnknown, "", "", ""},
		{KindCameraLost, "", "", ""},
	} {
		if got := CIDOf(c.kind, c.code, c.route); got != c.want {
			t.Errorf("CIDOf(%s, %q, %q) = %q, want %q", c.kind, c.code, c.route, got, c.want)
		}
	}
}

// TestOnlyIntruderAndTamperMayBeHeld is P4 where it is decided.
func TestOnlyIntruderAndTamperMayBeHeld(t *testing.T) {
	for k := range knownKinds() {
		want := k == KindIntruder || k == KindTamper
		if k.MayBeHeld() != want || k.Restored().MayBeHeld() != want {
			t.Errorf("%s may be held: %v, want %v", k, k.MayBeHeld(), want)
		}
	}
}

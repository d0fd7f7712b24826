package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKindsOfSIACodes(t *testing.T) {
	for _, c := range []struct {
		code string
		user bool
		want Kind
		lane Lane
	}{
		{"FA", false, "fire", Urgent},
		{"FR", false, "fire-restored", Urgent},
		{"HA", false, "hold-up", Urgent},
		{"HA", true, "duress", Urgent},
		{"BA", true, "intruder", Urgent},
		{"BV", false, "intruder-confirmed", Urgent},
		{"CL", true, "set", Routine},
		{"ZZ", false, "unknown", Routine},
		{"", false, "unknown", Routine},
	} {
		got := KindOfSIA(c.code, c.user)
		if got != c.want || got.Lane() != c.lane {
			t.Errorf("KindOfSIA(%q, %v) = %s in lane %s, want %s in %s", c.code, c.user, got, got.Lane(), c.want, c.lane)
		}
	}
}

// TestLanesOfTheTable holds the rule of Kind.Lane against every row of kinds.csv.
func TestLanesOfTheTable(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(kindsCSV), "\n")[1:]
	if len(rows) < 80 {
		t.Fatalf("%d rows, want the whole table", len(rows))
	}
	for _, row := range rows {
		f := strings.Split(row, ",")
		if got := Kind(f[2]).Lane().String(); got != f[3] {
			t.Errorf("%s of code %s is in lane %s, the table says %s", f[2], f[0], got, f[3])
		}
	}
}

func TestTableIsTheSharedOne(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("..", "..", "shared", "kinds.csv"))
	if err != nil {
		t.Skip("the shared table is not here: ", err)
	}
	if string(want) != kindsCSV {
		t.Error("kinds.csv differs from the shared table: copy it")
	}
}

func TestKnownKinds(t *testing.T) {
	for k, want := range map[Kind]bool{
		"fire": true, "fire-restored": true, "hold-up-confirmed": true, "site-lost": true, "site-lost-restored": true, "outage": true,
		"journal-replaced": true, "clip-ready": true, "camera-defocused-restored": true, "unknown": true, KindAmended: true,
		"": false, "Fire": false, "fire ": false, "nope": false, "-restored": false, "restored": false, "fire-restored-restored": false,
		"fire,gas": false, "hold": false, "fire hold-up": false,
	} {
		if got := KnownKind(k); got != want {
			t.Errorf("KnownKind(%q) = %v, want %v", k, got, want)
		}
	}
	for _, row := range strings.Split(strings.TrimSpace(kindsCSV), "\n")[1:] {
		if k := Kind(strings.Split(row, ",")[2]); !KnownKind(k) {
			t.Errorf("%s of kinds.csv is not known", k)
		}
	}
	for k := range urgentKinds {
		if !KnownKind(k) || !KnownKind(k.Restored()) {
			t.Errorf("%s or its restore is not known", k)
		}
	}
}

// TestKnownKindsAreTheSharedOnes holds the list of kinds against the one that the receivers of events are written to.
func TestKnownKindsAreTheSharedOnes(t *testing.T) {
	design, err := os.ReadFile(filepath.Join("..", "..", "shared", "design.md"))
	if err != nil {
		t.Skip("the shared list is not here: ", err)
	}
	_, list, _ := strings.Cut(string(design), "\n- urgent, and their restores: ")
	list, _, ok := strings.Cut(list, "\n\n")
	if !ok {
		t.Fatal("the shared list is not where it was")
	}
	shared := map[Kind]bool{}
	for i, words := range strings.Split(list, "`") {
		if i%2 == 0 {
			continue // between two lists
		}
		for _, w := range strings.Fields(words) {
			shared[Kind(w)] = true
			if !KnownKind(Kind(w)) {
				t.Errorf("%s is not known", w)
			}
		}
	}
	if got := len(knownKinds()); got != len(shared) || got < 60 {
		t.Errorf("%d kinds are known, the shared list has %d", got, len(shared))
	}
}

func TestEventSurvivesItsStoredForm(t *testing.T) {
	e := Event{V: 1, Site: "0417", Journal: "j", Seq: 7, Lane: Urgent, Kind: KindFire, Zone: "1031", Raw: HexBytes{0x4E, 0xFF},
		Occurred: time.Date(2026, 11, 23, 11, 46, 0, 0, time.UTC), Clock: ClockSynced,
		Clips: []ClipRef{{ID: "c", Camera: "door", From: time.Unix(1, 0).UTC(), To: time.Unix(2, 0).UTC()}}}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeEvent(b)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Encode()
	if err != nil || string(again) != string(b) {
		t.Errorf("encoded again: %s, %v; want %s", again, err, b)
	}
	for _, bad := range []string{``, `{}`, `{"v":2}`, `{"v":1,"site":"a","journal":"b","seq":0,"kind":"fire"}`, `[]`, `{"v":1,"lane":"fast"}`,
		`{"v":1,"x":"` + strings.Repeat("x", MaxEventBytes) + `"}`} {
		if e, err := DecodeEvent([]byte(bad)); err == nil {
			t.Errorf("DecodeEvent(%.40q) = %+v, want an error", bad, e)
		}
	}
}

func TestClockGrades(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Stamp
		want ClockState
	}{
		{"a dead battery", Stamp{Wall: time.Unix(0, 0), Synced: true}, ClockUnset},
		{"NTP keeps it", Stamp{Wall: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC), Synced: true}, ClockSynced},
		{"nothing keeps it", Stamp{Wall: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}, ClockDrifting},
	} {
		if got := c.s.ClockState(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	a, b := Stamp{Mono: time.Second, Boot: "x"}, Stamp{Mono: 3 * time.Second, Boot: "x"}
	if d, ok := b.Since(a); !ok || d != 2*time.Second {
		t.Errorf("Since = %v, %v, want 2 s", d, ok)
	}
	if _, ok := b.Since(Stamp{Boot: "y"}); ok {
		t.Error("stamps of two boots were compared")
	}
}

func TestSystemClockGoesForward(t *testing.T) {
	c := NewSystemClock()
	a := c.Now()
	b := c.Now()
	if d, ok := b.Since(a); !ok || d < 0 || a.Boot == "" || a.Wall.Location() != time.UTC {
		t.Errorf("stamps %+v and %+v", a, b)
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string]bool{"0417": true, "a-b": true, "": false, "-a": false, "a b": false, "../x": false, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false, "é": false} {
		if ValidID(id) != want {
			t.Errorf("ValidID(%q) = %v, want %v", id, !want, want)
		}
	}
	if a, b := NewID(), NewID(); a == b || len(a) != 32 || !ValidID(a) {
		t.Errorf("ids %q and %q", a, b)
	}
}

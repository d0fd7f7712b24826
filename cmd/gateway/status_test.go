package main

import (
	"strings"
	"testing"

	"sitewatch/edge/local"
)

func TestStatusSaysHowCamerasAreLookedAt(t *testing.T) {
	for want, eye := range map[string]local.Eye{
		"watching   3 intervals of movement, 0 pictures left out \n":     {Grade: "watching"},
		"alert      3 intervals of movement, 7 pictures left out behind": {Grade: "alert", LeftOut: 7, Behind: true, Moving: true},
		"not looked at for 10 s: a picture of it has ended an eye":       {Grade: "alert", Quarantine: 10},
	} {
		var b strings.Builder
		printStatus(&b, local.Status{Cameras: []local.Camera{{ID: "door", Motions: 3, Eye: eye}}})
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%s, want %q in it", &b, want)
		}
	}
}

func TestStatusSaysThatRecordingsAreAboutToGo(t *testing.T) {
	for _, leaving := range []bool{true, false} {
		var b strings.Builder
		printStatus(&b, local.Status{Segments: local.Segments{Bytes: 5 << 20, Leaving: leaving, HoursLeft: 167}})
		if got := strings.Contains(b.String(), "no camera is recorded any more: all of it is deleted after another 167 hours"); got != leaving {
			t.Errorf("leaving %v: it says\n%s", leaving, &b)
		}
	}
}

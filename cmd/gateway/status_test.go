package main

import (
	"strings"
	"testing"

	"sitewatch/edge/local"
)

func TestStatusSaysThatRecordingsAreAboutToGo(t *testing.T) {
	for _, leaving := range []bool{true, false} {
		var b strings.Builder
		printStatus(&b, local.Status{Segments: local.Segments{Bytes: 5 << 20, Leaving: leaving, HoursLeft: 167}})
		if got := strings.Contains(b.String(), "no camera is recorded any more: all of it is deleted after another 167 hours"); got != leaving {
			t.Errorf("leaving %v: it says\n%s", leaving, &b)
		}
	}
}

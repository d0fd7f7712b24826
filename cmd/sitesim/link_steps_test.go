package main

import (
	"testing"
	"time"

	"sitewatch/cmd/sitesim/link"
)

func TestParseSteps(t *testing.T) {
	steps, err := parseSteps([]string{"1m rate 256kbit", "30s down", "40s up"})
	if err != nil || len(steps) != 3 || steps[0] != (linkStep{30 * time.Second, "down"}) || steps[2].change != "rate 256kbit" {
		t.Errorf("steps are %v, %v, want them in the order of their times", steps, err)
	}
	for _, bad := range []string{"", "down", "30 down", "-1s down", "1s sideways", "1s rate", "1s rate fast", "1s loss 101%", "1s delay -3ms", "1s there", "1s up up"} {
		if _, err := parseSteps([]string{bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestParseChange(t *testing.T) {
	was := link.Traits{Rate: 2e6, Delay: 25 * time.Millisecond, Queue: 1000, Loss: 0.1}
	for line, want := range map[string]link.Traits{
		"rate 256kbit":     {Rate: 256e3, Delay: was.Delay, Queue: 1000, Loss: 0.1},
		"rate 0":           {Delay: was.Delay, Queue: 1000, Loss: 0.1},
		"delay 60ms":       {Rate: 2e6, Delay: 60 * time.Millisecond, Queue: 1000, Loss: 0.1},
		"queue 64KiB":      {Rate: 2e6, Delay: was.Delay, Queue: 64 << 10, Loss: 0.1},
		"loss 0.5%":        {Rate: 2e6, Delay: was.Delay, Queue: 1000, Loss: 0.005},
		"  down ":          {Rate: 2e6, Delay: was.Delay, Queue: 1000, Loss: 0.1, Down: true},
		"back rate 800bit": {Rate: 800, Delay: was.Delay, Queue: 1000, Loss: 0.1},
	} {
		sides, change, err := parseChange(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		got := was
		change(&got)
		if got != want {
			t.Errorf("%q makes %+v, want %+v", line, got, want)
		}
		if n := len(sides); line == "back rate 800bit" && (n != 1 || sides[0] != link.B) || line != "back rate 800bit" && n != 2 {
			t.Errorf("%q is for %v", line, sides)
		}
	}
	if sides, _, err := parseChange("there down"); err != nil || len(sides) != 1 || sides[0] != link.A {
		t.Errorf("there is %v, %v", sides, err)
	}
}

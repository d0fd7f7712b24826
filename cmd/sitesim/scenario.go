package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"sitewatch/edge"
)

// step is one thing that happens in the shop: the panel says an event with its text, and somebody may walk into a
// camera's view.
type step struct {
	after time.Duration // since the step before was acked
	code  string        // SIA code
	zone  string
	user  string
	text  string        // the panel's own words
	enter edge.CameraID // into whose view somebody walks
	what  string        // for whoever watches
}

// opening is what the panel has to say first. Its pauses let the gateway's pre-alarm ring fill, as in a shop where it
// has been running for years.
var opening = []step{
	{after: 0, code: "RP", text: "AUTO TEST", what: "the panel tests its line"},
	{after: 2 * time.Second, code: "OP", user: "012", text: "UNSET        KEYPAD 10", what: "a clerk unsets the shop"},
	{after: 2 * time.Second, code: "AT", text: "+AC FAIL", what: "the mains fails for a moment"},
	{after: 2 * time.Second, code: "AR", text: "-AC FAIL", what: "the mains is back"},
	{after: 2 * time.Second, code: "CL", user: "012", text: "FULL SET     KEYPAD 10", what: "a clerk sets the shop and goes home"},
}

// night is a break-in, and then a day with everything that can go wrong in it. Each alarm comes with its restore.
var night = []step{
	{after: 5 * time.Second, code: "BA", zone: "1011", text: "+INTRUDER     STOCK ROOM", enter: "stockroom", what: "somebody is in the stock room"},
	{after: 4 * time.Second, code: "BA", zone: "1013", text: "+INTRUDER     OFFICE", enter: "door", what: "and in the office"},
	{after: 500 * time.Millisecond, code: "BV", zone: "1013", text: "+CONFIRMED    OFFICE", what: "two zones: the panel confirms the alarm"},
	{after: 2 * time.Second, code: "BR", zone: "1011", text: "-INTRUDER     STOCK ROOM", what: "the stock room is quiet"},
	{after: 500 * time.Millisecond, code: "BR", zone: "1013", text: "-INTRUDER     OFFICE", what: "the office is quiet"},
	{after: 2 * time.Second, code: "OP", user: "021", text: "UNSET        KEYPAD 10", what: "the keyholder unsets"},
	{after: 500 * time.Millisecond, code: "BC", user: "021", text: "CANCEL       KEYPAD 10", what: "and cancels"},
	{after: 3 * time.Second, code: "HA", zone: "1021", text: "+HOLD-UP      TILL 1", enter: "till", what: "the hold-up button of till 1"},
	{after: 3 * time.Second, code: "HR", zone: "1021", text: "-HOLD-UP      TILL 1", what: "the button is put back"},
	{after: 2 * time.Second, code: "FA", zone: "1031", text: "+FIRE         STORE ROOM", enter: "stockroom", what: "smoke in the store room"},
	{after: 3 * time.Second, code: "FR", zone: "1031", text: "-FIRE         STORE ROOM", what: "the smoke is gone"},
	{after: 2 * time.Second, code: "TA", zone: "1041", text: "+TAMPER       CONTROL PANEL", enter: "door", what: "the lid of the control panel is opened"},
	{after: 2 * time.Second, code: "TR", zone: "1041", text: "-TAMPER       CONTROL PANEL", what: "and closed"},
	{after: 1 * time.Second, code: "OR", user: "003", text: "SYS RESET    KEYPAD 10", what: "an engineer resets the system"},
}

// evening sets the shop again, so that the next night can begin.
var evening = []step{
	{after: 5 * time.Second, code: "CL", user: "012", text: "FULL SET     KEYPAD 10", what: "a clerk sets the shop and goes home"},
}

// player plays steps on a panel and on cameras.
type player struct {
	// say brings one step's event to the panel's line and returns when the gateway has acked it, however long that takes.
	say func(ctx context.Context, s step) error
	// enter makes somebody walk into a camera's view.
	enter func(edge.CameraID)
	out   io.Writer
}

// play plays the steps in order.
func (p *player) play(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := wait(ctx, s.after); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "%s %-5s %s\n", s.code, s.zone, s.what)
		if s.enter != "" {
			p.enter(s.enter)
		}
		if err := p.say(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// vary returns the steps with other pauses: no two nights are alike.
func vary(steps []step) []step {
	out := make([]step, len(steps))
	for i, s := range steps {
		s.after = time.Duration(float64(s.after) * (0.6 + 1.4*rand.Float64()))
		out[i] = s
	}
	return out
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

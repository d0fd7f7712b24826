package main

import (
	"context"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/local"
	"sitewatch/video/onvif"
)

// ownEvents are what a camera notices itself: movement wakes the eye, tamper becomes an event, inputs are logged. Only what the eye
// sees is movement; what a camera says is a reason to look.
type ownEvents struct {
	c      *camera
	events *onvif.Events

	inputs    uint64 // since the last that was logged
	inputSaid edge.Stamp
}

// tamperKinds are the events that become of what a camera says about itself. Which of them a plain "tamper" is, the camera does
// not say: most watch for a covered lens.
var tamperKinds = map[onvif.Kind]edge.Kind{onvif.Covered: edge.KindCameraCovered, onvif.Moved: edge.KindCameraMoved, onvif.Blurred: edge.KindCameraDefocused}

func newOwnEvents(c *camera) (*ownEvents, error) {
	o := &ownEvents{c: c}
	var err error
	o.events, err = onvif.NewEvents(onvif.EventsOptions{Camera: c.ID, Sink: o, Log: c.box.log,
		Device: onvif.Options{Address: c.ONVIF, User: c.User, PasswordFile: c.PasswordFile, Clock: c.box.clock}})
	return o, err
}

// Hint takes what the camera says. It waits for nothing.
func (o *ownEvents) Hint(_ context.Context, h onvif.Hint) {
	switch {
	case h.Kind == onvif.Motion:
		if h.Active {
			o.c.box.eye.Hint(o.c.ID, h.At)
		}
	case h.Kind == onvif.Input:
		o.input(h)
	case tamperKinds[h.Kind] != "":
		o.c.scene.take(tamperKinds[h.Kind], h.Topic+" "+h.Source, h.Active && !h.Moment, h.Active && h.Moment, h.At)
	}
}

// inputEvery bounds how much of the log an input takes that flutters.
const inputEvery = 10 * time.Second

// input logs a digital input of the camera. Inputs that matter belong to a contact module, whose line is watched.
func (o *ownEvents) input(h onvif.Hint) {
	o.inputs++
	if d, ok := h.At.Since(o.inputSaid); h.Initial || ok && d < inputEvery {
		return
	}
	o.c.box.log.Info("an input of a camera", "camera", o.c.ID, "input", h.Source, "active", h.Active, "changes", o.inputs)
	o.inputs, o.inputSaid = 0, h.At
}

func (o *ownEvents) status() *local.ONVIF {
	s := o.events.Status()
	st := &local.ONVIF{Hints: s.Hints, LastHint: s.Last.Wall, LastKind: string(s.LastKind), ClockAhead: s.Offset.Milliseconds(), Doubts: s.Doubts}
	st.State, st.Reason = lineState(s.Connected, s.Trouble)
	return st
}

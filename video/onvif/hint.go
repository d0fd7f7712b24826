package onvif

import (
	"strings"
	"time"

	"sitewatch/edge"
)

// Kind is what a hint is about.
type Kind string

const (
	Motion  Kind = "motion"
	Covered Kind = "covered" // tamper: the lens is covered, blinded or sprayed, or the camera says tamper and no more
	Moved   Kind = "moved"   // tamper: another scene than before
	Blurred Kind = "blurred" // tamper: out of focus
	Input   Kind = "input"   // a digital input of the camera
)

// Tamper says whether k is about the camera itself.
func (k Kind) Tamper() bool { return k == Covered || k == Moved || k == Blurred }

// Hint is something that a camera noticed. It may be wrong, late or missing.
type Hint struct {
	Kind    Kind
	Active  bool
	Initial bool       // not news: how it is when the subscription begins
	Moment  bool       // it says that something happened and not for how long; no end will come
	Source  string     // which of the device's sources, rules or inputs, in its own words
	Topic   string     // in its own words, without prefixes
	At      edge.Stamp // when it came
	Told    time.Time  // when the camera says that it was, by our clock; zero: it does not say
}

// maxHints bounds what one answer may bring.
const maxHints = 256

// hintsOf reads the messages of an answer to PullMessages.
func hintsOf(body *node, at edge.Stamp, offset time.Duration) (out []Hint) {
	for _, n := range body.find("PullMessagesResponse").all("NotificationMessage") {
		if h, ok := hintOf(n); ok && len(out) < maxHints {
			h.At = at
			if t, err := time.Parse(time.RFC3339, n.find("Message", "Message").attr("UtcTime")); err == nil {
				h.Told = t.Add(-offset).UTC()
			}
			out = append(out, h)
		}
	}
	return out
}

// hintOf reads one message. Topics differ from make to make; what is known of them is in kindOf.
func hintOf(n *node) (h Hint, ok bool) {
	h.Topic = topicOf(n.get("Topic"))
	m := n.find("Message", "Message")
	if h.Kind = kindOf(h.Topic); h.Kind == "" || m == nil {
		return h, false
	}
	h.Initial = m.attr("PropertyOperation") == "Initialized"
	var parts []string
	for i, s := range m.find("Source").all("SimpleItem") {
		if v := plain(s.attr("Value")); v != "" && i < 4 {
			parts = append(parts, v)
		}
	}
	h.Source = plain(strings.Join(parts, "/"))
	if m.attr("PropertyOperation") == "Deleted" {
		return h, true // the rule is gone, and what it said with it
	}
	state := false
	for _, s := range m.find("Data").all("SimpleItem") {
		switch strings.ToLower(s.attr("Name")) {
		case "ismotion", "state", "istamper", "logicalstate", "active", "tampering", "isinside", "motion", "alarm", "value", "triggered", "ispeople", "islineactive":
			switch strings.ToLower(s.attr("Value")) {
			case "true", "1", "on", "active", "high":
				h.Active = true
			}
			state = true
		}
	}
	if !state {
		h.Active, h.Moment = true, true // somebody crossed a line
	}
	return h, true
}

// topicOf takes the prefixes out of a topic: tns1:Device/tnsaxis:IO/Port is Device/IO/Port. It is bounded.
func topicOf(s string) string {
	if len(s) > maxText {
		return ""
	}
	parts := strings.Split(s, "/")
	for i, p := range parts {
		parts[i] = local(strings.TrimSpace(p))
	}
	return plain(strings.Join(parts, "/"))
}

// kindOf knows the topics of ONVIF's Imaging, Analytics and Device I/O specifications and of Axis, Dahua, Hikvision and Reolink.
func kindOf(topic string) Kind {
	has := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if topic == p || strings.HasPrefix(topic, p+"/") {
				return true
			}
		}
		return false
	}
	switch {
	case has("VideoSource/ImageTooDark", "VideoSource/ImageTooBright", "VideoSource/Tampering", "RuleEngine/TamperDetector", "VideoAnalytics/Tampering"):
		return Covered
	case has("VideoSource/GlobalSceneChange"):
		return Moved
	case has("VideoSource/ImageTooBlurry"):
		return Blurred
	case has("Device/Trigger/DigitalInput", "Device/Trigger/Relay/Input", "Device/IO/Port", "Device/IO/VirtualPort", "Device/IO/VirtualInput"):
		return Input
	case has("VideoSource/MotionAlarm", "RuleEngine/CellMotionDetector", "RuleEngine/MotionRegionDetector", "RuleEngine/FieldDetector", "RuleEngine/LineDetector",
		"RuleEngine/MyRuleDetector", "RuleEngine/MotionDetector", "RuleEngine/LoiteringDetector", "VideoAnalytics/MotionDetection", "VideoAnalytics/Motion",
		"CameraApplicationPlatform/VMD", "CameraApplicationPlatform/ObjectAnalytics"):
		return Motion
	}
	return ""
}

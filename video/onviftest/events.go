package onviftest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Event is a message to subscribers. Emitted again with other data it is the same property changed.
type Event struct {
	Topic              string // with prefixes: tns1:RuleEngine/CellMotionDetector/Motion
	Source, SourceName string // name and value of what it is about: VideoSourceConfigurationToken, VideoSource_1
	Data, Value        string // IsMotion, true; "": a message without a state
	At                 time.Time
}

// Motion is what a camera says when something moves, in the words of the make.
func (d *Device) Motion(active bool) {
	e := Event{Topic: "tns1:RuleEngine/CellMotionDetector/Motion", Source: "VideoSourceConfigurationToken", SourceName: "VideoSource_1", Data: "IsMotion", Value: strconv.FormatBool(active)}
	if d.opt.Make == Axis {
		e = Event{Topic: "tns1:CameraApplicationPlatform/tnsaxis:VMD/Camera1Profile1", Source: "profile", SourceName: "1", Data: "active", Value: map[bool]string{true: "1", false: "0"}[active]}
		e.Topic = strings.Replace(e.Topic, "tns1:", "tnsaxis:", 1)
	}
	d.Emit(e)
}

const (
	maxQueue       = 256 // messages that wait for one subscriber; the oldest go
	maxSubscribers = 8
)

// subscriber is one PullPoint.
type subscriber struct {
	queue []string
	wake  chan struct{} // closed and made anew when queue grows
	ends  time.Time
	over  chan struct{}
}

func (s *subscriber) put(m string) {
	if s.queue = append(s.queue, m); len(s.queue) > maxQueue {
		s.queue = slices.Delete(s.queue, 0, 1)
	}
	close(s.wake)
	s.wake = make(chan struct{})
}

func (s *subscriber) end() { close(s.over) }

// Emit tells all subscribers.
func (d *Device) Emit(e Event) {
	e.At = d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state[e.Topic+" "+e.SourceName] = e
	for _, s := range d.subs {
		s.put(e.message("Changed"))
	}
}

func (e Event) message(operation string) string {
	data := ""
	if e.Data != "" {
		data = fmt.Sprintf(`<tt:SimpleItem Name="%s" Value="%s"/>`, text(e.Data), text(e.Value))
	}
	return fmt.Sprintf(`<wsnt:NotificationMessage><wsnt:Topic Dialect="http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet">%s</wsnt:Topic>`+
		`<wsnt:Message><tt:Message UtcTime="%s" PropertyOperation="%s"><tt:Source><tt:SimpleItem Name="%s" Value="%s"/></tt:Source><tt:Data>%s</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>`,
		text(e.Topic), e.At.UTC().Format(time.RFC3339), operation, text(e.Source), text(e.SourceName), data)
}

// expire ends the subscriptions whose lease is over. d.mu is held.
func (d *Device) expire() {
	now := d.opt.Clock.Now().Wall
	for id, s := range d.subs {
		if now.After(s.ends) {
			s.end()
			delete(d.subs, id)
		}
	}
}

func (d *Device) lease() time.Duration {
	if d.has(ShortLease) {
		return d.opt.Lease
	}
	return 2 * time.Minute
}

func (d *Device) subscribe(w http.ResponseWriter, _ *http.Request) {
	lease := d.lease()
	d.mu.Lock()
	d.expire()
	if len(d.subs) >= maxSubscribers {
		d.mu.Unlock()
		d.fault(w, http.StatusInternalServerError, "env:Receiver", "ter:MaxSubscribers", "Maximum number of subscribers reached")
		return
	}
	d.lastSub++
	id := strconv.Itoa(d.lastSub)
	s := &subscriber{wake: make(chan struct{}), over: make(chan struct{}), ends: d.opt.Clock.Now().Wall.Add(lease)}
	for _, e := range d.state {
		s.queue = append(s.queue, e.message("Initialized"))
	}
	d.subs[id] = s
	d.mu.Unlock()
	ref := "<wsa:Address>" + d.address("event") + "</wsa:Address><wsa:ReferenceParameters><dom0:SubscriptionId xmlns:dom0=\"http://www.axis.com/2009/event\">" + id + "</dom0:SubscriptionId></wsa:ReferenceParameters>"
	if d.opt.Make != Axis {
		ref = "<wsa:Address>" + strings.ReplaceAll(d.address("event"), d.path("event"), d.path("event")+"/Subscription/"+id) + "</wsa:Address>"
	}
	d.answer(w, "<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>"+ref+"</tev:SubscriptionReference>"+d.terms(lease)+"</tev:CreatePullPointSubscriptionResponse>")
}

func (d *Device) terms(lease time.Duration) string {
	now := d.now().UTC()
	return fmt.Sprintf("<wsnt:CurrentTime>%s</wsnt:CurrentTime><wsnt:TerminationTime>%s</wsnt:TerminationTime>", now.Format(time.RFC3339), now.Add(lease).Format(time.RFC3339))
}

// subscription does what a subscriber asks.
func (d *Device) subscription(w http.ResponseWriter, r *http.Request, m *message) {
	id := m.Header.SubscriptionId
	if id == "" {
		id = r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	}
	d.mu.Lock()
	d.expire()
	s := d.subs[id]
	d.mu.Unlock()
	if s == nil {
		d.fault(w, http.StatusBadRequest, "env:Receiver", "wsrf-rw:ResourceUnknownFault", "Resource unknown")
		return
	}
	switch m.Body.Call.XMLName.Local {
	case "Renew":
		if d.has(NoRenew) || d.has(ShortLease) {
			d.unknown(w)
			return
		}
		d.mu.Lock()
		s.ends = d.opt.Clock.Now().Wall.Add(2 * time.Minute)
		d.mu.Unlock()
		d.answer(w, "<wsnt:RenewResponse>"+d.terms(2*time.Minute)+"</wsnt:RenewResponse>")
	case "Unsubscribe":
		d.mu.Lock()
		if d.subs[id] == s {
			s.end()
			delete(d.subs, id)
		}
		d.mu.Unlock()
		d.answer(w, "<wsnt:UnsubscribeResponse/>")
	default:
		d.pull(w, r, s, m)
	}
}

func (d *Device) pull(w http.ResponseWriter, r *http.Request, s *subscriber, m *message) {
	wait, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(m.Body.Call.Timeout, "PT")))
	if err != nil || d.has(HastyPulls) {
		wait = 0
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	for {
		d.mu.Lock()
		n := min(len(s.queue), max(m.Body.Call.Limit, 1))
		out, wake, left := strings.Join(s.queue[:n], ""), s.wake, s.ends.Sub(d.opt.Clock.Now().Wall)
		s.queue = slices.Delete(s.queue, 0, n)
		d.mu.Unlock()
		if n == 0 && wait > 0 {
			select {
			case <-wake:
				continue
			case <-t.C:
				wait = 0
				continue
			case <-s.over:
				d.fault(w, http.StatusBadRequest, "env:Receiver", "wsrf-rw:ResourceUnknownFault", "Resource unknown")
				return
			case <-r.Context().Done():
				return
			}
		}
		d.answer(w, "<tev:PullMessagesResponse>"+strings.ReplaceAll(d.terms(left), "wsnt:", "tev:")+out+"</tev:PullMessagesResponse>")
		return
	}
}

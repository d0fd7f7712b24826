package onvif

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// actions of WS-Addressing.
const (
	actCreate      = "http://www.onvif.org/ver10/events/wsdl/EventPortType/CreatePullPointSubscriptionRequest"
	actPull        = "http://www.onvif.org/ver10/events/wsdl/PullPointSubscription/PullMessagesRequest"
	actRenew       = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/RenewRequest"
	actUnsubscribe = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager/UnsubscribeRequest"
)

const (
	lease        = 2 * time.Minute  // of a subscription; one that is forgotten ends by itself
	pullTimeout  = 20 * time.Second // a camera holds the answer back for so long when nothing happens
	firstTimeout = time.Second      // likewise the first: then it is known that it answers
	pullMessages = 64
	maxRefs      = 4 << 10
)

// subscription is a PullPoint of a device.
type subscription struct {
	d       *Device
	address string // on the device's own host
	to      string // as the device wrote it
	refs    string
	ends    time.Duration // by our Mono
	term    time.Duration // how long it was when it was granted last
	fixed   bool          // the camera knows no Renew
}

// subscribe makes a PullPoint. A camera that does not like the lease gives its own.
func (d *Device) subscribe(ctx context.Context) (*subscription, error) {
	address, err := d.service(ctx, nsEvents)
	if err != nil {
		return nil, err
	}
	var body *node
	for _, ask := range []string{fmt.Sprintf("<InitialTerminationTime>PT%dS</InitialTerminationTime>", int(lease.Seconds())), ""} {
		body, err = d.c.call(ctx, address, request{body: `<CreatePullPointSubscription xmlns="` + nsEvents + `">` + ask + `</CreatePullPointSubscription>`, action: actCreate, to: address})
		if err == nil || !errors.As(err, new(*FaultError)) || errors.Is(err, ErrMissing) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	r := body.find("CreatePullPointSubscriptionResponse")
	if r == nil {
		return nil, ErrNotONVIF
	}
	s := &subscription{d: d, address: address, to: address}
	ref := r.find("SubscriptionReference")
	if text := ref.get("Address"); text != "" && len(text) <= maxAddress {
		u, host := d.hosts().service(text)
		if u == nil {
			return nil, errors.New("onvif: the subscription has no usable address")
		}
		d.doubt("the address of the subscription", host)
		s.address, s.to = u.String(), text
	}
	s.refs = refs(ref.find("ReferenceParameters"))
	s.lasts(lease)
	s.granted(r)
	return s, nil
}

// granted books for how long the camera keeps the subscription: the difference of two times of its own clock. Every answer to
// a pull says it again, and many cameras put it off with each.
func (s *subscription) granted(r *node) {
	from, err1 := time.Parse(time.RFC3339, r.get("CurrentTime"))
	to, err2 := time.Parse(time.RFC3339, r.get("TerminationTime"))
	if d := to.Sub(from); err1 == nil && err2 == nil && d > 0 {
		s.lasts(min(max(d, leastLease), lease))
	}
}

func (s *subscription) lasts(d time.Duration) { s.term, s.ends = d, s.d.c.clock.Now().Mono+d }

// leastLease is taken for shorter ones, so that a camera that counts wrongly is not asked all the time.
const leastLease = 10 * time.Second

func (s *subscription) left() time.Duration { return s.ends - s.d.c.clock.Now().Mono }

// refs are the reference parameters as XML again, to be sent with each message (WS-Addressing 1.0, SOAP Binding 3.3).
func refs(n *node) string {
	var b strings.Builder
	if n != nil {
		for _, k := range n.kids {
			if simple(k.name.Local) && len(b.String()) < maxRefs {
				fmt.Fprintf(&b, `<r:%s xmlns:r="%s" a:IsReferenceParameter="true">%s</r:%s>`, k.name.Local, escape(k.name.Space), escape(k.text), k.name.Local)
			}
		}
	}
	if b.Len() > maxRefs {
		return ""
	}
	return b.String()
}

// simple says whether s is a name of plain letters: the parser takes more than XML allows.
func simple(s string) bool {
	for _, r := range s {
		if r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return s != "" && (s[0] < '0' || s[0] > '9') && s[0] != '-'
}

func (s *subscription) call(ctx context.Context, action, body string) (*node, error) {
	return s.d.c.call(ctx, s.address, request{body: body, action: action, to: cmp.Or(s.to, s.address), refs: s.refs})
}

// pull waits for messages and returns them; none when there are none for so long.
func (s *subscription) pull(ctx context.Context, wait time.Duration) ([]Hint, error) {
	c := s.d.c
	usual := c.timeout
	c.timeout = wait + usual
	defer func() { c.timeout = usual }()
	body, err := s.call(ctx, actPull, fmt.Sprintf(`<PullMessages xmlns="%s"><Timeout>PT%dS</Timeout><MessageLimit>%d</MessageLimit></PullMessages>`,
		nsEvents, int(wait.Seconds()), pullMessages))
	if err != nil {
		return nil, err
	}
	r := body.find("PullMessagesResponse")
	if r == nil {
		return nil, ErrNotONVIF
	}
	s.granted(r)
	return hintsOf(body, c.clock.Now(), c.offset), nil
}

// errOver says that the subscription came to its end, which is in order.
var errOver = errors.New("onvif: the subscription is over")

// renew asks for another lease when half of one is over. A camera that cannot is asked for a new subscription when
// this one ends.
func (s *subscription) renew(ctx context.Context) error {
	switch left := s.left(); {
	case left <= 0:
		return errOver
	case s.fixed || left > s.term/2:
		return nil
	}
	body, err := s.call(ctx, actRenew, fmt.Sprintf(`<Renew xmlns="%s"><TerminationTime>PT%dS</TerminationTime></Renew>`, nsNotify, int(lease.Seconds())))
	switch {
	case err == nil:
		s.lasts(lease)
		s.granted(body.find("RenewResponse"))
	case errors.As(err, new(*FaultError)):
		s.fixed, err = true, nil
	}
	return err
}

// unsubscribe frees the camera's memory of us. Cameras have few places for subscribers.
func (s *subscription) unsubscribe(ctx context.Context) error {
	_, err := s.call(ctx, actUnsubscribe, `<Unsubscribe xmlns="`+nsNotify+`"/>`)
	return err
}

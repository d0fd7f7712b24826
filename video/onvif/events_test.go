package onvif_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"sitewatch/edge"
	"sitewatch/video/onvif"
	"sitewatch/video/onviftest"
)

// hints is a Sink that remembers.
type hints struct {
	mu  sync.Mutex
	all []onvif.Hint
}

func (h *hints) Hint(_ context.Context, x onvif.Hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, x)
}

func (h *hints) list() []onvif.Hint {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]onvif.Hint(nil), h.all...)
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// listen runs Events for a device; stop ends it and waits.
func listen(t *testing.T, dev *onviftest.Device, password string) (*onvif.Events, *hints, func()) {
	t.Helper()
	sink := &hints{}
	opt := onvif.EventsOptions{Device: onvif.Options{Address: dev.URL(), Clock: edge.NewSystemClock(), Timeout: patience}, Camera: "door", Sink: sink,
		Log: slog.New(slog.DiscardHandler), RetryMin: 10 * time.Millisecond, RetryMax: 50 * time.Millisecond, RefusedFor: time.Hour}
	if password != "" {
		opt.Device.User, opt.Device.PasswordFile = "sitewatch", passwordFile(t, password)
	}
	e, err := onvif.NewEvents(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx); err != context.Canceled {
			t.Errorf("Run returned %v", err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return e, sink, stop
}

func TestHintsOfEachMake(t *testing.T) {
	for name, opt := range map[string]onviftest.Options{
		"Hikvision":                        {Auth: onviftest.Token},
		"Hikvision, 1970":                  {Auth: onviftest.Token, Quirks: onviftest.Time1970},
		"Axis":                             {Make: onviftest.Axis, Auth: onviftest.Digest},
		"Dahua, answers at once":           {Make: onviftest.Dahua, Quirks: onviftest.HastyPulls | onviftest.Chunked},
		"addresses of another host":        {Quirks: onviftest.ForeignXAddr},
		"paths for addresses, no services": {Quirks: onviftest.RelativeXAddr | onviftest.NoServices},
	} {
		t.Run(name, func(t *testing.T) {
			opt.User, opt.Password = "sitewatch", secret
			dev := start(t, opt)
			e, sink, stop := listen(t, dev, secret)
			waitFor(t, "the subscription", func() bool { return dev.Subscribers() == 1 })
			dev.Motion(true)
			waitFor(t, "a hint", func() bool { return len(sink.list()) == 1 })
			dev.Motion(false)
			waitFor(t, "its end", func() bool { return len(sink.list()) == 2 })
			got := sink.list()
			if got[0].Kind != onvif.Motion || !got[0].Active || got[1].Active || got[0].Source == "" || got[0].Initial {
				t.Errorf("got %+v", got)
			}
			if d := got[0].At.Wall.Sub(got[0].Told); d.Abs() > patience {
				t.Errorf("the camera says %v, it came at %v", got[0].Told, got[0].At.Wall)
			}
			if s := e.Status(); !s.Connected || s.Hints != 2 || s.Trouble != "" || s.LastKind != onvif.Motion {
				t.Errorf("got %+v", s)
			}
			stop()
			if n := dev.Subscribers(); n != 0 {
				t.Errorf("%d subscriptions are left at the camera", n)
			}
		})
	}
}

func TestSubscriptionThatTheCameraForgetsIsMadeAnew(t *testing.T) {
	dev := start(t, onviftest.Options{})
	e, sink, _ := listen(t, dev, "")
	for n := 1; n <= 3; n++ {
		waitFor(t, "a subscription", func() bool { return dev.Subscribers() == 1 && e.Status().Connected || dev.Calls("PullMessages") >= n })
		dev.Motion(n%2 == 1)
		waitFor(t, "a hint", func() bool {
			l := sink.list()
			return len(l) > 0 && l[len(l)-1].Active == (n%2 == 1)
		})
		dev.Drop()
		waitFor(t, "another subscription", func() bool { return dev.Calls("CreatePullPointSubscription") > n })
	}
	waitFor(t, "how it is, after another subscription", func() bool {
		l := sink.list()
		return l[len(l)-1].Initial && l[len(l)-1].Active
	})
}

func TestCameraThatIsAwayComesBack(t *testing.T) {
	dev := start(t, onviftest.Options{Quirks: onviftest.NotONVIF})
	e, sink, _ := listen(t, dev, "")
	waitFor(t, "trouble", func() bool { return e.Status().Trouble != "" })
	dev.Set(0)
	waitFor(t, "the subscription", func() bool { return dev.Subscribers() == 1 })
	dev.Motion(true)
	waitFor(t, "a hint", func() bool { return len(sink.list()) == 1 && e.Status().Trouble == "" })
}

func TestWrongPasswordIsNotTriedAllTheTime(t *testing.T) {
	dev := start(t, onviftest.Options{User: "sitewatch", Password: secret})
	e, _, stop := listen(t, dev, "wrong")
	waitFor(t, "trouble", func() bool { return e.Status().Trouble != "" })
	stop()
	if n := dev.Refused(); n > 2 {
		t.Errorf("the camera was asked %d times", n)
	}
}

func TestCameraThatRenewsNothing(t *testing.T) {
	dev := start(t, onviftest.Options{Quirks: onviftest.ShortLease | onviftest.HastyPulls, Lease: time.Second})
	_, sink, _ := listen(t, dev, "")
	waitFor(t, "three subscriptions", func() bool { return dev.Calls("CreatePullPointSubscription") >= 3 })
	dev.Motion(true)
	waitFor(t, "a hint", func() bool { return len(sink.list()) >= 1 })
	if n := dev.Subscribers(); n > 2 {
		t.Errorf("%d subscriptions are open", n)
	}
}

func TestCameraWithoutEvents(t *testing.T) {
	dev := start(t, onviftest.Options{Quirks: onviftest.NoEvents})
	e, _, _ := listen(t, dev, "")
	waitFor(t, "trouble", func() bool { return e.Status().Trouble == onvif.ErrMissing.Error() })
}

package uplink

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
)

// pathClient is a client of which only runPath runs. Its reports fail while full is true.
func pathClient(t *testing.T, lost bool) (c *Client, said *[]edge.Kind, full *atomic.Bool) {
	said, full = new([]edge.Kind), new(atomic.Bool)
	c = New(Options{Files: nothing{}, Clock: edge.NewSystemClock(), Log: slog.New(slog.DiscardHandler), Paths: []Path{{SOC: []string{"soc:7443"}}}, LostPaths: map[string]bool{"": lost},
		Report: func(_ context.Context, e edge.Event) error {
			if full.Load() {
				return errors.New("no room")
			}
			*said = append(*said, e.Kind)
			return nil
		}})
	go c.runPath(t.Context(), c.paths[0]) // ends with the test's bubble
	return c, said, full
}

func TestPathIsReportedAsSoonAsItCanBeJournalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, said, full := pathClient(t, false)
		full.Store(true)
		time.Sleep(31 * time.Second) // the path is lost, and the disk is full
		synctest.Wait()
		full.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		full.Store(true)
		c.paths[0].signal(pathState{up: true, lostAfter: time.Minute})
		time.Sleep(5 * time.Second)
		full.Store(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if want := []edge.Kind{"path-lost", "path-lost-restored"}; !slices.Equal(*said, want) {
			t.Errorf("reported %v, want %v", *said, want)
		}
	})
}

func TestPathLostBeforeARestartIsNotLostTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, said, _ := pathClient(t, true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		c.paths[0].signal(pathState{up: true, lostAfter: time.Minute})
		synctest.Wait()
		if want := []edge.Kind{"path-lost-restored"}; !slices.Equal(*said, want) {
			t.Errorf("reported %v, want %v", *said, want)
		}
	})
}

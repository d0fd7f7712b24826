package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"golang.org/x/sync/errgroup"

	"sitewatch/cmd/sitesim/link"
	"sitewatch/edge"
	"sitewatch/edge/journal"
)

// benchSite is a real gateway on one side of a link and a real SOC on the other. The panel on its pty and the reader of
// the SOC's event stream are in this process, so that both ends of every figure are read off one clock.
type benchSite struct {
	dir, bin string
	pair     *link.Pair
	clock    edge.Clock
	panel    *benchPanel
	client   *http.Client // in the SOC's network
	soc      *processes
	gateway  *processes // nil while it is stopped
	fail     context.CancelCauseFunc
}

// Where things are inside the two networks, which nothing else is in.
const (
	benchSiteID = "0417"
	benchSOC    = "http://127.0.0.1:8080"
)

const benchSOCYAML = `data: {{printf "%q" (print .Dir "/soc")}}
uplink: 0.0.0.0:7443
http: 127.0.0.1:8080
ledger: sqlite
clips: {{printf "%q" (print "file://" .Dir "/soc/clips")}}
heartbeat: {{.Heartbeat}}
`

const benchGatewayYAML = `site: {id: "0417", name: Bench, kind: shop, timezone: Etc/UTC}
data: {{printf "%q" (print .Dir "/gateway")}}
listen: 127.0.0.1:8480
panels:
  - id: intruder
    driver: galaxy-sia
    port: {{printf "%q" (print .Dir "/panel")}}
    settings: {baud: 9600, format: 8N1, rs485: auto, ack_form: plain}
    zones:
      "1011": {name: Stock room, kind: intruder, partition: "1", route: interior}
clips: {before: 10s, after: 20s}
limits: {journal: 1GiB, clips: 200GiB}
uplink: {{.Uplink}}
`

// newBenchSite writes the configuration, starts the SOC and enrols the box over the link.
func newBenchSite(ctx context.Context, dir, bin string, pair *link.Pair, row benchRow, clock edge.Clock, fail context.CancelCauseFunc) (*benchSite, error) {
	s := &benchSite{dir: dir, bin: bin, pair: pair, clock: clock, fail: fail}
	s.client = httpIn(pair, link.B)
	uplink := fmt.Sprintf(`{soc: "%s:7443"}`, link.Addr(0, link.B))
	if row.Second.Rate > 0 {
		uplink = fmt.Sprintf(`{paths: [{name: broadband, interface: %s, soc: "%s:7443"}, {name: mobile, interface: %s, soc: "%s:7443", bulk: none}]}`,
			link.Device(0), link.Addr(0, link.B), link.Device(1), link.Addr(1, link.B))
	}
	for name, text := range map[string]string{"soc.yaml": benchSOCYAML, "gateway.yaml": benchGatewayYAML} {
		t, err := template.New(name).Parse(text)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		if err := t.Execute(&b, map[string]string{"Dir": dir, "Uplink": uplink, "Heartbeat": heartbeat.String()}); err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o600); err != nil {
			return nil, err
		}
	}
	var err error
	if s.panel, err = newBenchPanel(filepath.Join(dir, "panel"), clock); err != nil {
		return nil, err
	}
	s.soc = &processes{dir: dir, bin: bin, fail: fail}
	if err := pair.In(link.B, func() error { return s.soc.start("soc", "run", "--config", filepath.Join(dir, "soc.yaml")) }); err != nil {
		return s, err
	}
	if err := waitFor(ctx, "the SOC", func() bool { _, err := s.get(ctx, "/healthz"); return err == nil }); err != nil {
		return s, err
	}
	token, err := s.soc.output(ctx, "soc", "claim", "--config", filepath.Join(dir, "soc.yaml"), "--site", benchSiteID)
	if err != nil {
		return s, err
	}
	return s, pair.In(link.A, func() error {
		_, err := s.soc.output(ctx, "gateway", "enrol", "--config", filepath.Join(dir, "gateway.yaml"), "--token", strings.TrimSpace(token))
		return err
	})
}

// httpIn speaks from that side of the link.
func httpIn(pair *link.Pair, side link.Side) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = pair.In(side, func() error { c, err = (&net.Dialer{}).DialContext(ctx, network, addr); return err })
		return c, err
	}}}
}

// startGateway returns as soon as the process runs; connected waits for more.
func (s *benchSite) startGateway() error {
	s.gateway = &processes{dir: s.dir, bin: s.bin, fail: s.fail}
	s.panel.line.discard(true)
	return s.pair.In(link.A, func() error {
		return s.gateway.start("gateway", "run", "--config", filepath.Join(s.dir, "gateway.yaml"))
	})
}

func (s *benchSite) stopGateway() error {
	if s.gateway == nil {
		return nil
	}
	g := s.gateway
	s.gateway = nil
	return g.stop()
}

// stop ends everything that was started.
func (s *benchSite) stop() error {
	err := s.stopGateway()
	if s.soc != nil {
		err = errors.Join(err, s.soc.stop())
	}
	s.client.CloseIdleConnections()
	s.panel.line.close()
	return err
}

// get asks the SOC.
func (s *benchSite) get(ctx context.Context, path string) ([]byte, error) {
	return getBody(ctx, s.client, benchSOC+path)
}

func getBody(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return b, err
}

// benchClip is the size of each clip that waits: a minute and a bit of a 4 Mbit/s camera.
const benchClip = 32 << 20

// addClips puts clips into the box's journal as the cutter would: the gateway is stopped. All are one sparse file under many
// names, since nobody looks at the pictures and TLS does not compress.
func (s *benchSite) addClips(ctx context.Context, n int) error {
	return s.withJournal(ctx, func(ctx context.Context, j *journal.Journal) error {
		first := ""
		sum := sha256.New()
		if _, err := io.CopyN(sum, zeros{}, benchClip); err != nil {
			return err
		}
		now := s.clock.Now().Wall
		for range n {
			ref := edge.ClipRef{ID: edge.ClipID(edge.NewID()), Camera: "stockroom", From: now.Add(-10 * time.Second), To: now.Add(20 * time.Second)}
			if _, err := j.Append(ctx, edge.Event{Kind: edge.KindMotion, Cameras: []edge.CameraID{ref.Camera}, Clips: []edge.ClipRef{ref},
				Why: "Movement in front of camera stockroom."}); err != nil {
				return err
			}
			path := filepath.Join(j.ClipDir(), string(ref.ID)+".mp4")
			if first == "" {
				first = path
				if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, benchClip)); err != nil {
					return err
				}
			} else if err := os.Link(first, path); err != nil {
				return err
			}
			if err := j.ClipReady(ctx, edge.ClipFact{ID: ref.ID, Camera: ref.Camera, From: ref.From, To: ref.To},
				edge.ClipFile{ID: ref.ID, Part: edge.PartClip, Camera: ref.Camera, Path: path, SizeBytes: benchClip, SHA256: [32]byte(sum.Sum(nil))}); err != nil {
				return err
			}
		}
		return nil
	})
}

// withJournal opens the stopped gateway's journal for f.
func (s *benchSite) withJournal(ctx context.Context, f func(context.Context, *journal.Journal) error) error {
	j, err := journal.Open(ctx, journal.Options{Dir: filepath.Join(s.dir, "gateway"), Site: benchSiteID, Clock: s.clock,
		Log: slog.New(slog.DiscardHandler), ClipLimitBytes: 200 << 30})
	if err != nil {
		return err
	}
	runCtx, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return j.Run(runCtx) })
	err = f(ctx, j)
	stop()
	return errors.Join(err, g.Wait(), j.Close())
}

// zeros is /dev/zero.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

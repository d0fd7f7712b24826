package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// demoCmd runs everything on one desk: SOC, enrolment, panel, cameras, gateway. Each is a process of its own, as in a shop.
type demoCmd struct {
	Dir    string `help:"Folder for the demo's files; made if missing." default:"demo" type:"path"`
	Bin    string `help:"Folder with the programs." default:"bin" type:"path"`
	HTTP   string `help:"Where the console is." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Camera string `help:"MP4 file (H.264) that the cameras show instead of a drawn scene." type:"existingfile"`
	Smoke  bool   `help:"Without a person: wait for the alarms and their clips at the SOC, check them, print what was seen and exit."`
}

// Run starts the programs in order and stops them in reverse; it returns when ctx ends, a program ends by itself, or the
// smoke test is through.
func (c *demoCmd) Run(ctx context.Context) error {
	dir := c.Dir
	if c.Smoke {
		d, err := os.MkdirTemp("", "sitewatch-smoke-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(d)
		dir = d
	}
	site := siteCmd{Dir: dir, SOCHTTP: c.HTTP}
	if c.Smoke {
		// Ports of its own and a short clip, so that it can run beside a demo and does not take a minute.
		ports, err := freePorts(4)
		if err != nil {
			return err
		}
		site.SOCUplink, site.SOCHTTP, site.RTSP, site.Listen = ports[0], ports[1], ports[2], ports[3]
		site.After = 6 * time.Second
	}
	if err := site.Run(ctx); err != nil { // fills in its defaults
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	p := &processes{dir: dir, bin: c.Bin, fail: fail}
	err := c.runAll(ctx, p, site)
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C is how a demo ends
		if !errors.Is(cause, context.Canceled) {
			err = cause
		}
	}
	if stop := p.stop(); err == nil {
		err = stop
	}
	if err != nil && p.failed != "" {
		fmt.Printf("---- the end of %s.log\n%s", p.failed, tail(filepath.Join(dir, p.failed+".log"), 15))
	}
	return err
}

func (c *demoCmd) runAll(ctx context.Context, p *processes, site siteCmd) error {
	gw, soc := filepath.Join(site.Dir, "gateway.yaml"), filepath.Join(site.Dir, "soc.yaml")
	if err := p.start("soc", "run", "--config", soc); err != nil {
		return err
	}
	console := "http://" + site.SOCHTTP
	if err := waitHealthy(ctx, console+"/healthz"); err != nil {
		p.blame("soc")
		return fmt.Errorf("the SOC did not come up: %w", err)
	}
	if _, err := os.Stat(filepath.Join(site.Dir, "gateway", "identity", "cert.pem")); err != nil {
		token, err := p.output(ctx, "soc", "claim", "--config", soc, "--site", siteID)
		if err != nil {
			return err
		}
		if _, err := p.output(ctx, "gateway", "enrol", "--config", gw, "--token", strings.TrimSpace(token)); err != nil {
			return err
		}
		fmt.Printf("enrolled site %s with a one-time token\n", siteID)
	}
	newest, err := newestIndex(ctx, console+"/api/v1")
	if err != nil {
		return err
	}
	sim := []string{"run", "--dir", site.Dir, "--rtsp", site.RTSP}
	if c.Camera != "" {
		sim = append(sim, "--camera", c.Camera)
	}
	if c.Smoke {
		sim = append(sim, "--once")
	}
	if err := p.start("sitesim", sim...); err != nil {
		return err
	}
	if err := waitFor(ctx, "the panel's line", func() bool { _, err := os.Stat(panelLink(site.Dir)); return err == nil }); err != nil {
		return err
	}
	if err := p.start("gateway", "run", "--config", gw); err != nil {
		return err
	}
	if err := waitHealthy(ctx, "http://"+site.Listen+"/healthz"); err != nil {
		p.blame("gateway")
		return fmt.Errorf("the gateway did not come up: %w", err)
	}
	fmt.Printf("\n  console   %s/\n  gateway   http://%s/\n  logs      %s/*.log\n\n", console, site.Listen, site.Dir)
	w := newWatcher(console+"/api/v1", site.Before, site.After, newest)
	if !c.Smoke {
		fmt.Println("the first alarm with its clip is there within 45 s; Ctrl-C stops everything")
		return w.runPrint(ctx)
	}
	return w.runSmoke(ctx)
}

// processes are the demo's children. Each is the leader of its own process group, so that a Ctrl-C at the terminal reaches
// them through stop, in order, and not all at once.
type processes struct {
	dir, bin string
	fail     context.CancelCauseFunc // called when one ends that should not
	running  []*process
	mu       sync.Mutex
	failed   string // the program to blame, "" none; read after stop
	stopping atomic.Bool
	waiters  errgroup.Group
}

type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

func (p *processes) start(name string, args ...string) error {
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w (make build puts the programs in bin/)", name, err)
	}
	pr := &process{name: name, cmd: cmd, done: make(chan struct{})}
	p.running = append(p.running, pr)
	p.waiters.Go(func() error {
		pr.err = cmd.Wait()
		close(pr.done)
		if !p.stopping.Load() && !(name == "sitesim" && pr.err == nil) { // a scenario may be played to its end
			p.blame(name)
			p.fail(fmt.Errorf("%s ended by itself: %v", name, pr.err))
		}
		return nil
	})
	return nil
}

// blame notes which program failed; the first one counts.
func (p *processes) blame(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == "" {
		p.failed = name
	}
}

// stopWithin is how long a program may take to end in good order.
const stopWithin = 15 * time.Second

// stop ends the programs, the last started first, and says which one did not end in good order.
func (p *processes) stop() error {
	p.stopping.Store(true)
	var errs []error
	for _, pr := range slices.Backward(p.running) {
		pr.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(stopWithin, func() { pr.cmd.Process.Kill() })
		<-pr.done
		if !late.Stop() {
			errs = append(errs, fmt.Errorf("%s did not stop within %s and was killed", pr.name, stopWithin))
		} else if pr.err != nil {
			errs = append(errs, fmt.Errorf("%s stopped with %w", pr.name, pr.err))
		}
	}
	p.waiters.Wait()
	return errors.Join(errs...)
}

func (p *processes) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, errs.String())
	}
	return string(out), nil
}

// waitHealthy asks url until it answers 200.
func waitHealthy(ctx context.Context, url string) error {
	return waitFor(ctx, url, func() bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// waitFor waits for something that a child makes, for 30 s at most.
func waitFor(ctx context.Context, what string, there func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("%s was not there within 30 s", what))
	defer cancel()
	for !there() {
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// freePorts returns n loopback addresses that nothing listens on now.
func freePorts(n int) ([]string, error) {
	var as []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		as = append(as, l.Addr().String())
	}
	return as, nil
}

// tail returns the last n lines of a file.
func tail(path string, n int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error() + "\n"
	}
	lines := strings.SplitAfter(string(b), "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}

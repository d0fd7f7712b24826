package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// built says that programs has made a folder.
var built atomic.Bool

// programs builds the real programs once for all tests of this package. They can be made to die at a named moment, and do
// so only when they are asked to.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sitewatch-bin-")
	if err != nil {
		return "", err
	}
	built.Store(true)
	out, err := exec.Command("go", "build", "-tags", "torture", "-o", dir+"/", "sitewatch/cmd/...").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the programs (make build installs what that needs): %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built.Load() {
		if dir, err := programs(); err == nil {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// site is a whole site under test: the programs as processes, a panel line that the test holds, the SOC's API.
type site struct {
	t                testing.TB
	dir, bin         string
	api, local, rtsp string
	uplink, http     string
	procs            map[string]*proc
	yaml             func(*site) string
}

// proc is one running program.
type proc struct {
	*exec.Cmd
	ended chan struct{} // closed when it has ended and been waited for
}

// newSite makes the files and the SOC, enrols the box, and starts nothing else.
func newSite(t testing.TB, yaml func(*site) string) *site {
	t.Helper()
	s := newFiles(t, yaml)
	s.enrol()
	return s
}

// newFiles makes the configurations only.
func newFiles(t testing.TB, yaml func(*site) string) *site {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: t.TempDir(), bin: bin, procs: map[string]*proc{}, yaml: yaml}
	ports := freeAddrs(t, 4)
	s.http, s.local, s.rtsp, s.uplink = ports[0], ports[1], ports[2], ports[3]
	s.api = "http://" + s.http + "/api/v1"
	s.write("soc.yaml", fmt.Sprintf("data: %s/soc\nuplink: %s\nhttp: %s\nledger: sqlite\nclips: file://%s/soc/clips\n", s.dir, s.uplink, s.http, s.dir))
	s.write("gateway.yaml", fmt.Sprintf("site: {id: \"0417\", name: Test Street, kind: shop, timezone: Europe/London}\ndata: %s/gateway\nlisten: %s\nclips: {before: 4s, after: 3s}\nuplink: {soc: \"%s\"}\n%s",
		s.dir, s.local, s.uplink, yaml(s)))
	t.Cleanup(func() {
		for name := range s.procs {
			s.kill(name)
		}
		if t.Failed() {
			for _, n := range []string{"gateway", "soc", "sitesim"} {
				if b, err := os.ReadFile(filepath.Join(s.dir, n+".log")); err == nil {
					t.Logf("%s.log:\n%s", n, b[max(0, len(b)-4000):])
				}
			}
		}
	})
	return s
}

// enrol starts the SOC and gets the box its certificate.
func (s *site) enrol() {
	s.t.Helper()
	s.startSOC()
	token := s.output("soc", "claim", "--config", s.dir+"/soc.yaml", "--site", "0417")
	s.output("gateway", "enrol", "--config", s.dir+"/gateway.yaml", "--token", strings.TrimSpace(token))
}

func (s *site) startSOC() {
	s.t.Helper()
	s.start("soc", "run", "--config", s.dir+"/soc.yaml")
	s.healthy("http://" + s.http + "/healthz")
}

func (s *site) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) startGateway() {
	s.t.Helper()
	s.start("gateway", "run", "--config", s.dir+"/gateway.yaml")
	s.healthy("http://" + s.local + "/healthz")
}

func (s *site) start(name string, args ...string) {
	s.t.Helper()
	s.startWith(nil, name, args...)
}

// startWith starts a program with more in its environment.
func (s *site) startWith(env []string, name string, args ...string) {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.run(name, cmd)
}

// run starts cmd and waits for it beside the test.
func (s *site) run(name string, cmd *exec.Cmd) {
	s.t.Helper()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &proc{cmd, make(chan struct{})}
	go func() {
		defer close(p.ended)
		cmd.Wait()
	}()
	s.procs[name] = p
}

// kill is SIGKILL: no last words.
func (s *site) kill(name string) {
	if p := s.procs[name]; p != nil {
		p.Process.Kill()
		<-p.ended
		delete(s.procs, name)
	}
}

func (s *site) output(name string, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	b, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", name, args, err, errs.String())
	}
	return string(b)
}

func (s *site) healthy(url string) {
	s.t.Helper()
	s.until(url+" answers", 30*time.Second, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// patience is for a machine that has much else to do: what depends on it is when a test of a broken program ends.
const patience = 3 * time.Minute

// until polls what only another process can tell; the deadline is for a broken program, not for a slow machine. It is patience where
// limit is less.
func (s *site) until(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	limit = max(limit, patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			s.t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// socEvent is an event as the SOC's API gives it.
type socEvent struct {
	Index     int64     `json:"index"`
	Site      string    `json:"site"`
	Journal   string    `json:"journal"`
	Seq       int64     `json:"seq"`
	Lane      string    `json:"lane"`
	Kind      string    `json:"kind"`
	Code      string    `json:"code"`
	Panel     string    `json:"panel"`
	Partition string    `json:"partition"`
	Zone      string    `json:"zone"`
	ZoneName  string    `json:"zone_name"`
	Text      string    `json:"text"`
	Why       string    `json:"why"`
	Cameras   []string  `json:"cameras"`
	Amends    int64     `json:"amends"`
	Clock     string    `json:"clock"`
	Late      bool      `json:"late"`
	Clips     []string  `json:"clips"`
	Raw       string    `json:"raw"`
	Recorded  time.Time `json:"recorded_at"`
}

type socClip struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Reason string `json:"reason"`
	Bytes  int64  `json:"bytes"`
	From   string `json:"from"`
	To     string `json:"to"`
}

func (s *site) get(path string, v any) error {
	resp, err := http.Get(s.api + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s %s", path, resp.Status, b)
	}
	return json.Unmarshal(b, v)
}

// body is what the SOC answers with 200.
func (s *site) body(path string) []byte {
	s.t.Helper()
	resp, err := http.Get(s.api + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
	return b
}

// clipSeconds is how long a clip at the SOC lasts, by ffprobe, which must find one H.264 stream in it, and nothing missing of what the SOC says it
// spans. A complete clip may end up to 2 s early: what a busy camera sends late comes behind its end.
func (s *site) clipSeconds(id string) (d float64) {
	s.t.Helper()
	s.write(id+".mp4", string(s.body("/clips/"+id+".mp4")))
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration:stream=codec_name", "-of", "csv=p=0", filepath.Join(s.dir, id+".mp4")).CombinedOutput()
	if err != nil {
		s.t.Fatalf("ffprobe: %v: %s", err, out)
	}
	f := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' || r == ',' })
	if len(f) != 2 || f[0] != "h264" {
		s.t.Fatalf("ffprobe says %q, want h264 and a duration", f)
	}
	if _, err := fmt.Sscan(f[1], &d); err != nil {
		s.t.Fatal(err)
	}
	var c socClip
	if err := s.get("/clips/"+id, &c); err != nil {
		s.t.Fatal(err)
	}
	from, ferr := time.Parse(time.RFC3339, c.From)
	to, terr := time.Parse(time.RFC3339, c.To)
	if span := to.Sub(from).Seconds(); ferr != nil || terr != nil || math.Abs(span-d) > 0.05 {
		s.t.Errorf("the clip lasts %v s, and the SOC says from %s to %s", d, c.From, c.To)
	}
	return d
}

func (s *site) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func replaceOnce(t testing.TB, s, old, by string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q is there %d times, want once", old, strings.Count(s, old))
	}
	return strings.Replace(s, old, by, 1)
}

// events returns everything that the SOC has; nil while it is down.
func (s *site) events() (all []socEvent) {
	for after := int64(0); ; {
		var page struct {
			Items []socEvent
			Next  int64
		}
		if err := s.get(fmt.Sprintf("/events?limit=1000&after=%d", after), &page); err != nil {
			return nil
		}
		all = append(all, page.Items...)
		if page.Next == 0 {
			return all
		}
		after = page.Next
	}
}

// waitEvent waits for an event that ok accepts.
func (s *site) waitEvent(what string, limit time.Duration, ok func(socEvent) bool) (found socEvent) {
	s.t.Helper()
	s.until(what, limit, func() bool {
		for _, e := range s.events() {
			if ok(e) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

func kind(k string) func(socEvent) bool { return func(e socEvent) bool { return e.Kind == k } }

// line is a panel's end of a serial line: a pty whose other end the gateway opens under a fixed name.
type line struct {
	t    testing.TB
	f    *os.File // the panel's end
	tty  *os.File // held open so that the line outlives a gateway that is killed
	link string
	owed int // blocks without an answer, which may still come
}

// plug connects a new adapter under link.
func plug(t testing.TB, link string) *line {
	t.Helper()
	f, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	// pty.Open leaves the descriptor blocking, and then a read would have no deadline.
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd) // else the gateway itself would hold the line that the test unplugs
	f.Close()
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	if err := control(tty, func(fd int) error { // before the gateway opens it a pty would echo, and take blocks for lines of text
		m, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		m.Iflag, m.Oflag, m.Lflag = 0, 0, 0
		return unix.IoctlSetTermios(fd, unix.TCSETS, m)
	}); err != nil {
		t.Fatal(err)
	}
	os.Remove(link)
	if err := os.Symlink(tty.Name(), link); err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, f: os.NewFile(uintptr(fd), "panel"), tty: tty, link: link}
	t.Cleanup(l.unplug)
	return l
}

func (l *line) unplug() {
	os.Remove(l.link)
	l.tty.Close()
	l.f.Close()
}

// Worked bytes of a Galaxy's SIA blocks, checked against two other implementations.
const (
	blkAccount  = "46 23 30 31 32 33 34 35 9B"
	blkIntruder = "4E 4E 74 69 31 31 3A 34 36 2F 42 41 31 30 31 31 F7"
	blkRestore  = "4E 4E 74 69 31 31 3A 34 37 2F 42 52 31 30 31 31 E5"
	blkText     = "58 41 20 49 4E 54 52 55 44 45 52 20 20 20 20 20 53 48 4F 50 20 46 4C 4F 4F 52 9D"
	blkBad      = "4E 4E 74 69 31 31 3A 34 37 2F 42 52 31 30 31 31 E4"
	ack         = "00 38 c7"
	reject      = "00 39 c6"
)

// say writes a block and waits for the three bytes of the answer; "" when none came within limit.
func (l *line) say(block string, limit time.Duration) string {
	l.t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(block, " ", ""))
	if err != nil {
		l.t.Fatal(err)
	}
	return l.sayBytes(b, limit)
}

func (l *line) sayBytes(b []byte, limit time.Duration) string {
	l.t.Helper()
	if _, err := l.f.Write(b); err != nil {
		l.t.Fatal(err)
	}
	l.owed++
	return l.hear(limit)
}

// hear waits for an answer.
func (l *line) hear(limit time.Duration) string {
	l.f.SetReadDeadline(time.Now().Add(limit))
	answer := make([]byte, 3)
	if _, err := io.ReadFull(l.f, answer); err != nil {
		return ""
	}
	l.owed--
	return fmt.Sprintf("% x", answer)
}

// must says a block as a panel does until the answer comes.
func (l *line) must(block, want string) {
	l.t.Helper()
	for range 48 { // a gateway that is just starting reads later
		got := l.say(block, panelWait)
		if got != "" && got != want {
			l.t.Fatalf("answer to %s is %s, want %s", block, got, want)
		}
		if got == "" {
			continue
		}
		// Each time that it was said may be answered: what belongs to this block must not be taken for an answer to the next.
		for l.owed > 0 && l.hear(panelWait) != "" {
		}
		l.owed = 0
		return
	}
	l.t.Fatalf("no answer to %s", block)
}

// galaxyBlock makes a block that asks for an ack.
func galaxyBlock(fc byte, data string) []byte {
	b := append([]byte{0x40 | byte(len(data)), fc}, data...)
	par := byte(0xFF)
	for _, c := range b {
		par ^= c
	}
	return append(b, par)
}

// given are the ports that freeAddrs has given to this process.
var given sync.Map

// freeAddrs are addresses on which a program that is started later can listen. The kernel would give ports of its own choice to others
// until then, so they are not of those from which it chooses (from 32768 on).
func freeAddrs(t testing.TB, n int) (as []string) {
	t.Helper()
	for tries := 0; len(as) < n; tries++ {
		port := 15000 + rand.IntN(15000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if tries > 1000 {
				t.Fatal(err)
			}
			continue
		}
		l.Close()
		if _, old := given.LoadOrStore(port, true); !old {
			as = append(as, l.Addr().String())
		}
	}
	return as
}

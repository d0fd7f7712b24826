package supervise

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sitewatch/edge"
	"sitewatch/edge/edgetest"
)

func TestMain(m *testing.M) { edgetest.Main(m) }

var errLine = errors.New("line is dead")

// stage is a tree in a bubble and what it said.
type stage struct {
	*Tree
	mu     sync.Mutex
	log    bytes.Buffer
	failed []string
	cancel context.CancelFunc
	result chan error
}

func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *stage) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (s *stage) reports() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.failed)
}

func newStage() *stage {
	s := &stage{result: make(chan error, 1)}
	s.Tree = New(Options{
		Log: slog.New(slog.NewTextHandler(s, nil)), Clock: edge.NewSystemClock(),
		Failed: func(_ context.Context, name edge.TaskName, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.failed = append(s.failed, string(name)+": "+err.Error())
		},
	})
	return s
}

func (s *stage) run(t *testing.T, tasks ...Task) {
	t.Helper()
	for _, task := range tasks {
		if err := s.Go(task); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	go func() { s.result <- s.Run(ctx) }()
	synctest.Wait()
}

func (s *stage) stop(t *testing.T) {
	t.Helper()
	s.cancel()
	if err := <-s.result; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func untilDone(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestTaskComesBackWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, from := newStage(), time.Now()
		var starts []time.Duration
		s.run(t, Task{Name: "panel/a", Run: func(context.Context) error {
			starts = append(starts, time.Since(from))
			return errLine
		}})
		time.Sleep(3 * time.Minute)
		s.stop(t)
		for i, want := range []time.Duration{250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000} {
			want *= time.Millisecond
			if got := starts[i+1] - starts[i]; got > want || got < want*3/4 {
				t.Errorf("pause %d = %v, want %v less at most a quarter", i, got, want)
			}
		}
	})
}

// What a picture has ended, and what is seen of others with it, is back within a second however often that happens.
func TestPauseIsBoundedByTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, starts := newStage(), 0
		s.run(t, Task{Name: "eye/0", Pause: 500 * time.Millisecond, Run: func(context.Context) error {
			starts++
			return errLine
		}})
		time.Sleep(time.Minute)
		s.stop(t)
		if starts < 120 || starts > 162 {
			t.Errorf("%d starts in a minute, want one each 375 to 500 ms", starts)
		}
	})
}

func TestHealthyMinuteResetsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, runs, pause := newStage(), 0, time.Duration(0)
		var ended time.Time
		s.run(t, Task{Name: "panel/a", Run: func(ctx context.Context) error {
			runs++
			switch runs {
			case 8: // after a pause of 16 s it runs well
				time.Sleep(time.Minute)
				ended = time.Now()
			case 9:
				pause = time.Since(ended)
				return untilDone(ctx)
			}
			return errLine
		}})
		time.Sleep(3 * time.Minute)
		s.stop(t)
		if pause == 0 || pause > 250*time.Millisecond {
			t.Errorf("pause after a healthy minute = %v, want the first of 250 ms", pause)
		}
		if got := len(s.reports()); got != 3 { // the first, those that were counted, and the one after the healthy minute
			t.Errorf("reports = %q, want 3", s.reports())
		}
	})
}

func TestRepeatedFailuresAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.run(t, Task{Name: "camera/door", Run: func(context.Context) error { return errLine }})
		time.Sleep(time.Second)
		if got := s.reports(); len(got) != 1 || got[0] != "camera/door: line is dead" {
			t.Errorf("after a second: %q, want the first failure at once", got)
		}
		time.Sleep(24 * time.Hour)
		got := s.reports()
		if len(got) < 10 || len(got) > 35 || !strings.Contains(got[1], "more failures in 1m") {
			t.Errorf("%d reports in a day, the second %q; want about one an hour, the second after a minute with its number", len(got), got[1])
		}
		s.stop(t)
	})
}

func TestPanicIsAnErrorWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, runs := newStage(), 0
		s.run(t, Task{Name: "uplink", Run: func(ctx context.Context) error {
			if runs++; runs == 1 {
				panic("index out of anything")
			}
			return untilDone(ctx)
		}})
		time.Sleep(time.Second)
		got := s.reports()
		if len(got) != 1 || !strings.Contains(got[0], "index out of anything") || !strings.Contains(got[0], "supervise_test.go") {
			t.Errorf("reports = %q, want the panic with its stack", got)
		}
		st := s.State()
		s.stop(t)
		if runs != 2 || !st[0].Running || st[0].Failures != 1 || st[0].LastErr != "panic: index out of anything" {
			t.Errorf("state = %+v after %d runs, want it running again", st, runs)
		}
	})
}

func TestTaskThatEndsByItselfIsRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, runs, once := newStage(), 0, 0
		s.run(t,
			Task{Name: "loop", Run: func(context.Context) error { runs++; return nil }},
			Task{Name: "once", Restart: Never, Vital: true, Run: func(context.Context) error { once++; return nil }})
		time.Sleep(time.Second)
		s.stop(t)
		if runs < 2 || once != 1 {
			t.Errorf("loop ran %d times, once %d times; want several and 1", runs, once)
		}
	})
}

func TestVitalTaskThatGivesUpEndsTheTree(t *testing.T) {
	for _, c := range []struct {
		name    string
		task    Task
		want    string
		atLeast time.Duration
	}{
		{"fails five times within a minute", Task{Run: func(context.Context) error { return errLine }}, "given up", 2 * time.Second},
		{"must not be restarted", Task{Restart: Never, Run: func(context.Context) error { return errLine }}, "given up", 0},
		{"hangs", Task{Beat: 10 * time.Second, Run: untilDone}, "no sign of life", 10 * time.Second},
		{"beats, then hangs", Task{Beat: 10 * time.Second, Run: func(ctx context.Context) error {
			for range 6 {
				edge.Beat(ctx)
				time.Sleep(5 * time.Second)
			}
			return untilDone(ctx)
		}}, "no sign of life", 35 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, from := newStage(), time.Now()
				c.task.Name, c.task.Vital = "journal", true
				other := false
				s.run(t, c.task, Task{Name: "other", Run: func(ctx context.Context) error { <-ctx.Done(); other = true; return nil }})
				err := <-s.result
				s.cancel()
				if err == nil || !strings.Contains(err.Error(), "journal") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Run = %v, want an error that says %q of the journal", err, c.want)
				}
				if d := time.Since(from); d < c.atLeast || d > c.atLeast+10*time.Second {
					t.Errorf("it took %v, want at least %v", d, c.atLeast)
				}
				if !other {
					t.Error("the other task was not stopped")
				}
			})
		})
	}
}

func TestVitalTaskThatFailsNowAndThenIsBorne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.run(t, Task{Name: "journal", Vital: true, Beat: 30 * time.Second, Run: func(ctx context.Context) error {
			for range 20 {
				edge.Beat(ctx)
				if !wait(ctx, time.Second) { // it may be told to stop while it works
					return ctx.Err()
				}
			}
			return errLine
		}})
		time.Sleep(time.Hour)
		s.stop(t)
	})
}

func TestStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var order []string
		task := func(name string) Task {
			return Task{Name: edge.TaskName(name), Run: func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				order = append(order, name)
				return nil
			}}
		}
		s.run(t, task("journal"), task("desk"))
		if err := s.Go(task("panel")); err != nil { // while it runs
			t.Fatal(err)
		}
		synctest.Wait()
		s.stop(t)
		if got := strings.Join(order, " "); got != "panel desk journal" {
			t.Errorf("stopped %s, want panel desk journal", got)
		}
		if err := s.Go(task("late")); !errors.Is(err, ErrStopped) {
			t.Errorf("Go after the end = %v, want ErrStopped", err)
		}
	})
}

func stubborn(release chan struct{}) error { <-release; return nil }

func TestStragglerIsNamedWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, release, from := newStage(), make(chan struct{}), time.Now()
		s.run(t, Task{Name: "camera/door", Stop: 3 * time.Second, Run: func(context.Context) error { return stubborn(release) }})
		s.stop(t)
		if d := time.Since(from); d != 3*time.Second {
			t.Errorf("stopping took %v, want the 3 s that the task has", d)
		}
		if got := s.logged(); !strings.Contains(got, "task=camera/door") || !strings.Contains(got, "supervise.stubborn") {
			t.Errorf("log = %s\nwant the task and where it hangs", got)
		}
		close(release)
	})
}

func TestHookThatHangsHoldsUpNoTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, runs := newStage(), 0
		s.opt.Failed = func(ctx context.Context, _ edge.TaskName, _ error) { <-ctx.Done(); panic("and it panics") }
		s.run(t, Task{Name: "journal", Run: func(ctx context.Context) error {
			if runs++; runs < 4 {
				return errLine
			}
			return untilDone(ctx)
		}})
		time.Sleep(3 * time.Second)
		s.stop(t)
		if runs != 4 {
			t.Errorf("%d runs, want 4", runs)
		}
	})
}

func TestSystemdIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000")
	socket, watchdog := NotifyEnv()
	tree := New(Options{Log: slog.New(slog.DiscardHandler), Clock: edge.NewSystemClock(), Notify: socket, Watchdog: watchdog})
	first := make(chan struct{})
	if err := tree.Go(Task{Name: "journal", Vital: true, Beat: 5 * time.Second, Run: func(ctx context.Context) error {
		<-first
		edge.Beat(ctx)
		return untilDone(ctx) // and then it hangs
	}}); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- tree.Run(t.Context()) }()
	conn.SetReadDeadline(time.Now().Add(2 * time.Minute))
	next := func() string {
		b := make([]byte, 100)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("first message = %q, want WATCHDOG=1: it is not ready before its vital task has beaten", got)
	}
	close(first)
	var got []string
	for {
		m := next()
		if len(got) == 0 || got[len(got)-1] != m {
			got = append(got, m)
		}
		if m == "STOPPING=1" {
			break
		}
	}
	if s := strings.TrimPrefix(strings.Join(got, " "), "WATCHDOG=1 "); s != "READY=1 WATCHDOG=1 STOPPING=1" {
		t.Errorf("messages = %s, want READY=1 WATCHDOG=1 STOPPING=1", s)
	}
	if err := <-result; err == nil {
		t.Error("Run = nil, want that the journal hangs")
	}
}

package supervise

import (
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// NotifyEnv reads what systemd tells a service about itself: sd_notify(3), sd_watchdog_enabled(3).
func NotifyEnv() (socket string, watchdog time.Duration) {
	if pid := os.Getenv("WATCHDOG_PID"); pid == "" || pid == strconv.Itoa(os.Getpid()) {
		if us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
			watchdog = time.Duration(us) * time.Microsecond
		}
	}
	return os.Getenv("NOTIFY_SOCKET"), watchdog
}

// notifier speaks to systemd. Without a socket it says nothing.
type notifier struct {
	addr  *net.UnixAddr
	every time.Duration // how often to look at the beats and to kick the watchdog
	log   *slog.Logger
	bad   bool // the last message could not be sent
}

func newNotifier(opt Options) *notifier {
	n := &notifier{every: time.Second, log: opt.Log}
	if opt.Notify != "" {
		n.addr = &net.UnixAddr{Name: opt.Notify, Net: "unixgram"} // "@name" is Linux's abstract namespace for package net too
	}
	if opt.Watchdog > 0 {
		n.every = min(n.every, opt.Watchdog/3)
	}
	return n
}

func (n *notifier) send(state string) {
	if n.addr == nil {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, n.addr)
	if err == nil {
		_, err = conn.Write([]byte(state))
		conn.Close()
	}
	if err != nil && !n.bad {
		n.log.Warn("cannot speak to systemd", "err", err)
	}
	n.bad = err != nil
}

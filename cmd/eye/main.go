// Command eye decodes pictures for the gateway, in a process of its own: what a hostile camera can do to libavcodec, it does
// to an eye, and the gateway starts another one. It speaks over its standard input and output as video/motion/PIPE.md says,
// opens nothing else, which the kernel sees to (sandbox.go), and ends when its input does.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

func main() {
	// One picture at a time and little garbage: the eye shares two slow cores with what must not wait.
	runtime.GOMAXPROCS(2)
	debug.SetGCPercent(50)
	build := "devel"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		build = info.Main.Version
	}
	// Whoever stops the service or presses Ctrl-C means the gateway. An eye that ended before it would look like one that a picture has killed.
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	if err := standBack(); err != nil {
		build += " (of usual priority: " + err.Error() + ")"
	}
	if err := confine(); err != nil { // a kernel without seccomp: the gateway's log says so with the build
		build += " (not confined: " + err.Error() + ")"
	}
	if err := run(os.Stdin, os.Stdout, build, func() { os.Exit(0) }); err != nil {
		fmt.Fprintln(os.Stderr, "eye:", err)
		os.Exit(1)
	}
}

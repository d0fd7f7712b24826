package main

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// niceness lets the gateway and whatever else the box does go first when processors are short.
const niceness = 10

// standBack lowers the priority of every thread that there is; those to come take over the one of the thread that makes them. When memory is
// short it is an eye that goes, never the gateway.
func standBack() error {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0); err != nil {
		return err
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, niceness); err != nil {
			return err
		}
	}
	return nil
}

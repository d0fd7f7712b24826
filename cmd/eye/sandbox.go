package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What an eye may do is read its input, write its output, take memory and end. A picture that breaks the decoder and then runs code
// of its own finds no file, no socket, no other process and no memory that could be executed.
//
// The filter is set after the program has started, when its runtime has what it needs, and before the first byte of a picture is
// read. It holds for all threads (SECCOMP_FILTER_FLAG_TSYNC) and cannot be taken off. Whatever is not on the list fails with
// EPERM, rather than killing: a C library that asks for something new then goes without it.

// limits are what the kernel holds an eye to. There is no limit of the address space: Go reserves far more than it uses.
var limits = map[int]uint64{
	unix.RLIMIT_CORE:   0,  // a core file would have pictures in it
	unix.RLIMIT_FSIZE:  0,  // no file can grow
	unix.RLIMIT_NOFILE: 64, // the pipes and what the runtime polls them with
}

// Bounds of the memory that an eye can take: a quarter of the machine's, within these. 64 cameras of 12 MB are less than a gigabyte. Beyond
// it the eye dies.
const (
	leastMemory = 256 << 20
	mostMemory  = 2 << 30
)

// memoryLimit is the bound on this machine.
func memoryLimit() uint64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return leastMemory
	}
	return min(max(uint64(info.Totalram)*uint64(info.Unit)/4, leastMemory), mostMemory)
}

// forget closes what whoever started the gateway left open for each of its children, and what the runtime has opened for itself: the pipes stay, and
// what it polls them with.
func forget() error {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, f := range open {
		fd, err := strconv.Atoi(f.Name())
		if err != nil || fd <= 2 {
			continue
		}
		link, err := os.Readlink("/proc/self/fd/" + f.Name())
		if err == nil && !strings.HasPrefix(link, "anon_inode:") { // an error: it was the list's own
			unix.Close(fd)
		}
	}
	return nil
}

// confine gives up what an eye does not need.
func confine() error {
	forgot := forget() // not worth doing without the rest
	for resource, v := range limits {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: v, Max: v}); err != nil {
			return fmt.Errorf("limit %d: %w", resource, err)
		}
	}
	memory := memoryLimit()
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: memory, Max: memory}); err != nil {
		return fmt.Errorf("limit of memory: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("dumpable: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	program := filter()
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if forgot != nil {
		return fmt.Errorf("files that were left open: %w", forgot)
	}
	return nil
}

// Offsets in struct seccomp_data (linux/seccomp.h); the low half of an argument comes first on the machines that there are.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// filter returns the program in classic BPF.
func filter() []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		bits  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
	)
	allow := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}
	deny := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)}
	p := []unix.SockFilter{
		{Code: load, K: offArch},
		{Code: equal, K: auditArch, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: offNumber},
	}
	// Threads are made by clone; clone3 has its flags in memory, where a filter cannot see them, and libraries fall back.
	p = append(p, unix.SockFilter{Code: equal, K: unix.SYS_CLONE3, Jf: 1},
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	p = append(p, unix.SockFilter{Code: equal, K: unix.SYS_CLONE, Jf: 4}, // threads yes, processes no
		unix.SockFilter{Code: load, K: offArgs},
		unix.SockFilter{Code: bits, K: unix.CLONE_THREAD, Jf: 1}, allow, deny)
	for _, call := range []uint32{unix.SYS_MMAP, unix.SYS_MPROTECT} { // memory yes, code no
		p = append(p, unix.SockFilter{Code: equal, K: call, Jf: 4},
			unix.SockFilter{Code: load, K: offArgs + 2*8},
			unix.SockFilter{Code: bits, K: unix.PROT_EXEC, Jt: 1}, allow, deny)
	}
	p = append(p, unix.SockFilter{Code: equal, K: unix.SYS_TGKILL, Jf: 4}, // signals to itself, which the runtime stops threads with
		unix.SockFilter{Code: load, K: offArgs},
		unix.SockFilter{Code: equal, K: uint32(unix.Getpid()), Jf: 1}, allow, deny)
	fcntl := []uint32{unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC} // and not F_SETOWN, which sends signals
	p = append(p, unix.SockFilter{Code: equal, K: unix.SYS_FCNTL, Jf: uint8(2 + 2*len(fcntl))},
		unix.SockFilter{Code: load, K: offArgs + 8})
	for _, cmd := range fcntl {
		p = append(p, unix.SockFilter{Code: equal, K: cmd, Jf: 1}, allow)
	}
	p = append(p, deny)
	for _, call := range allowed() {
		p = append(p, unix.SockFilter{Code: equal, K: call, Jf: 1}, allow)
	}
	return append(p, deny)
}

// allowed are the calls of the Go runtime, of the C library's memory and threads, and of pipes.
func allowed() []uint32 {
	return append([]uint32{
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_CLOSE, unix.SYS_FSTAT,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2, unix.SYS_PPOLL,
		unix.SYS_MUNMAP, unix.SYS_MREMAP, unix.SYS_MADVISE, unix.SYS_BRK, unix.SYS_MINCORE, unix.SYS_MEMBARRIER,
		unix.SYS_FUTEX, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY,
		unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP, unix.SYS_CLOCK_GETTIME, unix.SYS_CLOCK_GETRES, unix.SYS_GETTIMEOFDAY,
		unix.SYS_TIMER_CREATE, unix.SYS_TIMER_SETTIME, unix.SYS_TIMER_DELETE, unix.SYS_SETITIMER, unix.SYS_RESTART_SYSCALL,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETRUSAGE, unix.SYS_GETRANDOM, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	}, archCalls...)
}

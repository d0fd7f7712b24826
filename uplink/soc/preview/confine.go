package preview

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// apart is what the child has of its own: no network but an empty one, no process but itself, no shared memory, and no privilege,
// also of a SOC that runs as root. Its user stays the one of the SOC.
const apart = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC

// readable are the files and folders that a program and its libraries are in; all others, the SOC's data among them, stay closed.
var readable = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", "/nix/store", "/gnu/store", "/snap", "/etc/ld.so.cache", "/dev/null", "/dev/zero", "/dev/urandom"}

const (
	reads   = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	handled = 1<<13 - 1 // all that the first version of Landlock knows: reads, and whatever changes a file or a folder
)

// start starts the child confined, as far as the kernel lets it; what it does not is said once. command makes the same command
// each time.
func (m *Maker) start(command func() *exec.Cmd) (cmd *exec.Cmd, err error) {
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // for good: what is closed to this thread is closed to its child, and the thread ends here
		cmd = command()
		if err := m.closeFiles(cmd.Path); err != nil {
			m.open.Do(func() {
				m.o.Log.Warn("the kernel does not close the disk to the program that makes previews: it can read and change what the SOC can", "err", err)
			})
		}
		cmd.SysProcAttr.Cloneflags = apart
		if err = cmd.Start(); err == nil {
			return
		}
		first := err
		cmd = command()
		if err = cmd.Start(); err == nil {
			m.shared.Do(func() {
				m.o.Log.Warn("the kernel gives the program that makes previews no namespaces: it has the network that the SOC has", "err", first)
			})
		}
	})
	wg.Wait()
	return cmd, err
}

// closeFiles lets the present thread, and whom it starts, open nothing but programs and libraries, and change nothing (landlock(7)).
func (m *Maker) closeFiles(program string) error {
	access := uint64(handled)
	if version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	} else if version >= 3 {
		access |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&access)), unsafe.Sizeof(access), 0)
	if errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	defer unix.Close(int(fd))
	if to, err := filepath.EvalSymlinks(program); err == nil {
		program = to
	}
	allow := map[string]uint64{filepath.Dir(program): reads}
	for _, path := range readable {
		allow[path] = reads
	}
	allow["/dev/null"] |= unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	for _, path := range m.writable {
		allow[path] = access
	}
	for path, rights := range allow {
		if err := beneath(int(fd), path, rights); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return fmt.Errorf("landlock: %w", errno)
	}
	return nil
}

// beneath allows what is beneath a path, if there is one.
func beneath(ruleset int, path string, rights uint64) error {
	at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil // then there is nothing to allow
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return fmt.Errorf("landlock: %s: %w", path, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		rights &= unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(at)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return fmt.Errorf("landlock: %s: %w", path, errno)
	}
	return nil
}

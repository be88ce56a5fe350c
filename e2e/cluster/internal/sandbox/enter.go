package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"duckworker.dev/e2e/cluster/internal/tie"
)

// Enter runs a part of this binary in the namespaces of a process, hands signals on to it, and
// returns its exit code. The part dies with this process.
func Enter(pid string, part []string) (int, error) {
	// Namespaces are entered by a thread, and a child follows the one that starts it.
	runtime.LockOSThread()
	// Asked before, as the /proc that is mounted in there does not know this process.
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	if err := join(pid); err != nil {
		return 0, fmt.Errorf("cannot enter the namespaces of process %s: %w", pid, err)
	}
	child := exec.Command(self, part...)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	// Seen from a process namespace, a parent outside of it has the id 0. (Pdeathsig of os/exec
	// does not know that, takes the parent for dead, and kills the child.)
	child.Env = append(os.Environ(), tie.To(0))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if err := child.Start(); err != nil {
		return 0, err
	}
	go func() {
		for received := range signals {
			_ = child.Process.Signal(received)
		}
	}()
	_ = child.Wait() // what it says is in the state
	return child.ProcessState.ExitCode(), nil
}

func join(pid string) error {
	// A thread that shares its working folder with others may not change its mounts.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	var spaces []int
	for _, kind := range []string{"net", "pid", "mnt"} {
		space, err := unix.Open("/proc/"+pid+"/ns/"+kind, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		spaces = append(spaces, space)
	}
	for _, space := range spaces {
		if err := unix.Setns(space, 0); err != nil {
			return err
		}
	}
	return nil
}

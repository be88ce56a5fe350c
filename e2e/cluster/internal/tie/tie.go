// Package tie makes a process die with the one that started it. The harness sets the environment
// variable DUCKCLUSTER_PARENT to its own process id; without it (a person runs kubectl) nothing
// happens.
//
// It imports next to nothing, so Go initialises it before the large packages of Kubernetes, whose
// own initialisation takes a noticeable time.
package tie

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

const parentVariable = "DUCKCLUSTER_PARENT"

func init() {
	value, tied := os.LookupEnv(parentVariable)
	if !tied {
		return
	}
	parent, err := strconv.Atoi(value)
	if err != nil {
		die("%s=%q is not a process id", parentVariable, value)
	}
	// The signal belongs to a thread, not to a process: it must be set on the main thread, where
	// initialisation runs, and an exec (see `duckcluster run`) must come from that thread too.
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(
		syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0,
	); errno != 0 {
		die("cannot tie this process to its parent: %v", errno)
	}
	// A parent that ended before the call above sends no signal any more.
	if os.Getppid() != parent {
		die("the parent process %d is gone", parent)
	}
	// Processes started by this one have another parent.
	_ = os.Unsetenv(parentVariable)
}

// To is the entry of an environment that ties a process to its parent, which has this id as the
// process sees it.
func To(parent int) string {
	return parentVariable + "=" + strconv.Itoa(parent)
}

func die(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "duckcluster: "+format+"\n", args...)
	os.Exit(2)
}

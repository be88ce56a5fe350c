package main

import (
	"os"
	"os/exec"
	"syscall"
)

// run becomes the given command. The tie to the parent process survives that, so any program can
// be started with the promise that it does not outlive the test.
func run() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fail("usage: duckcluster run -- COMMAND ARGS…")
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		fail("cannot run %s: %v", args[0], err)
	}
	if err := syscall.Exec(path, args, os.Environ()); err != nil {
		fail("cannot run %s: %v", path, err)
	}
}

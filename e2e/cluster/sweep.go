package main

import (
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sweep waits until its standard input ends, which is when the process at the other end of the
// pipe is gone, however it ended; then it removes the given folder. The state of a cluster lives
// in memory (tmpfs), so a killed test must not leave it behind. This is the only part that is not
// tied to its parent: it outlives it by a moment.
func sweep() {
	if len(os.Args) != 2 {
		fail("usage: duckcluster sweep FOLDER")
	}
	folder := os.Args[1]
	// Ctrl-C in a terminal reaches this process as well, and must not end it before its work.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		fail("cannot watch the parent: %v", err)
	}
	// The parts are killed at the same moment and may still write while they die.
	var err error
	for range 100 {
		if err = os.RemoveAll(folder); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	fail("cannot remove %s: %v", folder, err)
}

package main

import (
	"os"

	"duckworker.dev/e2e/cluster/internal/sandbox"
)

// makeSandbox keeps the namespaces in which a real node runs.
func makeSandbox() {
	if err := sandbox.Main(); err != nil {
		fail("%v", err)
	}
	os.Exit(0)
}

// sandboxInit is the first process in them.
func sandboxInit() {
	if len(os.Args) != 2 {
		fail("usage: duckcluster sandbox-init STATE-FOLDER")
	}
	fail("%v", sandbox.First(os.Args[1]))
}

// enter runs another part in them.
func enter() {
	if len(os.Args) < 3 {
		fail("usage: duckcluster enter PID PART ARGS…")
	}
	code, err := sandbox.Enter(os.Args[1], os.Args[2:])
	if err != nil {
		fail("%v", err)
	}
	os.Exit(code)
}

// Package sandbox gives a real node a place of its own on the machine: a mount, a process and a
// network namespace. The kernel removes all three, with every process, mount, bridge and route in
// them, as soon as their first process dies, and that one dies with the test process. So whatever
// the node does to "its" machine, nothing of it stays, however the test ends.
package sandbox

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// Main makes the namespaces, says on a socket that they are there, and stays until it is told to
// stop (SIGTERM): when it ends then, the last process of the node is gone.
func Main() error {
	// The process that starts another one is, for the kernel, a thread: it must stay.
	runtime.LockOSThread()
	var links links
	flags := flag.NewFlagSet("sandbox", flag.ExitOnError)
	folder := flags.String("folder", "", "the state folder of the cluster")
	ready := flags.String("ready", "", "the socket on which somebody waits for the sandbox")
	group := flags.String("control-group", "", "the name of the control group for pods")
	links.define(flags)
	_ = flags.Parse(os.Args[1:]) // exits by itself

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	first, err := startFirst(*folder)
	if err != nil {
		return fmt.Errorf("cannot make namespaces: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- first.Wait() }()
	defer func() {
		_ = first.Process.Kill()
		<-ended
	}()
	if err := makeGroup(*group); err != nil {
		return err
	}
	if err := links.connect(first.Process.Pid); err != nil {
		return err
	}
	if err := announce(*ready, first.Process.Pid); err != nil {
		return fmt.Errorf("nobody waits for the sandbox: %w", err)
	}
	select {
	case <-stop:
		return nil
	case err := <-ended:
		ended <- err
		return fmt.Errorf("the first process of the sandbox ended: %w", err)
	}
}

// startFirst starts the first process of the namespaces, which dies with the thread that calls
// this, and returns when it has mounted what it must.
func startFirst(folder string) (*exec.Cmd, error) {
	mounted, report, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	first := exec.Command(self, "sandbox-init", folder)
	first.Stdout, first.Stderr = os.Stdout, os.Stderr
	first.ExtraFiles = []*os.File{report}
	first.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := first.Start(); err != nil {
		return nil, err
	}
	_ = report.Close()
	if n, _ := mounted.Read(make([]byte, 1)); n != 1 {
		return nil, fmt.Errorf("its first process failed: %w", first.Wait())
	}
	return first, nil
}

// announce tells the harness the id of the first process, by whose namespaces one enters.
func announce(socket string, pid int) error {
	connection, err := net.Dial("unix", socket)
	if err != nil {
		return err
	}
	defer connection.Close()
	return json.NewEncoder(connection).Encode(map[string]int{"pid": pid})
}

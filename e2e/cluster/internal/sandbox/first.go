package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// First is the first process in the namespaces. It mounts what the node needs, says so on
// descriptor 3, and then does what a process with the id 1 is for: it buries orphans.
func First(folder string) error {
	if err := mountAll(folder); err != nil {
		return err
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	report := os.NewFile(3, "report")
	if _, err := report.Write([]byte{1}); err != nil {
		return err
	}
	_ = report.Close()
	for {
		_, err := unix.Wait4(-1, nil, 0, nil)
		if errors.Is(err, unix.ECHILD) {
			<-children
		}
	}
}

// settings are what the kubelet wants of the whole kernel. It finds these values in place of the
// machine's own, and so leaves the machine's own alone.
var settings = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

func mountAll(folder string) error {
	// First of all: nothing that is mounted from here on is seen outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make mounts private: %w", err)
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if err := unix.Mount("proc", "/proc", "proc", flags|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	// Sockets of shims, names of network namespaces.
	if err := unix.Mount("tmpfs", "/run", "tmpfs", flags, "mode=0755"); err != nil {
		return fmt.Errorf("cannot mount /run: %w", err)
	}
	if err := allowPrograms(folder); err != nil {
		return fmt.Errorf("cannot run programs in %s: %w", folder, err)
	}
	// Programs write to these places whatever their settings say. What they write goes to the state
	// folder instead.
	for _, place := range []string{"/var/lib", "/var/log"} {
		if err := cover(place, filepath.Join(folder, "cover", filepath.Base(place))); err != nil {
			return fmt.Errorf("cannot cover %s: %w", place, err)
		}
	}
	for name, value := range settings {
		if err := pretend(filepath.Join("/proc/sys", name), value); err != nil {
			return fmt.Errorf("cannot cover the setting %s: %w", name, err)
		}
	}
	return nil
}

// allowPrograms lifts what may forbid programs and devices in a folder that lies in memory: images
// are unpacked there.
func allowPrograms(folder string) error {
	if err := unix.Mount(folder, folder, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	return unix.Mount("", folder, "", unix.MS_REMOUNT|unix.MS_BIND, "")
}

// cover lays a writable layer over a folder.
func cover(place, layer string) error {
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	for _, folder := range []string{upper, work} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", place, upper, work)
	return unix.Mount("overlay", place, "overlay", 0, options)
}

// pretend shows another value of a kernel setting. Where the kernel has no such setting, there is
// nothing to keep from a change.
func pretend(setting, value string) error {
	if _, err := os.Stat(setting); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	// Not in the state folder: the kubelet would take this for where that file system is mounted.
	file := filepath.Join("/run", "setting-"+filepath.Base(setting))
	if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
		return err
	}
	return unix.Mount(file, setting, "", unix.MS_BIND, "")
}

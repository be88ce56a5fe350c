package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
)

const hierarchies = "/sys/fs/cgroup"

// makeGroup makes the control group below which the kubelet puts those of all pods, in the one
// hierarchy that there is, or in that of each controller. Somebody must remove it afterwards: it
// outlives its processes.
func makeGroup(name string) error {
	parents := []string{hierarchies}
	if _, err := os.Stat(filepath.Join(hierarchies, "cgroup.controllers")); err != nil {
		parents, _ = filepath.Glob(filepath.Join(hierarchies, "*", "cgroup.procs"))
		for i := range parents {
			parents[i] = filepath.Dir(parents[i])
		}
	}
	for _, parent := range parents {
		if err := os.Mkdir(filepath.Join(parent, name), 0o755); err != nil {
			return fmt.Errorf("cannot make a control group: %w", err)
		}
	}
	return nil
}

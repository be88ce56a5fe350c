// Command duckcluster holds every part of a Kubernetes cluster in one binary, so that a test
// machine needs nothing but Go to run one: `duckcluster PART ARGS…` behaves as the part itself
// does. Each part stands in a file of its own.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	_ "time/tzdata" // CronJobs name time zones, and the machine may have no zone files.

	_ "k8s.io/component-base/logs/json/register"          // log format "json"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric

	// First of all, a process ties itself to the one that started it.
	_ "duckworker.dev/e2e/cluster/internal/tie"
)

// parts maps the name of each part to its main function, which finds its arguments in os.Args
// and never returns.
var parts = map[string]func(){
	"argocd-health":           health,
	"compact":                 compact,
	"enter":                   enter,
	"etcd":                    etcd,
	"kstatus":                 kstatus,
	"kube-apiserver":          apiServer,
	"kube-controller-manager": controllerManager,
	"kube-scheduler":          scheduler,
	"kubectl":                 kubectl,
	"kubelet":                 kubelet,
	"kwok":                    kwok,
	"run":                     run,
	"sandbox":                 makeSandbox,
	"sandbox-init":            sandboxInit,
}

func main() {
	// A link named after a part, such as `kubectl`, is that part.
	if part, ok := parts[filepath.Base(os.Args[0])]; ok {
		part()
		return
	}
	if len(os.Args) > 1 {
		if part, ok := parts[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			part()
			return
		}
	}
	fail("usage: duckcluster PART ARGS…, where PART is one of %s", strings.Join(names(), ", "))
}

func names() []string {
	var names []string
	for name := range parts {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// fail ends the process with a sentence that says why.
func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "duckcluster: "+format+"\n", args...)
	os.Exit(2)
}

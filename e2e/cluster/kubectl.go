package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // ways to sign in to a person's own cluster
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

// kubectl is the command line of Kubernetes, started exactly as its own main does.
func kubectl() {
	// The verbosity is needed before the command exists: kubectl logs while it is built.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // prints the error and exits
	}
}

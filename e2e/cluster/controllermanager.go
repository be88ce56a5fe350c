package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// controllerManager runs the built-in controllers: garbage collection, namespaces, accounts.
func controllerManager() {
	os.Exit(cli.Run(app.NewControllerManagerCommand()))
}

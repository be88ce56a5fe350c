package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

// apiServer serves the Kubernetes API over etcd.
func apiServer() {
	os.Exit(cli.Run(app.NewAPIServerCommand()))
}

package main

import (
	"context"
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kubelet/app"
)

// kubelet runs the pods of one node, by way of containerd.
func kubelet() {
	os.Exit(cli.Run(app.NewKubeletCommand(context.Background())))
}

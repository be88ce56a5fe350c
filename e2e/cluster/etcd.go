package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

// etcd stores the objects of the cluster.
func etcd() {
	etcdmain.Main(os.Args)
}

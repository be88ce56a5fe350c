package main

import (
	"context"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// compact makes etcd forget every version but the present one, so that a test sees how a client
// copes with a version that is no longer there.
func compact() {
	if len(os.Args) != 2 {
		fail("usage: duckcluster compact ENDPOINT")
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{os.Args[1]}})
	if err != nil {
		fail("cannot reach etcd: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	present, err := client.Get(ctx, "present-version")
	if err != nil {
		fail("cannot read from etcd: %v", err)
	}
	revision := present.Header.Revision
	if _, err := client.Compact(ctx, revision, clientv3.WithCompactPhysical()); err != nil {
		fail("cannot compact etcd: %v", err)
	}
}

// Small programs for pods of tests. Apart from the cluster's module: they need nothing but Go.
module duckworker.dev/e2e/pods

go 1.26.0

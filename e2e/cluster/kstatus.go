package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// kstatus reads objects, or lists of objects, as JSON from its input and prints a line for each:
// what the library that Flux and kpt wait with says of it, its kind and name, and why.
func kstatus() {
	input := json.NewDecoder(os.Stdin)
	for {
		var text json.RawMessage
		err := input.Decode(&text)
		if errors.Is(err, io.EOF) {
			os.Exit(0)
		}
		if err != nil {
			fail("this is no JSON: %v", err)
		}
		object, err := runtime.Decode(unstructured.UnstructuredJSONScheme, text)
		if err != nil {
			fail("this is no object of Kubernetes: %v", err)
		}
		if err := judge(object); err != nil {
			fail("kstatus cannot judge this: %v", err)
		}
	}
}

// judge prints the line of an object, or those of a list.
func judge(object runtime.Object) error {
	list, ok := object.(*unstructured.UnstructuredList)
	if ok {
		return list.EachListItem(judge)
	}
	one, ok := object.(*unstructured.Unstructured)
	if !ok {
		return fmt.Errorf("it is a %T", object)
	}
	result, err := status.Compute(one)
	if err != nil {
		return err
	}
	fmt.Printf("%s\t%s/%s\t%s\n", result.Status, one.GetKind(), one.GetName(), result.Message)
	return nil
}

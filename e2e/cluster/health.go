package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

// health runs a health script of Argo CD over objects that it reads as JSON from its input, in the
// interpreter that Argo CD has, and prints a line for each: the health and the message.
func health() {
	if len(os.Args) != 2 {
		fail("usage: duckcluster argocd-health SCRIPT < OBJECTS")
	}
	script, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("no script: %v", err)
	}
	input := json.NewDecoder(os.Stdin)
	for {
		var object json.RawMessage
		err := input.Decode(&object)
		if errors.Is(err, io.EOF) {
			os.Exit(0)
		}
		if err != nil {
			fail("this is no JSON: %v", err)
		}
		if err := assess(string(script), object); err != nil {
			fail("the script fails: %v", err)
		}
	}
}

// assess gives the script its object as the global `obj`, and prints what it returns.
func assess(script string, object []byte) error {
	state := lua.NewState()
	defer state.Close()
	value, err := luajson.Decode(state, object)
	if err != nil {
		return err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		return err
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return fmt.Errorf("it returns a %s", state.Get(-1).Type())
	}
	fmt.Printf("%s\t%s\n", answer.RawGetString("status"), answer.RawGetString("message"))
	return nil
}

// Command stub stands in for a worker where a test is about the pod around it: it serves HTTP, and
// can be made to misbehave. It speaks no worker protocol.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const (
	step = 4 << 20                // how much memory a greedy stub takes at once
	beat = 100 * time.Millisecond // from one line of a stream to the next
)

func main() {
	address := ":8816"
	if value, set := os.LookupEnv("STUB_ADDRESS"); set {
		address = value
	}
	http.HandleFunc("GET /", hello)
	http.HandleFunc("GET /stream", stream)
	http.HandleFunc("POST /exit", exit)
	http.HandleFunc("POST /eat", eat)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		log.Print("told to stop")
		os.Exit(0)
	}()
	log.Printf("serving on %s", address)
	server := http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// hello says who answers.
func hello(w http.ResponseWriter, _ *http.Request) {
	host, _ := os.Hostname()
	fmt.Fprintf(w, "stub %s, user %d\n", host, os.Getuid())
}

// stream goes on until the client leaves, as a long query does.
func stream(w http.ResponseWriter, request *http.Request) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for number := 0; ; number++ {
		fmt.Fprintf(w, "%d\n", number)
		w.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-request.Context().Done():
			return
		}
	}
}

// exit ends the process with an exit code of the caller's choice.
func exit(_ http.ResponseWriter, request *http.Request) {
	code, err := strconv.Atoi(request.FormValue("code"))
	if err != nil {
		code = 1
	}
	os.Exit(code)
}

// eat takes memory, and uses it, until the kernel ends that.
func eat(http.ResponseWriter, *http.Request) {
	var eaten [][]byte
	for {
		bite := make([]byte, step)
		for at := 0; at < len(bite); at += 4096 {
			bite[at] = 1
		}
		eaten = append(eaten, bite)
	}
}

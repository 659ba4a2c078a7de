// Command daemon stands in for enrollgate in the harness's own tests: it
// behaves as its first argument says.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	mode, data := os.Args[1], os.Args[3]
	if mode == "fail" {
		fmt.Fprintln(os.Stderr, "cannot start")
		os.Exit(1)
	}
	run := []byte(`{"https":"127.0.0.1:1","http":"127.0.0.1:2","pid":3}`)
	if err := os.WriteFile(filepath.Join(data, "run.json"), run, 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Print("not ready\nrea")
	fmt.Println("dy")
	if mode == "quit" {
		return
	}
	<-stop
	fmt.Fprintln(os.Stderr, "draining")
	if mode == "dirty" {
		os.Exit(66)
	}
}

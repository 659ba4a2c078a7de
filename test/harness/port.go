package harness

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Free ports come from below the ranges that systems take ports from for outgoing
// connections, one of which could otherwise sit on a port before its test listens.
const (
	firstPort = 10240
	portCount = 20000
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on now, and that
// this process has not been given before. Prefer port 0 where the program under
// test can report what it was given.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	return port
}

func freePort() (int, error) {
	for range 200 {
		port := firstPort + rand.IntN(portCount)
		if _, taken := givenPorts.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port between %d and %d", firstPort, firstPort+portCount-1)
}

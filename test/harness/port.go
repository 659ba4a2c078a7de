package harness

import (
	"net"
	"testing"
)

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on now. Prefer
// port 0 where the program under test can report what it was given.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatalf("harness: %v", err)
	}
	return port
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

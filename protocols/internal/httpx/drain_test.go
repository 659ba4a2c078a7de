package httpx

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestDrain: a client that closes its connection behind the request, and is still
// writing when it is refused, gets its answer.
func TestDrain(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer Drain(w, r)
		http.Error(w, "no", http.StatusRequestEntityTooLarge)
	}))
	defer server.Close()
	for name, length := range map[string]int{"nothing": 0, "little": 10, "much": maxDrained, "too much": maxDrained + 1} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", length)
		time.Sleep(20 * time.Millisecond) // it is answered by now
		for body := make([]byte, length); len(body) > 0; body = body[min(len(body), 32<<10):] {
			if _, err := conn.Write(body[:min(len(body), 32<<10)]); err != nil {
				t.Errorf("%s: %s", name, err)
			}
		}
		time.Sleep(20 * time.Millisecond) // a reset would be here by now
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 413 ")) {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		conn.Close()
	}
}

// TestDrainExpect: a client that waits to be asked for its body is answered at once.
func TestDrainExpect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer Drain(w, r)
		http.Error(w, "no", http.StatusUnauthorized)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("%v, %v", answer, err)
	}
}

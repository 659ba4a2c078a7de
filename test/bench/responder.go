package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// responder is the outside world that the daemon asks: a DNS server by which
// every name has the address 127.0.0.1, and the web server of all those names.
type responder struct {
	web     net.Listener
	dns     net.PacketConn
	answers sync.Map // token to key authorization
	fetched atomic.Int64
}

func newResponder(h *host) *responder {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	h.check("listen for http-01", err)
	dns, err := net.ListenPacket("udp", "127.0.0.1:0")
	h.check("listen for DNS", err)
	r := &responder{web: web, dns: dns}
	var served sync.WaitGroup
	served.Go(r.serveWeb)
	served.Go(r.serveDNS)
	h.Cleanup(func() {
		web.Close() // both errors only say that they were closed
		dns.Close()
		served.Wait()
	})
	return r
}

// lines are the configuration that points a daemon here.
func (r *responder) lines() string {
	return fmt.Sprintf("acme: {resolvers: [%q], http01: {port: %d}}\n", r.dns.LocalAddr(), r.web.Addr().(*net.TCPAddr).Port)
}

func (r *responder) put(token, answer string) { r.answers.Store(token, answer) }
func (r *responder) drop(token string)        { r.answers.Delete(token) }

func (r *responder) serveWeb() {
	for {
		conn, err := r.web.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go r.answer(conn)
		}
	}
}

// answer reads one request and closes the connection.
func (r *responder) answer(conn net.Conn) {
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(requestTimeout)) != nil {
		return // closed by the other side
	}
	in := bufio.NewReaderSize(io.LimitReader(conn, 8<<10), 1<<10)
	first, err := in.ReadString('\n')
	for line := first; err == nil && line != "\r\n"; {
		line, err = in.ReadString('\n')
	}
	if err != nil {
		return
	}
	_, path, _ := strings.Cut(first, " ")
	path, _, _ = strings.Cut(path, " ")
	status, body := "404 Not Found", ""
	if token, ok := strings.CutPrefix(path, "/.well-known/acme-challenge/"); ok {
		if value, known := r.answers.Load(token); known {
			status, body = "200 OK", value.(string)
			r.fetched.Add(1)
		}
	}
	fmt.Fprintf(conn, "HTTP/1.1 %s\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(body), body)
}

func (r *responder) serveDNS() {
	buffer := make([]byte, 1500)
	for {
		n, from, err := r.dns.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if a := dnsAnswer(buffer[:n]); a != nil {
			r.dns.WriteTo(a, from) // a lost answer is asked for again
		}
	}
}

// dnsAnswer answers one question (RFC 1035 section 4.1): type A with
// 127.0.0.1, every other type with nothing. It is nil for what is no question.
func dnsAnswer(q []byte) []byte {
	const header = 12
	end := header
	for end < len(q) && q[end] != 0 { // labels; a question has no compression
		end += 1 + int(q[end])
	}
	end += 5 // the root label, type and class
	if len(q) < end || q[2]&0x80 != 0 || q[4] != 0 || q[5] != 1 {
		return nil
	}
	a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[header:end]...)
	if q[end-4] == 0 && q[end-3] == 1 {
		a[7] = 1
		a = append(a, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return a
}

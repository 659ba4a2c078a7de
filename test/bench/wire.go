package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// wire is one client's connection to the daemon: HTTP/1.1, over TLS or not, written by
// hand so that the generator takes little of the machine that it measures.
type wire struct {
	address string      // what is dialled
	host    string      // what the certificate and the Host header say
	head    string      // header lines of what has a body
	config  *tls.Config // nil: plain HTTP
	conn    net.Conn
	in      *bufio.Reader
	out     bytes.Buffer
}

// reply is an answer; headers that nobody here reads are dropped.
type reply struct {
	status   int
	nonce    string
	location string
	body     []byte
}

// requestTimeout bounds one exchange.
const requestTimeout = 30 * time.Second

// maxReply bounds a body.
const maxReply = 1 << 20

func newWire(address, host string, roots *x509.CertPool) *wire {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return &wire{address: address, host: host, head: "Content-Type: application/jose+json\r\n", config: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS13}}
}

// hangUp ends the connection; the next request opens another one.
func (w *wire) hangUp() {
	if w.conn != nil {
		w.conn.Close() // what it might say changes nothing
		w.conn = nil
	}
}

func (w *wire) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: requestTimeout}
	if w.config == nil {
		return d.Dial("tcp", w.address)
	}
	return tls.DialWithDialer(d, "tcp", w.address, w.config)
}

func (w *wire) connect() error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.dial()
	if err != nil {
		return err
	}
	w.conn = conn
	if w.in == nil {
		w.in = bufio.NewReaderSize(conn, 8<<10)
	} else {
		w.in.Reset(conn)
	}
	return nil
}

// do sends one request with a path below the host and reads its answer.
func (w *wire) do(method, path string, body []byte) (r reply, err error) {
	if err := w.connect(); err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			w.hangUp()
		}
	}()
	if err := w.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return r, err
	}
	w.out.Reset()
	fmt.Fprintf(&w.out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: enrollgate-bench\r\n", method, path, w.host)
	if body != nil {
		fmt.Fprintf(&w.out, "%sContent-Length: %d\r\n", w.head, len(body))
	}
	w.out.WriteString("\r\n")
	w.out.Write(body)
	if _, err := w.conn.Write(w.out.Bytes()); err != nil {
		return r, err
	}
	return w.read(method == "HEAD")
}

func (w *wire) read(bodyless bool) (r reply, err error) {
	line, err := w.line()
	if err != nil {
		return r, err
	}
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.1 ") {
		return r, fmt.Errorf("not an HTTP/1.1 status line: %q", line)
	}
	if r.status, err = strconv.Atoi(line[9:12]); err != nil {
		return r, err
	}
	length, chunked, last := -1, false, false
	for {
		line, err := w.line()
		if err != nil {
			return r, err
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "replay-nonce":
			r.nonce = value
		case "location":
			r.location = value
		case "transfer-encoding":
			chunked = value == "chunked"
		case "connection":
			last = value == "close"
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil {
				return r, err
			}
		}
	}
	switch {
	case bodyless || r.status == 204:
	case chunked:
		r.body, err = w.chunks()
	case length < 0 || length > maxReply:
		return r, fmt.Errorf("an answer of %d octets", length)
	default:
		r.body = make([]byte, length)
		_, err = io.ReadFull(w.in, r.body)
	}
	if last {
		w.hangUp()
	}
	return r, err
}

func (w *wire) chunks() (all []byte, err error) {
	for {
		line, err := w.line()
		if err != nil {
			return nil, err
		}
		size, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return nil, err
		}
		if len(all)+int(size) > maxReply {
			return nil, errors.New("an answer without end")
		}
		chunk := make([]byte, size+2) // and its line end
		if _, err := io.ReadFull(w.in, chunk); err != nil {
			return nil, err
		}
		if size == 0 {
			return all, nil
		}
		all = append(all, chunk[:size]...)
	}
}

func (w *wire) line() (string, error) {
	line, err := w.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/crypto/acme"
)

// Solver answers challenges of one type.
type Solver interface {
	Type() string
	// Present answers for a name until done is called, which frees the address.
	Present(c *acme.Client, token, name string) (done func() error, err error)
}

// HTTP01 answers http-01 (RFC 8555 section 8.3) on an address, HOST:PORT, while a
// challenge waits.
type HTTP01 struct{ Address string }

// Type implements Solver.
func (HTTP01) Type() string { return "http-01" }

// Present implements Solver.
func (h HTTP01) Present(c *acme.Client, token, _ string) (func() error, error) {
	answer, err := c.HTTP01ChallengeResponse(token)
	if err != nil {
		return nil, err
	}
	path := c.HTTP01ChallengePath(token)
	return present(h.Address, nil, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != path {
			http.NotFound(w, q)
			return
		}
		io.WriteString(w, answer) // an error means that the gateway is gone
	})
}

// TLSALPN01 answers tls-alpn-01 (RFC 8737) likewise.
type TLSALPN01 struct{ Address string }

// Type implements Solver.
func (TLSALPN01) Type() string { return "tls-alpn-01" }

// Present implements Solver.
func (a TLSALPN01) Present(c *acme.Client, token, name string) (func() error, error) {
	own, err := c.TLSALPN01ChallengeCert(token, name)
	if err != nil {
		return nil, err
	}
	return present(a.Address, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, NextProtos: []string{acme.ALPNProto}}, http.NotFound)
}

// present serves on an address until done.
func present(address string, t *tls.Config, h http.HandlerFunc) (done func() error, err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, failure("Challenges are answered there: give an address that is free by --http-01 or --tls-alpn-01, which the port that the gateway asks leads to.", "cannot answer challenges: %w", err)
	}
	if t != nil {
		l = tls.NewListener(l, t)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){acme.ALPNProto: func(*http.Server, *tls.Conn, http.Handler) {}}}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.Shutdown(ctx) != nil { // the gateway holds a connection open
			if err := s.Close(); err != nil {
				return err
			}
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}, nil
}

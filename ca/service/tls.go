// Package service keeps the gateway's own certificates: they are enrolled
// through the Authority like any other, by a system caller, under profiles of
// their own, and renewed at two thirds of their life.
package service

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
)

// Enroller is what a service asks of the Authority.
type Enroller interface {
	Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result
}

// TLS is the gateway's own TLS certificate: a fresh P-256 key with every
// certificate, both in one file that only the daemon can read.
type TLS struct {
	Enroller Enroller
	Endpoint string   // the system endpoint bound to the TLS profile
	Tenant   string   //
	Names    []string // DNS names and IP addresses of the listeners
	File     string   // PEM: key and chain; its folder must exist
	// Issuer gives the CA's generation that signs now: a certificate that
	// another one issued is replaced.
	Issuer  func() (ca.Issuer, error)
	Callers caller.Verifier
	Claims  claim.Verifier
	Log     *slog.Logger
	Now     func() time.Time

	current atomic.Pointer[tls.Certificate]
}

// Ready loads the certificate from its file, or enrolls one where there is
// none, where it is due, or where names or issuer have changed. A file that others
// may read is taken for none: its key may be known to them.
func (s *TLS) Ready(ctx context.Context) error { return s.keeper().ready(ctx) }

// Keep renews the certificate at two thirds of its life, and when its CA is
// rolled over, until ctx ends; it looks once a minute, and a failure is tried again at the next look.
func (s *TLS) Keep(ctx context.Context) { s.keeper().keep(ctx) }

func (s *TLS) keeper() *keeper {
	return &keeper{name: "tls", enroller: s.Enroller, file: s.File, issuer: s.Issuer, fits: s.fits, request: s.request, log: s.Log, now: s.Now, current: &s.current}
}

// Certificate serves handshakes; a renewed certificate needs no restart.
func (s *TLS) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.current.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("the gateway has no TLS certificate yet")
}

// fits tells whether the certificate is what would be enrolled now.
func (s *TLS) fits(leaf *x509.Certificate) bool {
	if len(leaf.DNSNames)+len(leaf.IPAddresses) != len(s.Names) {
		return false
	}
	for _, n := range s.Names {
		if leaf.VerifyHostname(n) != nil {
			return false
		}
	}
	return true
}

func (s *TLS) request(key crypto.PublicKey) (*ca.Request, error) {
	now := s.Now()
	r, err := asking{s.Callers, s.Claims, caller.ServiceIdentity{Tenant: s.Tenant, Name: "tls", At: now}}.request(s.Endpoint, key)
	if err != nil {
		return nil, err
	}
	for _, n := range s.Names {
		ev := claim.ServiceName{Owner: r.Caller.ID(), At: now}
		if ip, err := netip.ParseAddr(n); err == nil {
			ev.IP = ip
		} else {
			ev.DNS = n
		}
		c, err := claim.FromServiceName(s.Claims, ev)
		if err != nil {
			return nil, err
		}
		r.Claims = append(r.Claims, c)
	}
	return r, nil
}

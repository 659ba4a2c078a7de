// Package service keeps the gateway's own certificates: they are enrolled
// through the Authority like any other, by a system caller, under profiles of
// their own, and renewed at two thirds of their life.
package service

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
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
	// IssuerKeyID is the key identifier of the CA's current generation: a
	// certificate that another one issued is replaced at start.
	IssuerKeyID []byte
	Callers     caller.Verifier
	Claims      claim.Verifier
	Log         *slog.Logger
	Now         func() time.Time

	current atomic.Pointer[tls.Certificate]
}

// Ready loads the certificate from its file, or enrolls one where there is
// none, where it is due, or where names or issuer have changed. A file that others
// may read is taken for none: its key may be known to them.
func (s *TLS) Ready(ctx context.Context) error {
	cert, err := s.load()
	if err == nil && !s.due(cert.Leaf) && s.fits(cert.Leaf) {
		s.current.Store(cert)
		return nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.Log.Warn("service.tls.unreadable", "file", s.File, "error", err)
	}
	return s.renew(ctx)
}

// Keep renews the certificate at two thirds of its life until ctx ends; it
// looks once a minute, and a failure is tried again at the next look.
func (s *TLS) Keep(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !s.due(s.current.Load().Leaf) {
				continue
			}
			if err := s.renew(ctx); err != nil {
				s.Log.Error("service.tls.renewal", "error", err, "not_after", s.current.Load().Leaf.NotAfter)
			}
		}
	}
}

// Certificate serves handshakes; a renewed certificate needs no restart.
func (s *TLS) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.current.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("the gateway has no TLS certificate yet")
}

func (s *TLS) due(leaf *x509.Certificate) bool {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return !s.Now().Before(leaf.NotBefore.Add(life * 2 / 3))
}

// fits tells whether the certificate is what would be enrolled now.
func (s *TLS) fits(leaf *x509.Certificate) bool {
	if !bytes.Equal(leaf.AuthorityKeyId, s.IssuerKeyID) || len(leaf.DNSNames)+len(leaf.IPAddresses) != len(s.Names) {
		return false
	}
	for _, n := range s.Names {
		if leaf.VerifyHostname(n) != nil {
			return false
		}
	}
	return true
}

func (s *TLS) load() (*tls.Certificate, error) {
	f, err := os.Open(s.File)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("mode %s: this must be a file of mode 0600", info.Mode())
	}
	data, err := io.ReadAll(io.LimitReader(f, maxChain))
	if err != nil {
		return nil, err
	}
	cert, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, err
	}
	if cert.Leaf == nil {
		return nil, errors.New("no certificate in the file")
	}
	return &cert, nil
}

// renew enrolls a new key and puts it to use once it is safely on disk.
func (s *TLS) renew(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := s.request(key)
	if err != nil {
		return err
	}
	result := s.Enroller.Enroll(ctx, request)[0]
	if result.Err != nil {
		return fmt.Errorf("enroll: %w", result.Err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var file bytes.Buffer
	blocks := []*pem.Block{{Type: "PRIVATE KEY", Bytes: private}, {Type: "CERTIFICATE", Bytes: result.Certificate.DER}}
	for _, der := range result.Chain {
		blocks = append(blocks, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	for _, b := range blocks {
		if err := pem.Encode(&file, b); err != nil {
			return err
		}
	}
	if err := replaceFile(s.File, file.Bytes()); err != nil {
		return err
	}
	cert, err := s.load()
	if err != nil {
		return err
	}
	s.current.Store(cert)
	s.Log.Info("service.tls.renewed", "not_after", cert.Leaf.NotAfter, "serial", result.Certificate.Serial.String())
	return nil
}

func (s *TLS) request(key *ecdsa.PrivateKey) (*ca.Request, error) {
	now := s.Now()
	who, err := caller.FromService(s.Callers, caller.ServiceIdentity{Tenant: s.Tenant, Name: "tls", At: now})
	if err != nil {
		return nil, err
	}
	public, err := pkix.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	possession, err := claim.OwnKey(s.Claims, public)
	if err != nil {
		return nil, err
	}
	r := &ca.Request{Trace: ca.NewTrace(), Endpoint: s.Endpoint, Operation: ca.Enroll, Caller: who, Possession: possession}
	for _, n := range s.Names {
		ev := claim.ServiceName{Owner: who.ID(), At: now}
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

// replaceFile writes a file that only its owner reads, whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tls-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

package service

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/status"
)

// Responder is the delegated OCSP signer of one CA (RFC 6960 section 4.2.2.2):
// a certificate of the generation that signs now, for a key that is made with
// it, or held elsewhere. A delegate must come from the very key that issued what
// it answers for, so other generations sign their own answers: see Of.
type Responder struct {
	Enroller   Enroller
	Endpoint   string // the system endpoint bound to the responder's profile
	Tenant, CA string
	File       string                        // PEM: key and chain; "" keeps both in memory, made anew at each start
	Key        keys.Signer                   // nil: a fresh P-256 key with every certificate; else File is not used
	Issuer     func() (ca.Issuer, error)     // the CA's generation that signs now
	ByName     bool                          // answers name the responder by its subject instead of its key
	Direct     func(ca.Issuer) status.Signer // signs for the generations before
	Callers    caller.Verifier
	Claims     claim.Verifier
	Log        *slog.Logger
	Now        func() time.Time

	preparing sync.Mutex
	current   atomic.Pointer[tls.Certificate]
	signatory atomic.Pointer[signing]
}

// signing is a signatory and the certificate that it was made of.
type signing struct {
	from *tls.Certificate
	status.Signatory
}

var _ status.Signer = signs{}

const responderName = "ocsp"

func (s *Responder) keeper() *keeper {
	k := &keeper{name: responderName, enroller: s.Enroller, file: s.File, issuer: s.Issuer, fits: s.fits, request: s.request, log: s.Log, now: s.Now, current: &s.current}
	if s.Key != nil {
		k.key = keys.Standard(s.Key, ca.LaneStatus, s.Tenant, 10*time.Second)
	}
	return k
}

// Ready loads or enrolls the certificate, once for each generation of the CA.
func (s *Responder) Ready(ctx context.Context) error {
	s.preparing.Lock()
	defer s.preparing.Unlock()
	k := s.keeper()
	if c := s.current.Load(); c != nil && !k.superseded(c.Leaf) {
		return nil
	}
	return k.ready(ctx)
}

// Look renews the certificate where it is due, and enrolls it where nobody could
// so far or another generation of the CA has taken over.
func (s *Responder) Look(ctx context.Context) {
	if c := s.current.Load(); c == nil || s.keeper().superseded(c.Leaf) {
		if err := s.Ready(ctx); err != nil {
			s.Log.Error("service.renewal", "service", responderName, "error", err)
		}
		return
	}
	s.keeper().look(ctx)
}

// NotAfter is when the certificate in use ends; zero where there is none.
func (s *Responder) NotAfter() time.Time {
	if c := s.current.Load(); c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}

// Of gives who signs for what a generation of the CA issued: the delegate while
// that generation signs, and else the generation itself.
func (s *Responder) Of(generation ca.Issuer) status.Signer { return signs{s, generation} }

type signs struct {
	delegate *Responder
	ca.Issuer
}

func (s signs) Signatory(ctx context.Context) (*status.Signatory, error) {
	now, err := s.delegate.Issuer()
	f := s.Facts()
	if err != nil || !bytes.Equal(now.Facts().KeyID, f.KeyID) || !bytes.Equal(now.Facts().Key.Raw(), f.Key.Raw()) {
		return s.delegate.Direct(s.Issuer).Signatory(ctx)
	}
	return s.delegate.Signatory(ctx)
}

// Signatory gives the delegate. The first call, and the first after a rollover,
// makes its certificate.
func (s *Responder) Signatory(ctx context.Context) (*status.Signatory, error) {
	c := s.current.Load()
	if c == nil || s.keeper().superseded(c.Leaf) {
		if err := s.Ready(ctx); err != nil {
			return nil, ca.UnavailableError(err, time.Minute)
		}
		c = s.current.Load()
	}
	if now := s.Now(); !now.Before(c.Leaf.NotAfter) {
		return nil, ca.UnavailableError(errors.New("the OCSP responder's certificate has ended"), time.Minute)
	}
	if last := s.signatory.Load(); last != nil && last.from == c {
		return &last.Signatory, nil
	}
	made, err := s.sign(c)
	if err != nil {
		return nil, ca.InternalError(err)
	}
	s.signatory.Store(made)
	return &made.Signatory, nil
}

func (s *Responder) sign(c *tls.Certificate) (*signing, error) {
	cert, err := pkix.ParseCertificate(c.Certificate[0])
	if err != nil {
		return nil, err
	}
	algorithm, err := pkix.SignatureFor(cert.Key)
	if err != nil {
		return nil, err
	}
	out := &signing{from: c, Signatory: status.Signatory{Responder: status.ResponderID(cert.Subject, cert.Key, s.ByName),
		Certificates: [][]byte{c.Certificate[0]}, Algorithm: algorithm, NotAfter: cert.NotAfter}}
	if s.Key != nil {
		out.Sign = func(ctx context.Context, tbs []byte) ([]byte, error) {
			return s.Key.Sign(ctx, ca.LaneStatus, s.Tenant, algorithm.Digest(tbs), algorithm.Hash)
		}
		return out, nil
	}
	key, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the OCSP responder's key is not an ECDSA key")
	}
	out.Sign = func(_ context.Context, tbs []byte) ([]byte, error) {
		digest := sha256.Sum256(tbs)
		return key.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	return out, nil
}

// fits tells whether the certificate is what would be enrolled now.
func (s *Responder) fits(leaf *x509.Certificate) bool {
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	return ok && key.Params().BitSize == 256 &&
		len(leaf.ExtKeyUsage) == 1 && leaf.ExtKeyUsage[0] == x509.ExtKeyUsageOCSPSigning
}

func (s *Responder) request(key crypto.PublicKey) (*ca.Request, error) {
	return asking{s.Callers, s.Claims, caller.ServiceIdentity{Tenant: s.Tenant, Name: responderName, At: s.Now()}}.request(s.Endpoint, key)
}

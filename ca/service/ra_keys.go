package service

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// raKeys is what the store held of an RA at one time. It does not change.
type raKeys struct {
	rows    []ca.ServiceCertificate // by number
	keys    []*RAKey                // of those that can be used here, by number
	closed  error                   // why one that has not ended cannot
	revoked bool                    // the newest is
}

// newest is the current certificate, or before anybody made one nil. Where its
// key does not open here the one before it is still good.
func (h *raKeys) newest() *RAKey {
	if h == nil || len(h.keys) == 0 {
		return nil
	}
	return h.keys[len(h.keys)-1]
}

func (h *raKeys) find(r Recipient, now time.Time) *RAKey {
	if h == nil {
		return nil
	}
	for i := len(h.keys) - 1; i >= 0; i-- {
		k := h.keys[i]
		byID := len(r.KeyID) > 0 && bytes.Equal(r.KeyID, subjectKeyID(k.Certificate))
		bySerial := len(r.KeyID) == 0 && bytes.Equal(r.Issuer, k.Certificate.Issuer) && bytes.Equal(r.Serial, k.Certificate.Serial)
		if (byID || bySerial) && now.Before(k.Certificate.NotAfter) {
			return k
		}
	}
	return nil
}

// subjectKeyID is what the certificate says, or else method 1 of RFC 5280
// section 4.2.1.2.
func subjectKeyID(c *pkix.Certificate) []byte {
	if ext, ok := pkix.FindExtension(c.Extensions, pkix.OIDSubjectKeyID); ok {
		if id, err := pkix.ParseSubjectKeyID(ext.Value); err == nil {
			return id
		}
	}
	return c.Key.KeyID()
}

// refresh reads the store and opens what is new there.
func (s *RA) refresh(ctx context.Context) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	was := s.held.Load()
	rows, err := s.Store.ServiceCertificates(ctx, s.Tenant, s.CA, RAName)
	if err != nil {
		return err
	}
	next := &raKeys{rows: rows}
	for i := range rows {
		if i < len(rows)-1 && !s.Now().Before(rows[i].NotAfter) {
			continue
		}
		k, err := s.take(ctx, was, &rows[i])
		if err != nil {
			next.closed = fmt.Errorf("certificate %d: %w", rows[i].Number, err)
			continue
		}
		next.keys = append(next.keys, k)
	}
	if next.revoked, err = s.revoked(ctx, next); err != nil {
		return err
	}
	s.held.Store(next)
	return nil
}

// revoked asks how the newest certificate stands.
func (s *RA) revoked(ctx context.Context, h *raKeys) (bool, error) {
	newest := h.newest()
	if newest == nil || newest.Number != h.rows[len(h.rows)-1].Number || len(newest.Certificate.Serial) != ca.SerialSize {
		return false, nil
	}
	c, err := s.Store.Certificate(ctx, s.Tenant, s.CA, ca.Serial(newest.Certificate.Serial))
	switch {
	case ca.IsKind(err, ca.NotFound): // dropped with its month
		return false, nil
	case err != nil:
		return false, err
	}
	return c.State == ca.Revoked, nil
}

// take opens a row, where that was not done before.
func (s *RA) take(ctx context.Context, was *raKeys, row *ca.ServiceCertificate) (*RAKey, error) {
	k := &RAKey{Number: row.Number}
	if was != nil {
		for _, before := range was.keys {
			if before.Number == row.Number && bytes.Equal(before.Certificate.Raw, row.DER) {
				*k = *before
			}
		}
	}
	if k.Certificate == nil {
		cert, err := pkix.ParseCertificate(row.DER)
		if err != nil {
			return nil, err
		}
		if k.Key, err = s.open(ctx, row); err != nil {
			return nil, err
		}
		public, err := pkix.NewPublicKey(k.Key.Public())
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(public.Raw(), cert.Key.Raw()) {
			return nil, errors.New("the key is not the one of the certificate")
		}
		k.Certificate = cert
	}
	if len(k.Chain) == 0 { // a generation that another replica made may not be known here yet
		k.Chain = s.chainOf(k.Certificate)
	}
	return k, nil
}

// open unseals a row's key, or opens it where it is held.
func (s *RA) open(ctx context.Context, row *ca.ServiceCertificate) (keys.Decrypter, error) {
	if row.KeyURI != "" {
		return s.elsewhere(ctx, row.KeyURI)
	}
	plain, err := s.Sealing.Open(ctx, seal.RA, s.Tenant, s.rowID(row.Number), row.Sealed)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	key, err := s.Ring.FromPKCS8(plain)
	if err != nil {
		return nil, err
	}
	return decrypter(key)
}

func (s *RA) elsewhere(ctx context.Context, uri string) (keys.Decrypter, error) {
	key, err := s.Ring.Open(ctx, uri, s.Secret)
	if err != nil {
		return nil, err
	}
	return decrypter(key)
}

func decrypter(key keys.Signer) (keys.Decrypter, error) {
	d, ok := key.(keys.Decrypter)
	if _, isRSA := key.Public().(*rsa.PublicKey); !ok || !isRSA {
		return nil, ca.Errorf(ca.BadRequest, "a registration authority has an RSA key that may sign and decrypt; this one is another")
	}
	return d, nil
}

// rowID is what a sealed key is bound to, beside its tenant.
func (s *RA) rowID(number int) string {
	return fmt.Sprintf("service-certificate/%s/%s/%d", s.CA, RAName, number)
}

func (s *RA) chainOf(cert *pkix.Certificate) [][]byte {
	for _, i := range s.Issuers() {
		if f := i.Facts(); bytes.Equal(cert.Issuer, f.Subject) && cert.CheckSignatureFrom(f.Key) == nil {
			return f.Chain
		}
	}
	return nil
}

// renew enrolls a certificate: it is recorded together with its key, while the
// lease is held, or not at all.
func (s *RA) renew(ctx context.Context, lease *ca.Lease, why string) error {
	row := &ca.ServiceCertificate{Tenant: s.Tenant, CA: s.CA, Service: RAName, Number: 1, KeyURI: s.KeyURI}
	if rows := s.held.Load().rows; len(rows) > 0 {
		row.Number = rows[len(rows)-1].Number + 1
	}
	public, err := s.key(ctx, row)
	if err != nil {
		return err
	}
	request, err := s.request(public)
	if err != nil {
		return err
	}
	request.Effects = []ca.Effect{s.Store.Held(lease), s.Store.KeepServiceCertificate(row)}
	result := s.Enroller.Enroll(ctx, request)[0]
	if lost := (*ca.LostEffect)(nil); errors.As(result.Err, &lost) {
		return errors.New("another replica took over meanwhile; the certificate was not recorded")
	}
	if result.Err != nil {
		return fmt.Errorf("enroll: %w", result.Err)
	}
	s.Log.Info("service.renewed", "service", RAName, "tenant", s.Tenant, "ca", s.CA, "number", row.Number, "why", why,
		"not_after", result.Certificate.NotAfter, "serial", result.Certificate.Serial.String())
	return nil
}

// key gives the public half of the key that is held elsewhere, or of a fresh one
// that it seals into the row.
func (s *RA) key(ctx context.Context, row *ca.ServiceCertificate) (crypto.PublicKey, error) {
	if s.KeyURI != "" {
		key, err := s.elsewhere(ctx, s.KeyURI)
		if err != nil {
			return nil, err
		}
		return key.Public(), nil
	}
	generate := s.generate
	if generate == nil {
		generate = func() ([]byte, crypto.PublicKey, error) { return keys.NewPKCS8("rsa-2048") }
	}
	plain, public, err := generate()
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	row.Sealed, err = s.Sealing.Seal(ctx, seal.RA, s.Tenant, s.rowID(row.Number), plain)
	return public, err
}

func (s *RA) request(key crypto.PublicKey) (*ca.Request, error) {
	return asking{s.Callers, s.Claims, caller.ServiceIdentity{Tenant: s.Tenant, Name: RAName, At: s.Now()}}.request(s.Endpoint, key)
}

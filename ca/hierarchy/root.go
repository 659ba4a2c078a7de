package hierarchy

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// MakeRoot makes a root's key where there is none, and its self-signed
// certificate, in DER. Nothing is recorded: it needs neither store nor
// configuration, and so works on a machine without a network.
func MakeRoot(ctx context.Context, ring *keys.Ring, linter ca.Linter, key Key, subject pkix.RawName, pathLen, years int, now time.Time, log *Log) ([]byte, error) {
	signer, public, err := OpenOrMake(ctx, ring, key.URI, key.Algorithm, key.Secret)
	if err != nil {
		return nil, err
	}
	log.key("root key", key.URI, public)
	maker := Maker{Linter: linter, Signer: signer, Public: public, KeyID: public.KeyID(), Issuer: subject}
	start := now.UTC().Add(-time.Minute).Truncate(time.Second)
	der, err := maker.Make(ctx, Order{Subject: subject, Key: public, PathLen: pathLen, NotBefore: start, NotAfter: start.AddDate(years, 0, 0)})
	if err == nil {
		log.Certificate("root", der)
	}
	return der, err
}

// makerOf signs under a CA certificate that there is.
func makerOf(signer keys.Signer, above *pkix.Certificate, linter ca.Linter) (*Maker, error) {
	m := &Maker{Linter: linter, Signer: signer, Public: above.Key, KeyID: above.Key.KeyID(), Issuer: above.Subject}
	if e, ok := pkix.FindExtension(above.Extensions, pkix.OIDSubjectKeyID); ok { // as it is, whoever chose it
		id, err := pkix.ParseSubjectKeyID(e.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", above.Subject, err)
		}
		m.KeyID = id
	}
	return m, nil
}

// Signing is a request for a sub-CA certificate, as whoever holds the root
// grants it.
type Signing struct {
	Root        Key
	Certificate []byte // the root's
	CSR         []byte
	PathLen     int // below 0: none
	Years       int
	Names       *pkix.NameConstraints // nil: none
	CDP         []string              // of the root's CRL
	Now         time.Time
	Log         *Log
}

// Sign issues a CA certificate for a request, in DER. Of the request only
// subject and key count; the validity ends with the root's. BadRequest or Denied
// say what is wrong.
func Sign(ctx context.Context, ring *keys.Ring, linter ca.Linter, in Signing) ([]byte, error) {
	above, err := pkix.ParseCertificate(in.Certificate)
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "the root's certificate cannot be read: %v", err)
	}
	if err := acceptOne(above, in.Now); err != nil {
		return nil, err
	}
	maker, err := asRoot(ctx, ring, in.Root, above, linter)
	if err != nil {
		return nil, err
	}
	csr, err := pkix.ParseCSR(in.CSR)
	if err == nil {
		err = csr.Verify(false)
	}
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "the request is refused: %v", err)
	}
	switch {
	case csr.Subject.Empty() || bytes.Equal(csr.Subject, above.Subject):
		return nil, ca.Errorf(ca.BadRequest, "the request's subject is empty or the root's own; a CA has a name of its own")
	case bytes.Equal(csr.Key.Raw(), above.Key.Raw()):
		return nil, ca.Errorf(ca.BadRequest, "the request is for the root's own key")
	}
	if err := ca.CheckKey(csr.Key); err != nil {
		return nil, err
	}
	bounds, err := ca.BoundsOf([]*pkix.Certificate{above})
	if err != nil {
		return nil, ca.Errorf(ca.BadRequest, "%v", err)
	}
	if err := bounds.CheckNames(csr.Subject, nil); err != nil {
		return nil, err
	}
	asked, err := requested(csr.Key, in.PathLen)
	if err != nil {
		return nil, err
	}
	if err := bounds.CheckAuthority(asked); err != nil {
		return nil, err
	}
	start := in.Now.UTC().Add(-time.Minute).Truncate(time.Second)
	if start.Before(above.NotBefore) {
		start = above.NotBefore
	}
	in.Log.key("root key", in.Root.URI, maker.Public)
	der, err := maker.Make(ctx, Order{Subject: csr.Subject, Key: csr.Key, PathLen: in.PathLen, Names: in.Names, CDP: in.CDP,
		NotBefore: start, NotAfter: earlier(start.AddDate(in.Years, 0, 0), above.NotAfter)})
	if err == nil {
		in.Log.Certificate("signed", der)
	}
	return der, err
}

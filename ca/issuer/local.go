// Package issuer says who signs: the CAs whose keys this process holds, a
// generation each. Upstream CAs come in through adapters of their own later.
package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Local is one CA generation that signs with a key of ours.
type Local struct {
	facts       *ca.Facts
	certificate []byte
	key         keys.Signer
	closed      error // why there is no key
}

// URLs is what a CA's certificates may point at; each list is empty until a
// listener serves it. AIA is the base URL of the http listener.
type URLs struct {
	AIA, OCSP []string
	// CRL is the base URL of the CRLs, empty until their publisher is bound:
	// each generation has addresses of its own below it. Shards is how many
	// parts the CRL of new certificates has; 0: it is not divided.
	CRL    string
	Shards int
}

// NewLocal checks a generation against its key: the certificate must be a CA's
// that may sign certificates (RFC 5280 sections 4.2.1.3, 4.2.1.9), be for this
// key, and chain to its root by signature.
func NewLocal(g *ca.Generation, key keys.Signer, urls URLs) (*Local, error) {
	return newLocal(g, key, urls, nil)
}

// newLocal is NewLocal for a key, or for why there is none.
func newLocal(g *ca.Generation, key keys.Signer, urls URLs, closed error) (*Local, error) {
	name := g.Tenant + "/" + g.CA
	cert, err := pkix.ParseCertificate(g.DER)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", name, err)
	}
	if closed == nil {
		public, err := pkix.NewPublicKey(key.Public())
		if err != nil {
			return nil, fmt.Errorf("CA %s: %w", name, err)
		}
		if !bytes.Equal(public.Raw(), cert.Key.Raw()) {
			return nil, fmt.Errorf("CA %s: the key at %s is not the one of generation %d's certificate", name, g.KeyURI, g.Number)
		}
	}
	algorithm, err := pkix.SignatureFor(cert.Key)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", name, err)
	}
	if err := checkAuthority(cert); err != nil {
		return nil, fmt.Errorf("CA %s: %w", name, err)
	}
	keyID, err := subjectKeyID(cert)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", name, err)
	}
	path, err := Path(g)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", name, err)
	}
	bounds, err := ca.BoundsOf(path)
	if err != nil {
		return nil, fmt.Errorf("CA %s: %w", name, err)
	}
	var chain [][]byte // what servers send: without the root
	for _, c := range path[:len(path)-1] {
		chain = append(chain, c.Raw)
	}
	var cdp, shards []string
	signs := mayBe(cert, pkix.CRLSign)
	if urls.CRL != "" && signs { // no URL of a list that nobody can sign
		cdp = []string{urls.CRL + ca.CRLPath(g.Tenant, g.CA, ca.CRLScope(g.Number, 0))}
		for i := range urls.Shards {
			shards = append(shards, urls.CRL+ca.CRLPath(g.Tenant, g.CA, ca.CRLScope(g.Number, i+1)))
		}
	}
	return &Local{certificate: g.DER, key: key, closed: closed, facts: &ca.Facts{Tenant: g.Tenant, CA: g.CA, Generation: g.Number, CRLSign: signs,
		Subject: cert.Subject, KeyID: keyID, Key: cert.Key, Signature: algorithm, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
		Chain: chain, Root: g.Root, Bounds: bounds, AIA: urls.AIA, CDP: cdp, Shards: shards, OCSP: urls.OCSP}}, nil
}

// Facts answers from memory.
func (l *Local) Facts() *ca.Facts { return l.facts }

// unusable says why a generation does not sign; nil is one that is not there.
func (l *Local) unusable() error {
	if l == nil {
		return errors.New("it is not in the store")
	}
	return l.closed
}

// Sign signs to-be-signed bytes with the CA's key.
func (l *Local) Sign(ctx context.Context, lane ca.Lane, tbs []byte) ([]byte, error) {
	if l.closed != nil {
		return nil, ca.Wrap(ca.Unavailable, l.closed, "the CA's key is not there; try again later")
	}
	return l.key.Sign(ctx, lane, l.facts.Tenant, l.facts.Signature.Digest(tbs), l.facts.Signature.Hash)
}

func checkAuthority(cert *pkix.Certificate) error {
	constraints, ok := pkix.FindExtension(cert.Extensions, pkix.OIDBasicConstraints)
	if !ok {
		return errors.New("its certificate has no basicConstraints (RFC 5280 section 4.2.1.9)")
	}
	if isCA, _, err := pkix.ParseBasicConstraints(constraints.Value); err != nil || !isCA {
		return errors.New("its certificate is not a CA certificate (RFC 5280 section 4.2.1.9)")
	}
	if !mayBe(cert, pkix.KeyCertSign) {
		return errors.New("its certificate may not sign certificates: keyCertSign is missing (RFC 5280 section 4.2.1.3)")
	}
	return nil
}

// mayBe tells whether a certificate's key may be used that way. A CA
// certificate without keyUsage is not conforming, and may do nothing here.
func mayBe(cert *pkix.Certificate, use pkix.KeyUsage) bool {
	usage, ok := pkix.FindExtension(cert.Extensions, pkix.OIDKeyUsage)
	if !ok {
		return false
	}
	bits, err := pkix.ParseKeyUsageValue(usage.Value)
	return err == nil && bits&use != 0
}

// subjectKeyID gives the identifier that issued certificates point back to.
func subjectKeyID(cert *pkix.Certificate) ([]byte, error) {
	ext, ok := pkix.FindExtension(cert.Extensions, pkix.OIDSubjectKeyID)
	if !ok {
		return nil, errors.New("its certificate has no subjectKeyIdentifier (RFC 5280 section 4.2.1.2)")
	}
	return pkix.ParseSubjectKeyID(ext.Value)
}

// Path reads a generation's certificates, its own first and the trust anchor
// last (the only one for a root), each signed by the next and the anchor by
// itself. An error says which one is not.
func Path(g *ca.Generation) ([]*pkix.Certificate, error) {
	ders := append([][]byte{g.DER}, g.Chain...)
	if !bytes.Equal(g.DER, g.Root) {
		ders = append(ders, g.Root)
	}
	path := make([]*pkix.Certificate, len(ders))
	for i, der := range ders {
		cert, err := pkix.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("chain: %w", err)
		}
		path[i] = cert
	}
	for i, cert := range path {
		if err := signedBy(cert, path[min(i+1, len(path)-1)]); err != nil {
			return nil, err
		}
	}
	return path, nil
}

func signedBy(below, above *pkix.Certificate) error {
	if !bytes.Equal(below.Issuer, above.Subject) {
		return fmt.Errorf("chain: %q is not the issuer of %q", above.Subject, below.Subject)
	}
	return below.CheckSignatureFrom(above.Key)
}

// Package hierarchy makes the certificates that CAs have, and takes those that
// somebody else made: a root, requests to a root elsewhere, the certificate it
// answers with, the next generation of a CA, and which generation signs. RFC
// 5280 for what a CA certificate must be, RFC 2986 for requests.
//
// Left out: certificate policies and policy constraints of our own, and proxy
// or attribute certificates.
package hierarchy

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Lifetimes of CA certificates where nothing else is asked.
const (
	RootYears    = 20
	IssuingYears = 10
)

// Name makes a CA's subject of an organization and a common name.
func Name(organization, common string) (pkix.RawName, error) {
	var rdns []pkix.RDN
	for _, part := range [][2]string{{"O", organization}, {"CN", common}} {
		oid, ok := pkix.AttributeOID(part[0])
		if !ok {
			return nil, fmt.Errorf("attribute %s is not known", part[0])
		}
		a, err := pkix.NewAttribute(oid, part[1])
		if err != nil {
			return nil, err
		}
		rdns = append(rdns, pkix.RDN{a})
	}
	return pkix.MarshalName(rdns)
}

// IssuingName is the common name of an issuing CA's generation. A new key gets
// a name of its own: CRLs are told apart by their issuer's name.
func IssuingName(organization, id string, generation int) string {
	name := organization + " Issuing CA " + id
	if generation > ca.FirstGeneration {
		name += fmt.Sprintf(" G%d", generation)
	}
	return name
}

// OpenOrMake opens a key, and makes it first where there is none. Without an
// algorithm it only opens.
func OpenOrMake(ctx context.Context, ring *keys.Ring, uri, algorithm string, secret keys.Secret) (keys.Signer, pkix.PublicKey, error) {
	if algorithm != "" {
		if err := ring.Generate(ctx, uri, algorithm, secret); err != nil && !ca.IsKind(err, ca.Conflict) {
			return nil, pkix.PublicKey{}, err
		}
	}
	key, err := ring.Open(ctx, uri, secret)
	if err != nil {
		return nil, pkix.PublicKey{}, err
	}
	public, err := pkix.NewPublicKey(key.Public())
	return key, public, err
}

// asRoot opens the key of a root's certificate, to sign as that root.
// BadRequest where it is another key.
func asRoot(ctx context.Context, ring *keys.Ring, key Key, above *pkix.Certificate, linter ca.Linter) (*Maker, error) {
	signer, public, err := OpenOrMake(ctx, ring, key.URI, "", key.Secret)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(public.Raw(), above.Key.Raw()) {
		return nil, ca.Errorf(ca.BadRequest, "the key at %s is not the one of the root's certificate", key.URI)
	}
	return makerOf(signer, above, linter)
}

// Maker signs CA certificates with one key: its own and others'.
type Maker struct {
	Linter ca.Linter
	Tenant string // whose turn it is; empty for a root that belongs to none
	Signer keys.Signer
	Public pkix.PublicKey
	KeyID  []byte // the maker's subjectKeyIdentifier
	Issuer pkix.RawName
}

// Order is a CA certificate to be made. PathLen below 0 means none.
type Order struct {
	Subject             pkix.RawName
	Key                 pkix.PublicKey
	PathLen             int
	Names               *pkix.NameConstraints // nil: none
	CDP                 []string              // URLs of the maker's list; none: no cRLDistributionPoints
	NotBefore, NotAfter time.Time
}

// Make encodes, lints, signs and verifies one CA certificate. One for the
// maker's own key is self-signed and carries no authority key identifier.
func (m *Maker) Make(ctx context.Context, o Order) ([]byte, error) {
	algorithm, err := pkix.SignatureFor(m.Public)
	if err != nil {
		return nil, err
	}
	extensions, err := m.extensions(o)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, ca.SerialSize) // a CA certificate is found by its generation, not by month
	rand.Read(serial)                     // never fails (crypto/rand)
	serial[0] = serial[0]&0x7f | 0x40     // positive, 16 octets
	t := &pkix.Template{Serial: serial, Signature: algorithm, Issuer: m.Issuer, NotBefore: o.NotBefore, NotAfter: o.NotAfter,
		Subject: o.Subject, Key: o.Key, Extensions: extensions}
	tbs, err := t.MarshalTBS()
	if err != nil {
		return nil, err
	}
	if err := m.Linter.Lint(tbs, t, ""); err != nil {
		return nil, err
	}
	signature, err := signWith(ctx, m.Signer, m.Tenant, m.Public, tbs)
	if err != nil {
		return nil, err
	}
	return pkix.Assemble(tbs, algorithm, signature)
}

// signWith signs with a CA's key and verifies the result.
func signWith(ctx context.Context, key keys.Signer, tenant string, public pkix.PublicKey, message []byte) ([]byte, error) {
	algorithm, err := pkix.SignatureFor(public)
	if err != nil {
		return nil, err
	}
	signature, err := key.Sign(ctx, ca.LaneStatus, tenant, algorithm.Digest(message), algorithm.Hash)
	if err != nil {
		return nil, err
	}
	return signature, algorithm.Verify(public, message, signature)
}

func (m *Maker) extensions(o Order) ([]pkix.Extension, error) {
	out, err := requested(o.Key, o.PathLen)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(o.Key.Raw(), m.Public.Raw()) {
		above, err := pkix.MarshalAuthorityKeyID(m.KeyID)
		if err != nil {
			return nil, err
		}
		out = append(out, above)
	}
	if o.Names != nil {
		names, err := pkix.MarshalNameConstraints(o.Names)
		if err != nil {
			return nil, err
		}
		out = append(out, names)
	}
	if len(o.CDP) > 0 {
		points, err := pkix.MarshalCRLDistributionPoints(o.CDP)
		if err != nil {
			return nil, err
		}
		out = append(out, points)
	}
	return out, nil
}

// requested are the extensions that every CA certificate has, and that a request for one asks for.
func requested(key pkix.PublicKey, pathLen int) ([]pkix.Extension, error) {
	constraints, err := pkix.MarshalBasicConstraints(true, pathLen)
	if err != nil {
		return nil, err
	}
	usage, err := pkix.MarshalKeyUsage(pkix.KeyCertSign | pkix.CRLSign | pkix.DigitalSignature)
	if err != nil {
		return nil, err
	}
	keyID, err := pkix.MarshalSubjectKeyID(key.KeyID())
	return []pkix.Extension{constraints, usage, keyID}, err
}

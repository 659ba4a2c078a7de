// Package admin holds the operations behind the command line and the
// administrative socket; each writes an audit row with its actor.
package admin

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Lifetimes of CA certificates where nothing else is asked.
const (
	RootYears    = 20
	IssuingYears = 10
)

// NewHierarchy asks for a two-tier hierarchy: a root that signs one issuing CA.
type NewHierarchy struct {
	Tenant     string
	CA         string // id of the issuing CA
	Name       string // organization in both subjects
	RootKey    string // key URI; the key is made here
	IssuingKey string
	Algorithm  string      // keys.Algorithms()
	Secret     keys.Secret // of the issuing key
	RootSecret keys.Secret // of the root key
	Actor      caller.Caller
	Now        time.Time
}

// CreateHierarchy makes both keys and certificates and records the issuing
// CA's first generation. Keys that exist already are used, so that an
// interrupted run can be repeated. The result is that generation.
func CreateHierarchy(ctx context.Context, store ca.Generations, ring *keys.Ring, linter ca.Linter, in NewHierarchy) (*ca.Generation, error) {
	if !in.Actor.Verified() || in.Actor.Tenant() != in.Tenant {
		return nil, ca.Errorf(ca.BadProof, "creating a CA needs an operator of the tenant")
	}
	root, rootPublic, err := openOrMake(ctx, ring, in.RootKey, in.Algorithm, in.RootSecret)
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	_, issuingPublic, err := openOrMake(ctx, ring, in.IssuingKey, in.Algorithm, in.Secret)
	if err != nil {
		return nil, fmt.Errorf("issuing key: %w", err)
	}
	if bytes.Equal(rootPublic.Raw(), issuingPublic.Raw()) {
		return nil, errors.New("root and issuing CA must not share a key")
	}
	rootName, err := caName(in.Name, in.Name+" Root CA")
	if err != nil {
		return nil, err
	}
	issuingName, err := caName(in.Name, in.Name+" Issuing CA "+in.CA)
	if err != nil {
		return nil, err
	}
	maker := authorityMaker{ctx: ctx, linter: linter, tenant: in.Tenant, signer: root, public: rootPublic, issuer: rootName}
	start := in.Now.UTC().Add(-time.Minute).Truncate(time.Second)
	rootDER, err := maker.make(rootName, rootPublic, -1, start, start.AddDate(RootYears, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("root certificate: %w", err)
	}
	issuingDER, err := maker.make(issuingName, issuingPublic, 0, start, start.AddDate(IssuingYears, 0, 0))
	if err != nil {
		return nil, fmt.Errorf("issuing certificate: %w", err)
	}
	g := &ca.Generation{Tenant: in.Tenant, CA: in.CA, Number: 1, KeyURI: in.IssuingKey, DER: issuingDER, Root: rootDER}
	detail, err := json.Marshal(map[string]string{"ca": in.CA, "subject": issuingName.String(), "key": in.Algorithm,
		"key_id": fmt.Sprintf("%x", issuingPublic.KeyID()), "root": rootName.String()})
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return g, store.AddGeneration(ctx, g, ca.Audit{Tenant: in.Tenant, Event: "ca.created", Actor: in.Actor.ID(), Detail: detail})
}

// openOrMake opens a key, and makes it first where there is none.
func openOrMake(ctx context.Context, ring *keys.Ring, uri, algorithm string, secret keys.Secret) (keys.Signer, pkix.PublicKey, error) {
	if err := ring.Generate(ctx, uri, algorithm, secret); err != nil && !ca.IsKind(err, ca.Conflict) {
		return nil, pkix.PublicKey{}, err
	}
	key, err := ring.Open(ctx, uri, secret)
	if err != nil {
		return nil, pkix.PublicKey{}, err
	}
	public, err := pkix.NewPublicKey(key.Public())
	return key, public, err
}

func caName(organization, common string) (pkix.RawName, error) {
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

// authorityMaker signs CA certificates with one key: its own and others'.
type authorityMaker struct {
	ctx    context.Context
	linter ca.Linter
	tenant string
	signer keys.Signer
	public pkix.PublicKey
	issuer pkix.RawName
}

// make encodes, lints, signs and verifies one CA certificate. pathLen below 0
// means none; a certificate for the maker's own key is self-signed and carries
// no authority key identifier.
func (m *authorityMaker) make(subject pkix.RawName, key pkix.PublicKey, pathLen int, from, to time.Time) ([]byte, error) {
	algorithm, err := pkix.SignatureFor(m.public)
	if err != nil {
		return nil, err
	}
	extensions, err := m.extensions(key, pathLen)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, ca.SerialSize) // a CA certificate is found by its generation, not by month
	rand.Read(serial)                     // never fails (crypto/rand)
	serial[0] = serial[0]&0x7f | 0x40     // positive, 16 octets
	t := &pkix.Template{Serial: serial, Signature: algorithm, Issuer: m.issuer, NotBefore: from, NotAfter: to,
		Subject: subject, Key: key, Extensions: extensions}
	tbs, err := t.MarshalTBS()
	if err != nil {
		return nil, err
	}
	if err := m.linter.Lint(tbs, t, ""); err != nil {
		return nil, err
	}
	signature, err := m.signer.Sign(m.ctx, ca.LaneStatus, m.tenant, algorithm.Digest(tbs), algorithm.Hash)
	if err != nil {
		return nil, err
	}
	if err := algorithm.Verify(m.public, tbs, signature); err != nil {
		return nil, err
	}
	return pkix.Assemble(tbs, algorithm, signature)
}

func (m *authorityMaker) extensions(key pkix.PublicKey, pathLen int) ([]pkix.Extension, error) {
	constraints, err := pkix.MarshalBasicConstraints(true, pathLen)
	if err != nil {
		return nil, err
	}
	usage, err := pkix.MarshalKeyUsage(pkix.KeyCertSign | pkix.CRLSign | pkix.DigitalSignature)
	if err != nil {
		return nil, err
	}
	keyID, err := pkix.MarshalSubjectKeyID(key.KeyID())
	if err != nil {
		return nil, err
	}
	out := []pkix.Extension{constraints, usage, keyID}
	if !bytes.Equal(key.Raw(), m.public.Raw()) {
		above, err := pkix.MarshalAuthorityKeyID(m.public.KeyID())
		if err != nil {
			return nil, err
		}
		out = append(out, above)
	}
	return out, nil
}

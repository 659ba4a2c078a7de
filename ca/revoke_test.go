package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// oneRow is a ledger with one certificate.
type oneRow struct {
	*untouched
	row   Certificate
	taken *Revocation
	notes []Audit
}

func (o *oneRow) Certificate(context.Context, string, string, Serial) (*Certificate, error) {
	return &o.row, nil
}

func (o *oneRow) Revoke(_ context.Context, r *Revocation) (*Status, error) {
	o.taken = r
	return &Status{Reason: r.Reason}, nil
}

func (o *oneRow) Note(a Audit) { o.notes = append(o.notes, a) }

// TestRevokeFits: who may give which reason for what, in which state, and what the
// audit row and the block of the key come to.
func TestRevokeFits(t *testing.T) {
	key, other := p256(t), p256(t)
	leaf, issuer := certificateOf(t, key, false), certificateOf(t, key, true)
	operator, err := caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: "default", User: "ann", UID: 1, At: at})
	if err != nil {
		t.Fatal(err)
	}
	proof, _, err := claim.VerifyCSR(csrOf(t, key), false)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _, err := claim.VerifyCSR(csrOf(t, other), false)
	if err != nil {
		t.Fatal(err)
	}
	unproven, err := pkix.ParseCSR(csrOf(t, key))
	if err != nil {
		t.Fatal(err)
	}
	requester := account(t, "e", "a")
	for name, c := range map[string]struct {
		who    caller.Caller
		der    []byte
		state  State
		reason Reason
		proof  *pkix.CSR
		kind   Kind // 0: goes through
		event  string
		blocks bool
	}{
		"hold":                    {who: operator, state: Issued, reason: CertificateHold, event: "certificate.held"},
		"hold what is held":       {who: operator, state: Held, reason: CertificateHold, kind: Conflict},
		"hold what is revoked":    {who: operator, state: Revoked, reason: CertificateHold, kind: Conflict},
		"release":                 {who: operator, state: Held, reason: RemoveFromCRL, event: "certificate.released"},
		"release what is not":     {who: operator, state: Issued, reason: RemoveFromCRL, kind: Conflict},
		"release what is revoked": {who: operator, state: Revoked, reason: RemoveFromCRL, kind: Conflict},
		"a requester's release":   {who: requester, state: Held, reason: RemoveFromCRL, kind: BadRequest},
		"after a hold":            {who: operator, state: Held, reason: Superseded, event: "certificate.revoked"},
		"compromised":             {who: operator, state: Issued, reason: KeyCompromise, event: "certificate.revoked", blocks: true},
		"a requester's word":      {who: requester, state: Issued, reason: KeyCompromise, event: "certificate.revoked"},
		"proven":                  {who: operator, state: Revoked, reason: KeyCompromise, proof: proof, event: "certificate.revoked", blocks: true},
		"another key's proof":     {who: operator, state: Issued, reason: KeyCompromise, proof: foreign, kind: BadProof},
		"an unverified proof":     {who: operator, state: Issued, reason: KeyCompromise, proof: unproven, kind: BadProof},
		"a proof of nothing":      {who: operator, state: Issued, reason: Superseded, proof: proof, kind: BadProof},
		"a CA":                    {who: operator, der: issuer, state: Issued, reason: CACompromise, event: "certificate.revoked", blocks: true},
		"no CA":                   {who: operator, state: Issued, reason: CACompromise, kind: BadRequest},
		"a requester's CA":        {who: requester, der: issuer, state: Issued, reason: CACompromise, kind: BadRequest},
		"attributes":              {who: operator, state: Issued, reason: AACompromise, kind: BadRequest},
		"reason 7":                {who: operator, state: Issued, reason: 7, kind: BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			a, u := authority(t)
			if c.der == nil {
				c.der = leaf
			}
			o := &oneRow{untouched: u, row: Certificate{Tenant: "default", CA: "issuing", DER: c.der, State: c.state, Requester: requester.ID()}}
			a.ledger = o
			r := &RevokeRequest{Trace: NewTrace(), Tenant: "default", CA: "issuing", Reason: c.reason, Caller: c.who, Proof: c.proof}
			if c.who.Door() != caller.Operator {
				r.Certificate = c.der
			}
			_, err := a.Revoke(t.Context(), r)
			if c.kind != 0 {
				if !IsKind(err, c.kind) || o.taken != nil || len(o.notes) != 1 {
					t.Errorf("%v; recorded %+v, noted %d", err, o.taken, len(o.notes))
				}
				r.Again, o.notes = true, nil
				if _, err := a.Revoke(t.Context(), r); !IsKind(err, c.kind) || len(o.notes) > 0 == (c.kind == Conflict) {
					t.Errorf("again: %v; noted %d", err, len(o.notes))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var detail map[string]string
			if err := json.Unmarshal(o.taken.Audit.Detail, &detail); err != nil {
				t.Fatal(err)
			}
			if o.taken.Audit.Event != c.event || o.taken.BlockKey != c.blocks || detail["reason"] != c.reason.String() || (c.proof != nil) != (len(detail["proof_sha256"]) == 64) {
				t.Errorf("recorded %+v, %v", o.taken, detail)
			}
		})
	}
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificateOf(t *testing.T, key *ecdsa.PrivateKey, isCA bool) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: at.Add(time.Hour), IsCA: isCA, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func csrOf(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// RevokeRequest asks to revoke one certificate. Doors add their own protocol
// rules before.
type RevokeRequest struct {
	Trace       string
	Client      netip.Addr // as Request.Client
	Tenant      string
	CA          string
	Serial      Serial
	Certificate []byte // DER as presented; the recorded one must be the same. Operators may leave it out.
	Reason      Reason
	Invalid     time.Time // invalidity date, zero: none
	Caller      caller.Caller
	Claims      []claim.Claim // names that the caller has proven, where it was not issued the certificate
	Effects     []Effect

	// Proof is a statement signed with the certificate's key that the key is
	// compromised; nil: none. The audit row names its SHA-256.
	Proof *pkix.CSR
	// Again says that the caller repeats itself, as a bulk that goes on does: what
	// is so already is a Conflict, but not logged and audited as a refusal.
	Again bool
}

// Revoke records a revocation. Who may: operators, the caller that was issued the
// certificate, one that has proven all its names, and who holds its private key.
// The reason keyCompromise blocks the key for ever where an operator says so or the
// key itself has signed; on the word of the requester alone it does not, or one
// could block what another one uses.
// What blocks the key also changes the reason of a certificate that was revoked
// for another one before.
//
// The reason certificateHold holds until it is revoked for good, or released with
// removeFromCRL, which only operators may give (RFC 5280 section 5.3.1). The
// reason cACompromise is for CA certificates, and for operators.
//
// Errors: BadProof for nobody and for a proof by another key, NotFound for an
// unknown certificate or another tenant's, Denied when the caller may not,
// BadRequest for a reason that cannot be given, Conflict when nothing changes:
// it is revoked or held already, or is not held; *LostEffect.
func (a *Authority) Revoke(ctx context.Context, r *RevokeRequest) (*Status, error) {
	fail := func(err error) (*Status, error) {
		return nil, a.refused(&Request{Trace: r.Trace, Client: r.Client, Endpoint: r.Caller.Endpoint(), Caller: r.Caller}, err)
	}
	if !r.Caller.Verified() {
		return fail(Errorf(BadProof, "the caller is not authenticated"))
	}
	if r.Caller.Tenant() != r.Tenant {
		return fail(Errorf(NotFound, "there is no such certificate"))
	}
	if !r.Reason.Valid() || r.Reason == AACompromise || (r.Reason == RemoveFromCRL || r.Reason == CACompromise) && r.Caller.Door() != caller.Operator {
		return fail(Errorf(BadRequest, "revocation reason %d cannot be given for an end-entity certificate", r.Reason))
	}
	cert, err := a.ledger.Certificate(ctx, r.Tenant, r.CA, r.Serial)
	if err != nil {
		return fail(err)
	}
	if err := a.mayRevoke(r, cert); err != nil {
		return fail(err)
	}
	if err := fits(r, cert); err != nil {
		if r.Again && IsKind(err, Conflict) {
			return nil, err
		}
		return fail(err)
	}
	shard, err := CRLShard(cert.DER)
	if err != nil {
		return fail(InternalError(err))
	}
	about := map[string]string{"ca": r.CA, "serial": r.Serial.String(), "reason": r.Reason.String()}
	if !r.Invalid.IsZero() {
		about["invalidity_date"] = r.Invalid.UTC().Format(time.RFC3339)
	}
	if r.Proof != nil {
		about["proof_sha256"] = fmt.Sprintf("%x", sha256.Sum256(r.Proof.Raw))
	}
	from(r.Client, about)
	detail, err := json.Marshal(about)
	if err != nil {
		return fail(InternalError(err))
	}
	compromised := r.Reason == KeyCompromise || r.Reason == CACompromise
	status, err := a.ledger.Revoke(ctx, &Revocation{Tenant: r.Tenant, CA: r.CA, Serial: r.Serial, Reason: r.Reason,
		Invalid: r.Invalid, Shard: shard, BlockKey: compromised && believed(r.Caller), Effects: r.Effects,
		Audit: Audit{Tenant: r.Tenant, Event: statusEvent(r.Reason), Actor: r.Caller.ID(), Trace: r.Trace, Detail: detail}})
	if r.Again && IsKind(err, Conflict) {
		return nil, err
	}
	if err != nil {
		return nil, a.notRecorded(&Request{Trace: r.Trace, Client: r.Client, Endpoint: r.Caller.Endpoint(), Caller: r.Caller}, err)
	}
	a.observer.Revoked(r.Tenant, r.CA, r.Reason)
	a.log.LogAttrs(ctx, slog.LevelInfo, "certificate.revoked", slog.String("trace", r.Trace), slog.String("tenant", r.Tenant),
		slog.String("ca", r.CA), slog.String("serial", r.Serial.String()), slog.String("reason", r.Reason.String()),
		slog.String("caller", r.Caller.ID()))
	return status, nil
}

// mayRevoke holds the caller against the recorded certificate.
func (a *Authority) mayRevoke(r *RevokeRequest, cert *Certificate) error {
	operator := r.Caller.Door() == caller.Operator
	if !(operator && r.Certificate == nil) && !bytes.Equal(r.Certificate, cert.DER) { // never by serial alone
		return Errorf(NotFound, "there is no such certificate")
	}
	if operator {
		return nil
	}
	held, byKey := r.Caller.HeldKey()
	if !byKey {
		if cert.Requester != r.Caller.ID() && !a.holdsNames(r) {
			return Errorf(Denied, "the certificate was issued to somebody else")
		}
		return nil
	}
	parsed, err := pkix.ParseCertificate(cert.DER)
	if err != nil {
		return InternalError(err)
	}
	if parsed.Key.Hash() != held {
		return Errorf(Denied, "the signature is not by the certificate's key")
	}
	return nil
}

// fits holds the request against the certificate and its state, for an answer
// that says what is wrong; the ledger decides about the state again.
func fits(r *RevokeRequest, cert *Certificate) error {
	switch {
	case r.Reason == RemoveFromCRL && cert.State == Revoked:
		return Errorf(Conflict, "the certificate is revoked for good; only a hold can be released (RFC 5280 section 5.3.1)")
	case r.Reason == RemoveFromCRL && cert.State == Issued:
		return Errorf(Conflict, "the certificate is not held")
	case r.Reason == CertificateHold && cert.State != Issued:
		return Errorf(Conflict, "the certificate is %s already", cert.State)
	case r.Proof == nil && r.Reason != CACompromise:
		return nil
	}
	parsed, err := pkix.ParseCertificate(cert.DER)
	if err != nil {
		return InternalError(err)
	}
	if r.Proof != nil && (!r.Proof.Verified() || r.Proof.Key.Hash() != parsed.Key.Hash() || r.Reason != KeyCompromise) {
		return Errorf(BadProof, "the proof is not by the certificate's key")
	}
	if r.Reason == CACompromise {
		ext, _ := pkix.FindExtension(parsed.Extensions, pkix.OIDBasicConstraints)
		if isCA, _, err := pkix.ParseBasicConstraints(ext.Value); err != nil || !isCA {
			return Errorf(BadRequest, "the reason cACompromise is for CA certificates, and this is none; give keyCompromise where its own key is compromised")
		}
	}
	return nil
}

// statusEvent names the audit row of a change of status.
func statusEvent(r Reason) string {
	switch r {
	case CertificateHold:
		return "certificate.held"
	case RemoveFromCRL:
		return "certificate.released"
	}
	return "certificate.revoked"
}

// believed tells whose word about a compromised key is enough to block it.
func believed(c caller.Caller) bool {
	_, byKey := c.HeldKey()
	return byKey || c.Door() == caller.Operator
}

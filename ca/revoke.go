package ca

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// RevokeRequest asks to revoke one certificate. Doors add their own protocol
// rules before.
type RevokeRequest struct {
	Trace       string
	Tenant      string
	CA          string
	Serial      Serial
	Certificate []byte // DER as presented; the recorded one must be the same. Operators may leave it out.
	Reason      Reason
	Invalid     time.Time // invalidity date, zero: none
	Caller      caller.Caller
	Effects     []Effect
}

// Revoke records a revocation. Who may: operators, the caller that was issued the
// certificate, and who holds its private key. The reason keyCompromise blocks the
// key for ever where an operator says so or the key itself has signed; on the word
// of the requester alone it does not, or one could block what another one uses.
// What blocks the key also changes the reason of a certificate that was revoked
// for another one before.
//
// Errors: BadProof for nobody, NotFound for an unknown certificate or another
// tenant's, Denied when the caller may not, BadRequest for a reason that no
// requester can give, Conflict when revoked already and nothing changes, *LostEffect.
func (a *Authority) Revoke(ctx context.Context, r *RevokeRequest) (*Status, error) {
	fail := func(err error) (*Status, error) {
		return nil, a.refused(&Request{Trace: r.Trace, Endpoint: r.Caller.Endpoint(), Caller: r.Caller}, err)
	}
	if !r.Caller.Verified() {
		return fail(Errorf(BadProof, "the caller is not authenticated"))
	}
	if r.Caller.Tenant() != r.Tenant {
		return fail(Errorf(NotFound, "there is no such certificate"))
	}
	if !r.Reason.Valid() || r.Reason == RemoveFromCRL || r.Reason == CACompromise || r.Reason == AACompromise {
		return fail(Errorf(BadRequest, "revocation reason %d cannot be given for an end-entity certificate", r.Reason))
	}
	cert, err := a.ledger.Certificate(ctx, r.Tenant, r.CA, r.Serial)
	if err != nil {
		return fail(err)
	}
	if err := mayRevoke(r, cert); err != nil {
		return fail(err)
	}
	shard, err := CRLShard(cert.DER)
	if err != nil {
		return fail(InternalError(err))
	}
	detail, err := json.Marshal(map[string]string{"ca": r.CA, "serial": r.Serial.String(), "reason": r.Reason.String()})
	if err != nil {
		return fail(InternalError(err))
	}
	status, err := a.ledger.Revoke(ctx, &Revocation{Tenant: r.Tenant, CA: r.CA, Serial: r.Serial, Reason: r.Reason,
		Invalid: r.Invalid, Shard: shard, BlockKey: r.Reason == KeyCompromise && believed(r.Caller), Effects: r.Effects,
		Audit: Audit{Tenant: r.Tenant, Event: "certificate.revoked", Actor: r.Caller.ID(), Trace: r.Trace, Detail: detail}})
	if err != nil {
		return nil, a.notRecorded(&Request{Trace: r.Trace, Endpoint: r.Caller.Endpoint(), Caller: r.Caller}, err)
	}
	a.observer.Revoked(r.Tenant, r.CA, r.Reason)
	a.log.LogAttrs(ctx, slog.LevelInfo, "certificate.revoked", slog.String("trace", r.Trace), slog.String("tenant", r.Tenant),
		slog.String("ca", r.CA), slog.String("serial", r.Serial.String()), slog.String("reason", r.Reason.String()),
		slog.String("caller", r.Caller.ID()))
	return status, nil
}

// mayRevoke holds the caller against the recorded certificate.
func mayRevoke(r *RevokeRequest, cert *Certificate) error {
	operator := r.Caller.Door() == caller.Operator
	if !(operator && r.Certificate == nil) && !bytes.Equal(r.Certificate, cert.DER) { // never by serial alone
		return Errorf(NotFound, "there is no such certificate")
	}
	if operator {
		return nil
	}
	held, byKey := r.Caller.HeldKey()
	if !byKey {
		if cert.Requester != r.Caller.ID() {
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

// believed tells whose word about a compromised key is enough to block it.
func believed(c caller.Caller) bool {
	_, byKey := c.HeldKey()
	return byKey || c.Door() == caller.Operator
}

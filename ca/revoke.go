package ca

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
)

// RevokeRequest asks to revoke one certificate. Who may: the caller that was
// issued it, and operators. Doors add their own protocol rules before.
type RevokeRequest struct {
	Trace   string
	Tenant  string
	CA      string
	Serial  Serial
	Reason  Reason
	Invalid time.Time // invalidity date, zero: none
	Caller  caller.Caller
	Effects []Effect
}

// Revoke records a revocation. Errors: BadProof for nobody, NotFound for an
// unknown certificate or another tenant's, Denied when the caller may not,
// BadRequest for a reason that no requester can give, Conflict when revoked already.
func (a *Authority) Revoke(ctx context.Context, r *RevokeRequest) (*Status, error) {
	fail := func(err error) (*Status, error) {
		return nil, a.refused(&Request{Trace: r.Trace, Caller: r.Caller}, err)
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
	if r.Caller.Door() != caller.Operator && cert.Requester != r.Caller.ID() {
		return fail(Errorf(Denied, "the certificate was issued to somebody else"))
	}
	detail, err := json.Marshal(map[string]string{"ca": r.CA, "serial": r.Serial.String(), "reason": r.Reason.String()})
	if err != nil {
		return fail(InternalError(err))
	}
	status, err := a.ledger.Revoke(ctx, &Revocation{Tenant: r.Tenant, CA: r.CA, Serial: r.Serial, Reason: r.Reason,
		Invalid: r.Invalid, BlockKey: r.Reason == KeyCompromise, Effects: r.Effects,
		Audit: Audit{Tenant: r.Tenant, Event: "certificate.revoked", Actor: r.Caller.ID(), Trace: r.Trace, Detail: detail}})
	if err != nil {
		return nil, a.notRecorded(&Request{Trace: r.Trace, Caller: r.Caller}, err)
	}
	a.observer.Revoked(r.Tenant, r.CA, r.Reason)
	a.log.LogAttrs(ctx, slog.LevelInfo, "certificate.revoked", slog.String("trace", r.Trace), slog.String("tenant", r.Tenant),
		slog.String("ca", r.CA), slog.String("serial", r.Serial.String()), slog.String("reason", r.Reason.String()))
	return status, nil
}

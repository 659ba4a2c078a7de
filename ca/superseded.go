package ca

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"
)

// SupersededCertificate is one that was renewed under a profile with
// revoke_superseded, and stands on the list of what is revoked for it.
type SupersededCertificate struct {
	Tenant, CA string
	Serial     Serial
	By         Serial    // of the first certificate that replaced it
	Due        time.Time // when it is revoked; store's clock
}

// SupersededStore keeps the list; Ledger.Record puts entries on it.
type SupersededStore interface {
	LifeUpkeep
	Held(l *Lease) Effect

	// DueSuperseded lists at most limit of every tenant that are to be revoked
	// now, those that have waited longest first. BadRequest for a limit other than 1 to MaxPendingPage.
	DueSuperseded(ctx context.Context, limit int) ([]SupersededCertificate, error)

	// StrikeSuperseded makes the effect that takes one off the list; lost where it is not there.
	StrikeSuperseded(tenant, ca string, serial Serial) Effect
}

// supersededBy is the actor in the audit rows of these revocations: the profile
// of the certificate that came in its place said so.
const supersededBy = "service:superseded"

// RevokeSuperseded revokes what is due on the list of the superseded, with the
// reason superseded: the work of one run of the job that holds the lease. Each is
// a commit of its own, with its audit row and fenced with the lease, and is the
// same whether a holder was killed before or not. What was revoked for another
// reason keeps it. The error is the last of those that another try may mend.
func (a *Authority) RevokeSuperseded(ctx context.Context, l *Lease, s SupersededStore) error {
	if _, err := s.SweepSuperseded(ctx, l, settleAtOnce); err != nil {
		return err
	}
	due, err := s.DueSuperseded(ctx, settleAtOnce)
	if err != nil {
		return err
	}
	var again error
	for i := range due {
		err := a.revokeSuperseded(ctx, l, s, &due[i])
		var lost *LostEffect
		switch {
		case errors.As(err, &lost) && lost.Index == 0:
			return LeaseLost(l)
		case errors.As(err, &lost), IsKind(err, Conflict), IsKind(err, NotFound): // somebody was first, and the next sweep takes it off
		case err != nil:
			again = err
		}
	}
	return again
}

func (a *Authority) revokeSuperseded(ctx context.Context, l *Lease, s SupersededStore, old *SupersededCertificate) error {
	c, err := a.ledger.Certificate(ctx, old.Tenant, old.CA, old.Serial)
	if err != nil {
		return err
	}
	shard, err := CRLShard(c.DER)
	if err != nil {
		return InternalError(err)
	}
	trace := NewTrace()
	detail, err := json.Marshal(map[string]string{"ca": old.CA, "serial": old.Serial.String(), "reason": Superseded.String(), "by": old.By.String()})
	if err != nil {
		return InternalError(err)
	}
	_, err = a.ledger.Revoke(ctx, &Revocation{Tenant: old.Tenant, CA: old.CA, Serial: old.Serial, Reason: Superseded, Shard: shard,
		Effects: []Effect{s.Held(l), s.StrikeSuperseded(old.Tenant, old.CA, old.Serial)},
		Audit:   Audit{Tenant: old.Tenant, Event: statusEvent(Superseded), Actor: supersededBy, Trace: trace, Detail: detail}})
	if err != nil {
		return err
	}
	a.observer.Revoked(old.Tenant, old.CA, Superseded)
	a.log.LogAttrs(ctx, slog.LevelInfo, "certificate.revoked", slog.String("trace", trace), slog.String("tenant", old.Tenant), slog.String("ca", old.CA),
		slog.String("serial", old.Serial.String()), slog.String("reason", Superseded.String()), slog.String("caller", supersededBy))
	return nil
}

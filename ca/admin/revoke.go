package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// Revoker is the part of ca.Authority that revokes.
type Revoker interface {
	Revoke(ctx context.Context, r *ca.RevokeRequest) (*ca.Status, error)
}

// Reasons lists what an operator may give as reason, by the names of RFC 5280
// section 5.3.1.
func Reasons() []string {
	var names []string
	for _, r := range []ca.Reason{ca.Unspecified, ca.KeyCompromise, ca.CACompromise, ca.AffiliationChanged, ca.Superseded, ca.CessationOfOperation,
		ca.CertificateHold, ca.PrivilegeWithdrawn} {
		names = append(names, r.String())
	}
	return names
}

// ParseReason reads one of Reasons. BadRequest says which there are.
func ParseReason(name string) (ca.Reason, error) {
	if slices.Contains(Reasons(), name) {
		for r := range ca.AACompromise {
			if r.String() == name {
				return r, nil
			}
		}
	}
	if name == ca.RemoveFromCRL.String() {
		return 0, ca.Errorf(ca.BadRequest, "removeFromCRL ends a hold: `enrollgate cert unhold` does that")
	}
	return 0, ca.Errorf(ca.BadRequest, "%q is not a reason to revoke a certificate: give one of %s", clip(name), strings.Join(Reasons(), ", "))
}

// ParseChange reads one of Reasons, or removeFromCRL, which releases a hold.
func ParseChange(name string) (ca.Reason, error) {
	if name == ca.RemoveFromCRL.String() {
		return ca.RemoveFromCRL, nil
	}
	return ParseReason(name)
}

// Revocation asks to change the status of one certificate: to revoke it for good,
// to hold it, or to release a hold.
type Revocation struct {
	Tenants []string // where it is looked for
	CA      string   // empty: every CA
	Serial  ca.Serial
	Reason  ca.Reason
	Invalid time.Time                                  // since when the key must not be trusted; zero: not known (RFC 5280 section 5.3.2)
	Actor   func(tenant string) (caller.Caller, error) // the operator, as a caller of a tenant
	Now     time.Time
}

// Revoked is what came of a Revocation.
type Revoked struct {
	Tenant  string     `json:"tenant"`
	CA      string     `json:"ca"`
	Serial  string     `json:"serial"`
	State   ca.State   `json:"state"`
	Reason  string     `json:"reason"`
	Invalid *time.Time `json:"invalidity_date,omitempty"`
	At      time.Time  `json:"at"` // since when it is so
	Actor   string     `json:"actor"`
	Trace   string     `json:"trace"` // of the audit row
}

// Revoke changes the status of a certificate in the name of an operator; the audit row names
// the operator and carries the trace id that is given back. Errors are those of
// Find and of ca.Authority, and BadRequest for a date that cannot be.
func Revoke(ctx context.Context, r Records, a Revoker, in Revocation) (*Revoked, error) {
	c, err := Find(ctx, r, in.Tenants, in.CA, in.Serial)
	if err != nil {
		return nil, err
	}
	if !in.Invalid.IsZero() && (in.Invalid.After(in.Now) || in.Invalid.Before(c.NotBefore)) {
		return nil, ca.Errorf(ca.BadRequest, "the invalidity date lies between the start of the certificate's validity (%s) and now", stamp(c.NotBefore))
	}
	actor, err := in.Actor(c.Tenant)
	if err != nil {
		return nil, err
	}
	trace := ca.NewTrace()
	status, err := a.Revoke(ctx, &ca.RevokeRequest{Trace: trace, Tenant: c.Tenant, CA: c.CA, Serial: c.Serial, Reason: in.Reason, Invalid: in.Invalid, Caller: actor})
	if err != nil {
		return nil, err
	}
	out := &Revoked{Tenant: c.Tenant, CA: c.CA, Serial: c.Serial.String(), State: status.State, Reason: status.Reason.String(), At: status.At, Actor: actor.ID(), Trace: trace}
	if !status.Invalid.IsZero() {
		out.Invalid = &status.Invalid
	}
	return out, nil
}

package admin

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// ParkedRequest is a request that waits, or waited, for an operator.
type ParkedRequest struct {
	Tenant      string          `json:"tenant"`
	ID          string          `json:"id"`
	State       ca.PendingState `json:"state"`
	CA          string          `json:"ca"`
	Profile     string          `json:"profile"`
	Endpoint    string          `json:"endpoint"`
	Requester   string          `json:"requester"`
	Operation   string          `json:"operation"`
	Transaction string          `json:"transaction,omitempty"` // the protocol's own id; ACME: the order
	Trace       string          `json:"trace"`
	Subject     string          `json:"subject"`
	Names       []string        `json:"names"`
	Key         string          `json:"key"`
	KeyHash     string          `json:"key_sha256"`
	Asked       time.Time       `json:"asked"`
	Expires     time.Time       `json:"expires"`
	DecidedAt   time.Time       `json:"decided_at,omitzero"`
	DecidedBy   string          `json:"decided_by,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	Serial      string          `json:"serial,omitempty"` // of the certificate that was issued
}

// Parked describes a parked request.
func Parked(p *ca.PendingRequest) *ParkedRequest {
	out := &ParkedRequest{Tenant: p.Tenant, ID: p.ID, State: p.State, CA: p.CA, Profile: p.Profile, Endpoint: p.Endpoint, Requester: p.Requester,
		Operation: string(p.Operation), Transaction: p.Transaction, Trace: p.Trace, Subject: p.Subject, Names: p.Names, Key: p.Key,
		KeyHash: hex.EncodeToString(p.KeyHash[:]), Asked: p.CreatedAt, Expires: p.Expires, DecidedAt: p.DecidedAt, DecidedBy: p.DecidedBy, Reason: p.Reason}
	if out.Names == nil {
		out.Names = []string{}
	}
	if p.Serial != (ca.Serial{}) {
		out.Serial = p.Serial.String()
	}
	return out
}

// FindParked finds a request in the tenants, or NotFound.
func FindParked(ctx context.Context, s ca.PendingStore, tenants []string, id string) (*ca.PendingRequest, error) {
	for _, tenant := range tenants {
		p, err := s.PendingRequest(ctx, tenant, id)
		if err == nil || !ca.IsKind(err, ca.NotFound) {
			return p, err
		}
	}
	return nil, ca.Errorf(ca.NotFound, "there is no request %s here; `enrollgate request list` shows those that wait", clip(id))
}

// ListParked lists the requests of the tenants in a state, by tenant and age, at most
// limit of each; more tells that there are others.
func ListParked(ctx context.Context, s ca.PendingStore, tenants []string, state ca.PendingState, limit int) (all []*ParkedRequest, more bool, err error) {
	all = []*ParkedRequest{}
	for _, tenant := range tenants {
		found, err := s.PendingRequests(ctx, tenant, state, "", limit)
		if err != nil {
			return nil, false, err
		}
		for i := range found {
			all = append(all, Parked(&found[i]))
		}
		more = more || len(found) == limit
	}
	return all, more, nil
}

// Decider is the part of ca.Authority that settles requests.
type Decider interface {
	Approve(ctx context.Context, v *ca.Verdict) (*ca.PendingRequest, error)
	Deny(ctx context.Context, v *ca.Verdict) (*ca.PendingRequest, error)
}

// DecideParked approves or denies the request of that id in the tenants, in the
// name of the actor.
func DecideParked(ctx context.Context, s ca.PendingStore, d Decider, tenants []string, id, reason string, approve bool,
	actor func(tenant string) (caller.Caller, error)) (*ParkedRequest, error) {
	found, err := FindParked(ctx, s, tenants, id)
	if err != nil {
		return nil, err
	}
	by, err := actor(found.Tenant)
	if err != nil {
		return nil, err
	}
	decide := d.Deny
	if approve {
		decide = d.Approve
	}
	done, err := decide(ctx, &ca.Verdict{Tenant: found.Tenant, ID: found.ID, Caller: by, Reason: reason})
	if err != nil {
		return nil, err
	}
	return Parked(done), nil
}

package ca

import (
	"context"
	"strings"

	"github.com/enrollgate/enrollgate/ca/caller"
)

// Poll gives what became of a parked request to the caller that made it: the
// certificate, or Pending with RetryAfter, or why there is none. NotFound for
// everybody else.
func (a *Authority) Poll(ctx context.Context, c caller.Caller, id string) Result {
	return a.poll(ctx, c, func(s PendingStore) (*PendingRequest, error) { return s.PendingRequest(ctx, c.Tenant(), id) },
		func(p *PendingRequest) bool { return p.Requester == c.ID() })
}

// PollTransaction is Poll for the newest request of a protocol's transaction id at
// the caller's endpoint (SCEP: RFC 8894 section 3.3.3). It answers who has shown to
// hold the key of the request (Caller.HeldKey), too: a poll can be signed by a
// certificate that the request's own key made. And it answers the holder of the
// certificate that a request came with, though a secret that was sent with it has
// let it in, too (caller.Together): polls have no place for one.
func (a *Authority) PollTransaction(ctx context.Context, c caller.Caller, transaction string) Result {
	return a.poll(ctx, c, func(s PendingStore) (*PendingRequest, error) {
		return s.PendingTransaction(ctx, c.Tenant(), c.Endpoint(), transaction)
	}, func(p *PendingRequest) bool {
		key, held := c.HeldKey()
		_, shown := c.Shown()
		return p.Requester == c.ID() || held && p.KeyHash == key || shown && strings.HasPrefix(p.Requester, c.ID()+"+")
	})
}

// poll answers for a parked request that the caller may ask after.
func (a *Authority) poll(ctx context.Context, c caller.Caller, find func(PendingStore) (*PendingRequest, error), may func(*PendingRequest) bool) Result {
	if !c.Verified() {
		return Result{Err: AsError(Errorf(BadProof, "the caller is not authenticated"))}
	}
	missing := Errorf(NotFound, "there is no such request")
	if a.approvals == nil {
		return Result{Err: missing}
	}
	p, err := find(a.approvals.Store)
	switch {
	case IsKind(err, NotFound):
		return Result{Err: missing}
	case err != nil:
		return Result{Err: AsError(err)}
	case p.Endpoint != c.Endpoint() || !may(p):
		return Result{Err: missing}
	}
	return a.standing(ctx, p)
}

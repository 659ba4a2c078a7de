package ca

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
)

// settleAtOnce bounds the requests of one run.
const settleAtOnce = 200

// SettlePending issues what was approved and ends what nobody decided about in
// time: the work of one run of the job that holds the lease. Each request is a
// commit of its own, fenced with the lease; a run that is killed between a mark
// and its commit has changed nothing, and the next one goes on. The error is the
// last of those that another try may mend.
func (a *Authority) SettlePending(ctx context.Context, l *Lease) error {
	if a.approvals == nil {
		return nil
	}
	due, err := a.approvals.Store.DuePending(ctx, settleAtOnce)
	if err != nil {
		return err
	}
	var again error
	for i := range due {
		if err := a.settleOne(ctx, l, &due[i]); IsKind(err, Conflict) {
			return err // the lease is lost
		} else if err != nil {
			again = err
		}
	}
	return again
}

func (a *Authority) settleOne(ctx context.Context, l *Lease, p *PendingRequest) error {
	if p.State != Approved {
		return a.end(ctx, l, p, PendingExpired, nil)
	}
	err := a.issueApproved(ctx, l, p)
	var lost *LostEffect
	switch {
	case err == nil:
		return nil
	case errors.As(err, &lost) && lost.Index == 0:
		return LeaseLost(l)
	case errors.As(err, &lost) && lost.Index == 1: // somebody else moved it on
		return nil
	case errors.As(err, &lost):
		err = Errorf(Denied, "who asked for it has withdrawn since, or got a certificate in its place")
	case IsKind(err, Unavailable), IsKind(err, Internal) && a.now().Before(p.Expires): // another try may mend it
		return err
	}
	return a.end(ctx, l, p, PendingRejected, AsError(err))
}

// issueApproved decides on today's profile, signs and records.
func (a *Authority) issueApproved(ctx context.Context, l *Lease, p *PendingRequest) error {
	word, err := a.approval(ctx, p)
	if err != nil {
		return err
	}
	r, err := a.open(ctx, p)
	if err != nil {
		return err
	}
	made, err := a.decided(ctx, r, p.CreatedAt)
	if err != nil {
		return err
	}
	made.decision.Fields = approvedBy(made.decision, word)
	r.Effects = []Effect{a.approvals.Leases.Held(l), a.approvals.Store.IssuePending(p.Tenant, p.ID)}
	if door := a.approvals.Completions[caller.Door(p.Door)]; door != nil {
		r.Effects = append(r.Effects, door.Complete(p, r)...)
	}
	entry, err := a.signed(ctx, r, made)
	if err != nil {
		return err
	}
	recorded, err := a.ledger.Record(ctx, entry)
	if err != nil {
		a.discarded(r, entry, err)
		return err
	}
	if recorded[0].Replayed {
		err := Errorf(Conflict, "the same request was answered in another way meanwhile")
		a.discarded(r, entry, err)
		return err
	}
	a.announce(ctx, r, &recorded[0].Certificate)
	return nil
}

// approvedBy puts the operator's word into the record of the decision.
func approvedBy(d *Decision, word *approvalRecord) []Field {
	line := Field{Name: "approval", Value: "manual", Source: "profile " + d.Profile + " approval",
		Note: "approved by " + word.By + " at " + word.At.Format(time.RFC3339) + ": " + word.Reason}
	fields := append([]Field(nil), d.Fields...)
	for i := range fields {
		if fields[i].Name == line.Name {
			fields[i] = line
			return fields
		}
	}
	return append(fields, line) // the profile asks for none any more
}

// end settles a request that gets no certificate.
func (a *Authority) end(ctx context.Context, l *Lease, p *PendingRequest, to PendingState, why *Error) error {
	s := &Settlement{Tenant: p.Tenant, ID: p.ID, From: p.State, To: to, Effects: []Effect{a.approvals.Leases.Held(l)}}
	about := map[string]string{"request": p.ID}
	next := *p
	if next.State = to; why != nil {
		s.Kind, s.Reason = why.Kind, why.Public
		next.Kind, next.Reason = s.Kind, s.Reason
		about["kind"], about["field"], about["rule"], about["text"] = why.Kind.String(), why.Field, why.Rule, why.Public
	}
	s.Audit = Audit{Tenant: p.Tenant, Event: "request." + string(to), Actor: p.Requester, Trace: p.Trace, Detail: a.detail(about)}
	err := a.move(ctx, &next, s)
	var lost *LostEffect
	switch {
	case errors.As(err, &lost):
		return LeaseLost(l)
	case IsKind(err, Conflict): // somebody else moved it on
		return nil
	case err != nil:
		return err
	}
	a.observer.Refused(a.endpoints[p.Endpoint], next.answer().Kind)
	cause := ""
	if why != nil {
		cause = why.Error()
	}
	a.log.LogAttrs(ctx, slog.LevelWarn, "request.ended", slog.String("trace", p.Trace), slog.String("request", p.ID), slog.String("tenant", p.Tenant),
		slog.String("state", string(to)), slog.String("error", cause))
	return nil
}

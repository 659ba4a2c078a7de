package ca

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/enrollgate/enrollgate/ca/caller"
)

// Approvals is what an Authority needs to let requests wait for an operator.
type Approvals struct {
	Store   PendingStore
	Leases  Leases
	Sealing Sealing
	// Completions are the doors that can wait; requests of every other one are
	// refused where a profile asks for an approval.
	Completions map[caller.Door]Completion
	Lifetime    time.Duration // of a request that nobody decides about
}

// Completion is how a door learns what became of a parked request: effects that
// are committed with its end. What an effect's guard refuses to issue (an account
// that was deactivated) is rejected.
type Completion interface {
	// Complete makes the effects of the issuance; r is the request as it was made.
	Complete(p *PendingRequest, r *Request) []Effect
	// End makes the effects of an end without a certificate; err is what the requester may read.
	End(p *PendingRequest, err *Error) []Effect
}

// How soon a requester may ask again.
const (
	askWaiting  = time.Minute
	askApproved = 5 * time.Second
)

// park records a decided request instead of signing anything.
func (a *Authority) park(ctx context.Context, r *Request, p *prepared) Result {
	e, d := p.endpoint, p.decision
	if a.approvals == nil || a.approvals.Completions[e.Door] == nil {
		err := Errorf(Denied, "requests under this profile wait for an operator's approval, and here they cannot")
		err.Field, err.Rule = "approval", "profile "+d.Profile+" approval"
		return Result{Err: a.refused(r, err)}
	}
	text, err := writeRequest(r)
	if err != nil {
		return Result{Err: a.refused(r, err)}
	}
	key := r.Possession.Key()
	q := PendingRequest{Tenant: e.Tenant, ID: OrderedID(a.now()), Door: string(e.Door), Endpoint: e.Recorded(), CA: e.CA, Profile: d.Profile, Requester: r.Caller.ID(),
		Operation: r.Operation, Transaction: r.Transaction, Trace: r.Trace, Subject: d.Subject.String(), Key: key.Algorithm(), KeyHash: key.Hash()}
	for _, n := range d.AltNames {
		q.Names = append(q.Names, n.String())
	}
	if q.Sealed, err = a.approvals.Sealing.Seal(ctx, q.Tenant, q.ID, text); err != nil {
		return Result{Err: a.refused(r, err)}
	}
	parked, err := a.approvals.Store.Park(ctx, &Parking{Request: q, Lifetime: a.approvals.Lifetime, Idempotency: idempotency(e, r), Effects: r.Parked,
		Audit: a.audit(r, "request.parked", map[string]string{"request": q.ID, "endpoint": e.Recorded(), "ca": e.CA, "profile": d.Profile,
			"transaction": r.Transaction, "subject": q.Subject, "names": strings.Join(q.Names, " ")})})
	if err != nil {
		return Result{Err: a.notRecorded(r, err)}
	}
	if c := parked.Certificate; c != nil {
		return a.issued(c)
	}
	if !parked.Replayed {
		a.log.LogAttrs(ctx, slog.LevelInfo, "request.parked", slog.String("trace", r.Trace), slog.String("request", q.ID), slog.String("endpoint", q.Endpoint),
			slog.String("tenant", e.Tenant), slog.String("profile", d.Profile), slog.String("requester", q.Requester))
	}
	return a.standing(ctx, &parked.Request)
}

// issued gives a recorded certificate with its chain.
func (a *Authority) issued(c *Certificate) Result {
	issuer, err := a.issuers.IssuerOf(c)
	if err != nil {
		return Result{Err: AsError(err)}
	}
	return Result{Certificate: c, Chain: issuer.Facts().Chain, Replayed: true}
}

// standing is the answer to who asks after a parked request.
func (a *Authority) standing(ctx context.Context, p *PendingRequest) Result {
	if p.State == PendingIssued {
		c, err := a.ledger.Certificate(ctx, p.Tenant, p.CA, p.Serial)
		if err != nil {
			return Result{Request: p.ID, Err: AsError(err)}
		}
		result := a.issued(c)
		result.Request = p.ID
		return result
	}
	return Result{Request: p.ID, Until: p.Expires, Err: p.answer()}
}

// answer is what the requester is told of a request that has no certificate.
func (p *PendingRequest) answer() *Error {
	var err *Error
	switch p.State {
	case AwaitsApproval, Approved:
		err = Errorf(Pending, "the request %s waits for an operator's approval", p.ID)
		if err.RetryAfter = askWaiting; p.State == Approved {
			err.RetryAfter = askApproved
		}
	case PendingDenied:
		err = Errorf(Denied, "an operator denied the request: %s", p.Reason)
	case PendingRejected:
		err = Errorf(p.Kind, "the request was approved and could not be issued any more: %s", p.Reason)
	default:
		err = Errorf(Denied, "no operator approved the request in time; make a new one")
	}
	err.Field, err.Rule, err.Trace = "approval", "profile "+p.Profile+" approval", p.Trace
	return err
}

// Verdict is an operator's word about a parked request.
type Verdict struct {
	Tenant, ID string
	Caller     caller.Caller // an operator of the tenant
	Reason     string        // 1 to 500 printable characters; a denied requester reads it
}

const maxReason = 500

// Approve has a parked request issued, by whoever holds the lease of the job. What
// the profile and the CA say today decides: Denied, and the request waits on,
// where they refuse it. Conflict where it does not wait any more.
func (a *Authority) Approve(ctx context.Context, v *Verdict) (*PendingRequest, error) {
	p, err := a.awaiting(ctx, v)
	if err != nil {
		return nil, err
	}
	r, err := a.open(ctx, p)
	if err != nil {
		return nil, err
	}
	if _, err := a.decided(ctx, r, p.CreatedAt); err != nil {
		refused := *AsError(err)
		refused.Public = "the request cannot be issued as things stand today, and waits on: " + refused.Public
		return nil, &refused
	}
	text, err := json.Marshal(approvalRecord{v.Caller.ID(), v.Reason, a.now().UTC()})
	if err != nil {
		return nil, InternalError(err)
	}
	sealed, err := a.approvals.Sealing.Seal(ctx, p.Tenant, approvalID(p.ID), text)
	if err != nil {
		return nil, err
	}
	return a.settle(ctx, v, p, &Settlement{To: Approved, Approval: sealed})
}

// Deny ends a parked request; the requester reads the reason. Conflict where it
// does not wait any more.
func (a *Authority) Deny(ctx context.Context, v *Verdict) (*PendingRequest, error) {
	p, err := a.awaiting(ctx, v)
	if err != nil {
		return nil, err
	}
	return a.settle(ctx, v, p, &Settlement{To: PendingDenied})
}

// awaiting holds a verdict against the request that it is about.
func (a *Authority) awaiting(ctx context.Context, v *Verdict) (*PendingRequest, error) {
	switch {
	case v.Caller.Door() != caller.Operator || v.Caller.Tenant() != v.Tenant:
		return nil, Errorf(BadProof, "this needs an operator of the tenant")
	case strings.TrimSpace(v.Reason) == "" || utf8.RuneCountInString(v.Reason) > maxReason || !utf8.ValidString(v.Reason) ||
		strings.IndexFunc(v.Reason, func(c rune) bool { return c < 0x20 || 0x7f <= c && c < 0xa0 }) >= 0:
		return nil, Errorf(BadRequest, "give a reason of 1 to %d printable characters: the record keeps it, and a denied requester reads it", maxReason)
	case a.approvals == nil:
		return nil, Errorf(NotFound, "there is no such request")
	}
	p, err := a.approvals.Store.PendingRequest(ctx, v.Tenant, v.ID)
	if err != nil {
		return nil, err
	}
	if p.State != AwaitsApproval {
		return nil, Errorf(Conflict, "the request is %s already", p.State)
	}
	return p, nil
}

// settle records a verdict.
func (a *Authority) settle(ctx context.Context, v *Verdict, p *PendingRequest, s *Settlement) (*PendingRequest, error) {
	s.Tenant, s.ID, s.From, s.By, s.Reason = p.Tenant, p.ID, AwaitsApproval, v.Caller.ID(), v.Reason
	event := map[PendingState]string{Approved: "request.approved", PendingDenied: "request.denied"}[s.To]
	s.Audit = Audit{Tenant: p.Tenant, Event: event, Actor: s.By, Trace: p.Trace, Detail: a.detail(map[string]string{"request": p.ID, "reason": v.Reason})}
	next := *p
	next.State, next.DecidedBy, next.Reason, next.DecidedAt = s.To, s.By, s.Reason, a.now().UTC()
	if err := a.move(ctx, &next, s); err != nil {
		return nil, err
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "request.decided", slog.String("trace", p.Trace), slog.String("request", p.ID), slog.String("tenant", p.Tenant),
		slog.String("state", string(s.To)), slog.String("operator", s.By))
	return &next, nil
}

// move settles a request, and tells its door where it ends. What the door does
// not have any more needs not be told.
func (a *Authority) move(ctx context.Context, p *PendingRequest, s *Settlement) error {
	held := len(s.Effects)
	if door := a.approvals.Completions[caller.Door(p.Door)]; door != nil && s.To != Approved {
		s.Effects = append(s.Effects, door.End(p, p.answer())...)
	}
	err := a.approvals.Store.Settle(ctx, s)
	var lost *LostEffect
	if errors.As(err, &lost) && lost.Index >= held {
		s.Effects = s.Effects[:held]
		err = a.approvals.Store.Settle(ctx, s)
	}
	return err
}

func (a *Authority) detail(about map[string]string) []byte {
	text, err := json.Marshal(about) // maps of strings always marshal
	if err != nil {
		a.log.Error("audit.detail", "error", err)
	}
	return text
}

package broken

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/conformance"
)

// clerk is a store whose parked requests are wrong in one way, named by what.
type clerk struct {
	conformance.Store
	what string
}

func (c *clerk) Park(ctx context.Context, p *ca.Parking) (*ca.Parked, error) {
	q := *p
	switch c.what {
	case "keys ignored":
		q.Idempotency.Window = 0
	case "effects ignored":
		q.Effects = nil
	case "lives too long":
		q.Lifetime *= 2
	case "window too long":
		q.Idempotency.Window *= 2
	case "tenant dropped":
		q.Request.Tenant = conformance.Tenant
		q.Audit.Tenant = conformance.Tenant
	}
	got, err := c.Store.Park(ctx, &q)
	var lost *ca.LostEffect
	if c.what == "errors swallowed" && errors.As(err, &lost) {
		return &ca.Parked{Request: p.Request}, nil
	}
	return got, err
}

func (c *clerk) PendingRequest(ctx context.Context, tenant, id string) (*ca.PendingRequest, error) {
	if c.what == "tenant dropped" {
		tenant = conformance.Tenant
	}
	return c.Store.PendingRequest(ctx, tenant, id)
}

func (c *clerk) PendingTransaction(ctx context.Context, tenant, endpoint, transaction string) (*ca.PendingRequest, error) {
	switch c.what {
	case "tenant dropped":
		tenant = conformance.Tenant
	case "transactions of any endpoint":
		endpoint = "scep"
	case "transactions in capitals":
		transaction = strings.ToUpper(transaction)
	}
	if c.what == "oldest of a transaction" || c.what == "transactions without a name" && transaction == "" {
		return c.oldest(ctx, tenant, endpoint, transaction)
	}
	p, err := c.Store.PendingTransaction(ctx, tenant, endpoint, transaction)
	if err == nil && c.what == "ended transactions lost" && p.State != ca.AwaitsApproval {
		return nil, ca.Errorf(ca.NotFound, "there is no such request")
	}
	return p, err
}

// oldest finds the oldest request of a transaction.
func (c *clerk) oldest(ctx context.Context, tenant, endpoint, transaction string) (*ca.PendingRequest, error) {
	id := ""
	for _, state := range ca.PendingStates() {
		page, err := c.Store.PendingRequests(ctx, tenant, state, "", ca.MaxPendingPage)
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			if p.Endpoint == endpoint && p.Transaction == transaction && (id == "" || p.ID < id) {
				id = p.ID
			}
		}
	}
	return c.Store.PendingRequest(ctx, tenant, id)
}

func (c *clerk) DuePending(ctx context.Context, limit int) ([]ca.PendingRequest, error) {
	all, err := c.Store.DuePending(ctx, limit)
	if c.what == "due backwards" {
		slices.Reverse(all)
	}
	return all, err
}

func (c *clerk) Settle(ctx context.Context, s *ca.Settlement) error {
	q := *s
	if c.what == "settled without effects" {
		q.Effects = nil
	}
	err := c.Store.Settle(ctx, &q)
	if c.what == "verdicts swallowed" && ca.IsKind(err, ca.Conflict) {
		return nil
	}
	return err
}

func (c *clerk) IssuePending(tenant, id string) ca.Effect {
	if c.what == "issues anything" {
		return c.Store.Post(tenant, "issued", []byte("1")) // lets everything through
	}
	return c.Store.IssuePending(tenant, id)
}

// sweeper is a store whose background work on what profiles ask for is wrong in
// one way, named by what.
type sweeper struct {
	conformance.Store
	what string
}

// unfenced does the work whoever holds the lease.
func (s *sweeper) unfenced(ctx context.Context, l *ca.Lease) *ca.Lease {
	if s.what != "fence ignored" {
		return l
	}
	own, err := s.Store.Acquire(ctx, "own", "own", time.Minute)
	if err != nil {
		return l
	}
	return own
}

func (s *sweeper) SweepUnique(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	switch s.what {
	case "unique kept":
		return 0, nil
	case "bound ignored":
		limit = 1000
	}
	return s.Store.SweepUnique(ctx, s.unfenced(ctx, l), limit)
}

func (s *sweeper) SweepPending(ctx context.Context, l *ca.Lease, kept time.Duration, limit int) (int64, error) {
	switch s.what {
	case "pending kept":
		return 0, nil
	case "pending forgotten at once":
		kept = 0
	}
	return s.Store.SweepPending(ctx, s.unfenced(ctx, l), kept, limit)
}

func (s *sweeper) SweepSuperseded(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	if s.what == "superseded kept" {
		return 0, nil
	}
	return s.Store.SweepSuperseded(ctx, s.unfenced(ctx, l), limit)
}

func (s *sweeper) DueSuperseded(ctx context.Context, limit int) ([]ca.SupersededCertificate, error) {
	all, err := s.Store.DueSuperseded(ctx, limit)
	if s.what == "superseded of one tenant" {
		all = slices.DeleteFunc(all, func(c ca.SupersededCertificate) bool { return c.Tenant != conformance.Tenant })
	}
	return all, err
}

func (s *sweeper) StrikeSuperseded(tenant, issuer string, serial ca.Serial) ca.Effect {
	switch s.what {
	case "strikes nothing":
		return s.Store.Post(tenant, "struck", []byte("1")) // lets everything through
	case "tenant dropped":
		return s.Store.StrikeSuperseded(conformance.Tenant, issuer, serial)
	}
	return s.Store.StrikeSuperseded(tenant, issuer, serial)
}

func sweeperFlaws() (all []flaw) {
	for what, names := range map[string][]string{"fence ignored": {"LifeSwept", "Superseded"}, "unique kept": {"LifeSwept"}, "bound ignored": {"LifeSwept"}, "pending kept": {"LifeSwept"},
		"pending forgotten at once": {"LifeSwept"}, "superseded kept": {"Superseded"}, "superseded of one tenant": {"Superseded"}, "strikes nothing": {"Superseded"},
		"tenant dropped": {"TenantSwapStrikeSuperseded"}} {
		all = append(all, flaw{"sweeper: " + what, names, func(d *conformance.Driver) { d.Store = &sweeper{d.Store, what} }})
	}
	return append(all,
		flaw{"superseded not listed", []string{"Superseded"}, changing(func(_ conformance.Store, e *ca.Entry) { e.RevokeReplaced = false })},
		flaw{"all that was replaced listed", []string{"Superseded"}, changing(func(_ conformance.Store, e *ca.Entry) { e.RevokeReplaced = e.Replaces != ca.Serial{} })},
		flaw{"overlap ignored", []string{"Superseded"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Overlap = 0 })})
}

func approvalFlaws() (all []flaw) {
	for _, what := range []string{"keys ignored", "effects ignored", "lives too long", "window too long",
		"errors swallowed", "due backwards", "settled without effects", "verdicts swallowed", "issues anything",
		"transactions of any endpoint", "transactions in capitals", "transactions without a name", "oldest of a transaction", "ended transactions lost"} {
		all = append(all, flaw{"clerk: " + what, []string{"Pending"}, func(d *conformance.Driver) { d.Store = &clerk{d.Store, what} }})
	}
	return append(append(all, sweeperFlaws()...),
		flaw{"clerk: tenant dropped", []string{"TenantSwapPendingRequest", "TenantSwapPendingTransaction"}, func(d *conformance.Driver) { d.Store = &clerk{d.Store, "tenant dropped"} }},
		flaw{"uniqueness ignored", []string{"Unique"},
			changing(func(_ conformance.Store, e *ca.Entry) { e.Unique = nil })},
		flaw{"renewals not seen", []string{"Unique"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Replaces = ca.Serial{} })})
}

package broken

import (
	"context"
	"errors"
	"slices"

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

func approvalFlaws() (all []flaw) {
	for _, what := range []string{"keys ignored", "effects ignored", "lives too long", "window too long",
		"errors swallowed", "due backwards", "settled without effects", "verdicts swallowed", "issues anything"} {
		all = append(all, flaw{"clerk: " + what, []string{"Pending"}, func(d *conformance.Driver) { d.Store = &clerk{d.Store, what} }})
	}
	return append(all,
		flaw{"clerk: tenant dropped", []string{"TenantSwapPendingRequest"}, func(d *conformance.Driver) { d.Store = &clerk{d.Store, "tenant dropped"} }},
		flaw{"uniqueness ignored", []string{"Unique"},
			changing(func(_ conformance.Store, e *ca.Entry) { e.Unique = nil })},
		flaw{"renewals not seen", []string{"Unique"}, changing(func(_ conformance.Store, e *ca.Entry) { e.Replaces = ca.Serial{} })})
}

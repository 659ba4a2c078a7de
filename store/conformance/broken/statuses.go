package broken

import (
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/conformance"
)

type pager struct {
	conformance.Store
	page func(ctx context.Context, next conformance.Store, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error)
}

func (p *pager) StatusPage(ctx context.Context, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
	return p.page(ctx, p.Store, tenant, issuer, after, limit)
}

// paging changes what every page says.
func paging(change func(page []ca.Status) []ca.Status) func(*conformance.Driver) {
	return func(d *conformance.Driver) {
		d.Store = &pager{d.Store, func(ctx context.Context, next conformance.Store, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
			page, err := next.StatusPage(ctx, tenant, issuer, after, limit)
			return change(page), err
		}}
	}
}

// ender says where the feed ends, late by some rows.
type ender struct {
	conformance.Store
	by int64
}

func (e *ender) FeedEnd(ctx context.Context) (int64, error) {
	end, err := e.Store.FeedEnd(ctx)
	return max(end-e.by, 0), err
}

func statusesFlaws() []flaw {
	return []flaw{
		{"pages without released holds", []string{"StatusPages"}, paging(func(page []ca.Status) []ca.Status {
			return slices.DeleteFunc(page, func(s ca.Status) bool { return s.State == ca.Issued })
		})},
		{"pages in another order", []string{"StatusPages"}, paging(func(page []ca.Status) []ca.Status {
			slices.Reverse(page)
			return page
		})},
		{"pages without the invalidity date", []string{"StatusPages"}, paging(func(page []ca.Status) []ca.Status {
			for i := range page {
				page[i].Invalid = time.Time{}
			}
			return page
		})},
		{"pages without the shard", []string{"StatusPages"}, paging(func(page []ca.Status) []ca.Status {
			for i := range page {
				page[i].Shard = 0
			}
			return page
		})},
		{"pages that overlap", []string{"StatusPages"}, func(d *conformance.Driver) {
			d.Store = &pager{d.Store, func(ctx context.Context, next conformance.Store, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
				after[ca.SerialSize-1] = 0
				if after[0] > 0 {
					after[ca.SerialSize-2]--
				}
				return next.StatusPage(ctx, tenant, issuer, after, limit)
			}}
		}},
		{"pages of every CA", []string{"StatusPages"}, func(d *conformance.Driver) {
			d.Store = &pager{d.Store, func(ctx context.Context, next conformance.Store, tenant, _ string, after ca.Serial, limit int) ([]ca.Status, error) {
				return next.StatusPage(ctx, tenant, "issuing", after, limit)
			}}
		}},
		{"pages of any size", []string{"StatusPageRefuses"}, func(d *conformance.Driver) {
			d.Store = &pager{d.Store, func(ctx context.Context, next conformance.Store, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
				return next.StatusPage(ctx, tenant, issuer, after, min(max(limit, 1), ca.MaxStatusPage))
			}}
		}},
		{"the feed's end one row late", []string{"FeedEnd"}, func(d *conformance.Driver) { d.Store = &ender{d.Store, 1} }},
	}
}

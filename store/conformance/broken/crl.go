package broken

import (
	"context"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/conformance"
)

// publisher is a store whose lists go through other hands.
type publisher struct {
	conformance.Store
	publish func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.CRL, a ca.Audit) error
	read    func(ctx context.Context, next conformance.Store, tenant, issuer, scope string, number int64) (*ca.CRL, error)
	heads   func([]ca.CRLHead) []ca.CRLHead
}

func (p *publisher) PublishCRL(ctx context.Context, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
	if p.publish == nil {
		return p.Store.PublishCRL(ctx, l, c, a)
	}
	return p.publish(ctx, p.Store, l, c, a)
}

func (p *publisher) CRL(ctx context.Context, tenant, issuer, scope string, number int64) (*ca.CRL, error) {
	if p.read == nil {
		return p.Store.CRL(ctx, tenant, issuer, scope, number)
	}
	return p.read(ctx, p.Store, tenant, issuer, scope, number)
}

func (p *publisher) CRLHeads(ctx context.Context) ([]ca.CRLHead, error) {
	heads, err := p.Store.CRLHeads(ctx)
	if p.heads != nil {
		heads = p.heads(heads)
	}
	return heads, err
}

func publishing(f func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.CRL, a ca.Audit) error) func(*conformance.Driver) {
	return func(d *conformance.Driver) { d.Store = &publisher{Store: d.Store, publish: f} }
}

// changingCRL publishes a list that was changed first.
func changingCRL(change func(c *ca.CRL)) func(*conformance.Driver) {
	return publishing(func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
		changed := *c
		change(&changed)
		return next.PublishCRL(ctx, l, &changed, a)
	})
}

func crlFlaws() []flaw {
	return []flaw{
		{"lists lost", []string{"CRLReadBack"}, publishing(func(context.Context, conformance.Store, *ca.Lease, *ca.CRL, ca.Audit) error { return nil })},
		{"list without audit row", []string{"CRLReadBack"}, publishing(func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
			a.Trace = ""
			return next.PublishCRL(ctx, l, c, a)
		})},
		{"addresses of a list lost", []string{"CRLReadBack"}, changingCRL(func(c *ca.CRL) { c.URLs = nil })},
		{"numbers taken anew", []string{"CRLNumbersRise", "CRLRace"}, publishing(func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
			for try := *c; ; try.Number++ {
				if err := next.PublishCRL(ctx, l, &try, a); !ca.IsKind(err, ca.Conflict) || try.Number > c.Number+20 {
					return err
				}
			}
		})},
		{"late publishers believed", []string{"CRLLatePublisher"}, changingCRL(func(c *ca.CRL) { c.Position += 100 - c.Position })},
		{"lists not fenced", []string{"CRLLease"}, publishing(func(ctx context.Context, next conformance.Store, _ *ca.Lease, c *ca.CRL, a ca.Audit) error {
			return next.PublishCRL(ctx, nil, c, a)
		})},
		{"deltas taken for complete", []string{"CRLDelta"}, changingCRL(func(c *ca.CRL) { c.Base = 0 })},
		{"heads without delta", []string{"CRLDelta"}, func(d *conformance.Driver) {
			d.Store = &publisher{Store: d.Store, heads: func(heads []ca.CRLHead) []ca.CRLHead {
				for i := range heads {
					heads[i].Delta = 0
				}
				return heads
			}}
		}},
		{"the first part alone", []string{"CRLBytes"}, func(d *conformance.Driver) {
			d.Store = &publisher{Store: d.Store, read: func(ctx context.Context, next conformance.Store, tenant, issuer, scope string, number int64) (*ca.CRL, error) {
				c, err := next.CRL(ctx, tenant, issuer, scope, number)
				if err == nil {
					c.DER = slices.Clone(c.DER[:min(len(c.DER), ca.CRLPart)])
				}
				return c, err
			}}
		}},
		{"the newest list alone", []string{"CRLBytesStay"}, func(d *conformance.Driver) {
			d.Store = &publisher{Store: d.Store, read: func(ctx context.Context, next conformance.Store, tenant, issuer, scope string, number int64) (*ca.CRL, error) {
				heads, err := next.CRLHeads(ctx)
				if err != nil {
					return nil, err
				}
				for _, h := range heads {
					if h.Tenant == tenant && h.CA == issuer && h.Scope == scope && number < h.Number {
						return nil, ca.Errorf(ca.NotFound, "dropped")
					}
				}
				return next.CRL(ctx, tenant, issuer, scope, number)
			}}
		}},
		{"contradictions taken", []string{"CRLContradiction"}, publishing(func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.CRL, a ca.Audit) error {
			if err := next.PublishCRL(ctx, l, c, a); !ca.IsKind(err, ca.Internal) {
				return err
			}
			return nil
		})},
	}
}

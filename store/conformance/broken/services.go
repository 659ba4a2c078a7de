package broken

import (
	"context"
	"sync/atomic"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/conformance"
)

// servant is a store whose service certificates go through other hands.
type servant struct {
	conformance.Store
	keep   func(next conformance.Store, c *ca.ServiceCertificate) ca.Effect
	read   func([]ca.ServiceCertificate) []ca.ServiceCertificate
	forget func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error
}

func (s *servant) KeepServiceCertificate(c *ca.ServiceCertificate) ca.Effect {
	if s.keep == nil {
		return s.Store.KeepServiceCertificate(c)
	}
	return s.keep(s.Store, c)
}

func (s *servant) ServiceCertificates(ctx context.Context, tenant, issuer, service string) ([]ca.ServiceCertificate, error) {
	all, err := s.Store.ServiceCertificates(ctx, tenant, issuer, service)
	if s.read != nil {
		all = s.read(all)
	}
	return all, err
}

func (s *servant) ForgetServiceCertificate(ctx context.Context, l *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error {
	if s.forget == nil {
		return s.Store.ForgetServiceCertificate(ctx, l, c, a)
	}
	return s.forget(ctx, s.Store, l, c, a)
}

func serving(s servant) func(*conformance.Driver) {
	return func(d *conformance.Driver) {
		mine := s
		mine.Store, d.Store = d.Store, &mine
	}
}

func serviceFlaws() []flaw {
	return []flaw{
		{"service certificates lost", []string{"ServiceReadBack"}, serving(servant{keep: func(next conformance.Store, c *ca.ServiceCertificate) ca.Effect {
			return next.Post(c.Tenant, "service", []byte("1"))
		}})},
		{"service keys without their place", []string{"ServiceReadBack"}, serving(servant{read: func(all []ca.ServiceCertificate) []ca.ServiceCertificate {
			for i := range all {
				all[i].KeyURI = ""
			}
			return all
		}})},
		{"service numbers taken anew", []string{"ServiceNumbersRise", "ServiceRace"}, func(d *conformance.Driver) {
			var next atomic.Int64
			d.Store = &servant{Store: d.Store, keep: func(store conformance.Store, c *ca.ServiceCertificate) ca.Effect {
				other := *c
				other.Number += 1000 * int(next.Add(1))
				return store.KeepServiceCertificate(&other)
			}}
		}},
		{"service certificates not fenced", []string{"ServiceFenced"}, serving(servant{forget: func(ctx context.Context, next conformance.Store, _ *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error {
			return next.ForgetServiceCertificate(ctx, nil, c, a)
		}})},
		{"service certificates kept for ever", []string{"ServiceForget"}, serving(servant{forget: func(context.Context, conformance.Store, *ca.Lease, *ca.ServiceCertificate, ca.Audit) error {
			return nil
		}})},
		{"service keys forgotten unseen", []string{"ServiceForget"}, serving(servant{forget: func(ctx context.Context, next conformance.Store, l *ca.Lease, c *ca.ServiceCertificate, a ca.Audit) error {
			a.Trace = ""
			return next.ForgetServiceCertificate(ctx, l, c, a)
		}})},
	}
}

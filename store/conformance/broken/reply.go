package broken

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/conformance"
)

// rememberer is a store whose kept replies are wrong in one way, named by what.
type rememberer struct {
	conformance.Store
	what string
}

func (r *rememberer) KeepReply(k *ca.KeptReply) ca.Effect {
	q := *k
	switch r.what {
	case "nothing kept":
		return r.Store.Post(k.Tenant, "kept", []byte("1")) // lets everything through
	case "kept too long":
		q.Keep *= 2
	}
	return r.Store.KeepReply(&q)
}

func (r *rememberer) KeptReply(ctx context.Context, tenant, id string) ([]byte, error) {
	if r.what == "tenant dropped" {
		tenant = conformance.Tenant
	}
	sealed, err := r.Store.KeptReply(ctx, tenant, id)
	if r.what == "cut short" && len(sealed) > 800 {
		sealed = sealed[:800]
	}
	return sealed, err
}

func (r *rememberer) SweepReplies(ctx context.Context, l *ca.Lease, limit int) (int64, error) {
	switch r.what {
	case "never erased":
		return 0, nil
	case "bound ignored":
		limit = 1000
	case "fence ignored":
		if own, err := r.Store.Acquire(ctx, "own", "own", time.Minute); err == nil {
			l = own
		}
	}
	return r.Store.SweepReplies(ctx, l, limit)
}

func replyFlaws() (all []flaw) {
	for _, what := range []string{"nothing kept", "kept too long", "cut short", "never erased", "bound ignored", "fence ignored"} {
		all = append(all, flaw{"rememberer: " + what, []string{"KeptReply"}, func(d *conformance.Driver) { d.Store = &rememberer{d.Store, what} }})
	}
	return append(all, flaw{"rememberer: tenant dropped", []string{"TenantSwapKeptReply"}, func(d *conformance.Driver) { d.Store = &rememberer{d.Store, "tenant dropped"} }})
}

package main

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
)

// ratesEvery is how often the counters of the rate limits are shared with the
// other replicas: what may be let in too much.
const ratesEvery = time.Second

// ratesEnd bounds the last time, when the process ends.
const ratesEnd = 5 * time.Second

func limitsOf(c config.RateLimits) acme.Limits {
	return acme.Limits{AccountsPerNetwork: acme.Limit(c.AccountsPerNetwork), OrdersPerAccount: acme.Limit(c.OrdersPerAccount),
		OrdersPerIdentifier: acme.Limit(c.OrdersPerIdentifier), OrdersPerNetwork: acme.Limit(c.OrdersPerNetwork)}
}

// shareRates shares the counters until ctx ends, and then once more, so that a
// restart forgets nothing.
func (d *daemon) shareRates(ctx context.Context) {
	tick := time.NewTicker(ratesEvery)
	defer tick.Stop()
	failed := false
	flush := func(ctx context.Context) {
		p := d.policy.Load()
		if p == nil || p.acme == nil {
			return
		}
		err := p.acme.FlushRates(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			d.log.Warn("acme.rates", "error", err) // counted still, and shared later
		}
		failed = err != nil
	}
	for {
		select {
		case <-tick.C:
			flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), ratesEnd)
			defer cancel()
			flush(last)
			return
		}
	}
}

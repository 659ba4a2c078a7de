package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/scep"
)

// policy is one configuration in force with the core and the doors built from
// it. It does not change: a reload puts another in its place, and requests in
// flight end under the one that they began with.
type policy struct {
	cfg       *config.Config
	authority *ca.Authority
	acme      *acme.Door // nil without endpoints
	https     chi.Router
	est       chi.Router
	scepDoor  *scep.Door   // nil without endpoints
	scep      chi.Router   // of the http listener
	active    atomic.Int64 // requests in flight
}

// enter gives the policy in force and holds it until leave.
func (d *daemon) enter() *policy {
	for {
		p := d.policy.Load()
		p.active.Add(1)
		if d.policy.Load() == p {
			return p
		}
		p.leave() // replaced in between: whoever retires it may have counted already
	}
}

func (p *policy) leave() { p.active.Add(-1) }

// serveHTTPS answers a request under the policy in force.
func (d *daemon) serveHTTPS(w http.ResponseWriter, r *http.Request) {
	p := d.enter()
	defer p.leave()
	p.https.ServeHTTP(w, r)
}

// Enroll lets services enroll under the policy in force.
func (d *daemon) Enroll(ctx context.Context, requests ...*ca.Request) []ca.Result {
	p := d.enter()
	defer p.leave()
	return p.authority.Enroll(ctx, requests...)
}

// retire lets a replaced policy finish its requests and validations.
func (d *daemon) retire(p *policy) {
	if p.acme == nil {
		return
	}
	d.working.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for p.active.Load() > 0 && d.background.Err() == nil {
			select {
			case <-tick.C:
			case <-d.background.Done():
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), p.cfg.Drain)
		defer cancel()
		p.acme.Close(ctx)
	})
}

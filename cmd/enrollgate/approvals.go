package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/background"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme"
	"github.com/enrollgate/enrollgate/protocols/admin"
	"github.com/enrollgate/enrollgate/protocols/est"
	"github.com/enrollgate/enrollgate/protocols/scep"
)

const (
	approvalsEvery  = 2 * time.Second     // how long an approved request waits for its certificate
	requestsKept    = 30 * 24 * time.Hour // how long a request that ended is listed
	supersededEvery = 15 * time.Second    // how long after its overlap a certificate stays valid
	countingEvery   = 10 * time.Second    // how old the metric may be
)

// pendingSeal seals parked requests with the data keys of their purpose.
type pendingSeal struct{ ring *seal.Keyring }

// Seal implements ca.Sealing.
func (s pendingSeal) Seal(ctx context.Context, tenant, id string, plaintext []byte) ([]byte, error) {
	return s.ring.Seal(ctx, seal.Pending, tenant, id, plaintext)
}

// Open implements ca.Sealing.
func (s pendingSeal) Open(ctx context.Context, tenant, id string, sealed []byte) ([]byte, error) {
	return s.ring.Open(ctx, seal.Pending, tenant, id, sealed)
}

// approvals lets requests wait for an operator.
func (d *daemon) approvals(cfg *config.Config) *ca.Approvals {
	return &ca.Approvals{Store: d.store, Leases: d.store, Sealing: pendingSeal{d.sealing}, Lifetime: cfg.Approvals.Lifetime,
		Completions: map[caller.Door]ca.Completion{caller.ACME: acme.Completion{Store: d.store}, caller.EST: est.Completion{}, caller.SCEP: scep.Completion{}}}
}

// approvalsJob issues what was approved, under the policy in force.
func (d *daemon) approvalsJob() background.Job {
	return background.Job{Name: "approvals", Every: approvalsEvery, Run: func(ctx context.Context, l *ca.Lease) error {
		p := d.enter()
		defer p.leave()
		return p.authority.SettlePending(ctx, l)
	}}
}

// supersededJob revokes what was renewed under a profile that says so.
func (d *daemon) supersededJob() background.Job {
	return background.Job{Name: "superseded", Every: supersededEvery, Run: func(ctx context.Context, l *ca.Lease) error {
		p := d.enter()
		defer p.leave()
		return p.authority.RevokeSuperseded(ctx, l, d.store)
	}}
}

// waiting is how many requests of each tenant wait, as last read.
type waiting struct {
	last atomic.Pointer[map[string]int64]
}

// pendingCounts gives a count for each tenant of the configuration; nil before
// the first was read.
func (d *daemon) pendingCounts() map[string]int64 {
	last := d.pending.last.Load()
	if last == nil {
		return nil
	}
	counts := map[string]int64{}
	for _, t := range d.cfg.Tenants {
		counts[t.ID] = (*last)[t.ID]
	}
	return counts
}

// countPending reads the counts until ctx ends.
func (d *daemon) countPending(ctx context.Context) {
	tick := time.NewTicker(countingEvery)
	defer tick.Stop()
	for {
		if counts, err := d.store.CountPending(ctx); err == nil {
			d.pending.last.Store(&counts)
		} else if ctx.Err() == nil {
			d.log.Warn("approvals.count", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// decider is an authority that approves and denies without a daemon: it decides
// as the daemon would, and signs nothing.
func (d *daemon) decider(ctx context.Context) (*ca.Authority, error) {
	if err := d.openSeal(ctx); err != nil {
		return nil, err
	}
	if err := d.openCAs(ctx); err != nil {
		return nil, err
	}
	endpoints, bound := withVariants(d.cfg), map[string]*profile.Profile{}
	for _, e := range endpoints {
		bound[e.ID] = d.cfg.Profiles[e.Profile]
	}
	engine, err := profile.NewEngine(bound)
	if err != nil {
		return nil, err
	}
	return ca.NewAuthority(ca.Parts{Endpoints: endpoints, Policy: engine, Linter: lint.Linter{}, Issuers: d.issuers, Ledger: d.store,
		Log: d.log, Now: time.Now, Approvals: d.approvals(d.cfg), Windows: d.store})
}

// requestIn names a request and says what the operator says of it.
type requestIn struct {
	Tenant string `json:"tenant"` // "": every one is looked in
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

const (
	requestApprovePath = "/v1/request/approve"
	requestDenyPath    = "/v1/request/deny"
)

// requestOperations are the socket's.
func (d *daemon) requestOperations() (all []admin.Operation) {
	for path, approve := range map[string]bool{requestApprovePath: true, requestDenyPath: false} {
		all = append(all, admin.Op(path, func(ctx context.Context, by admin.Actor, in requestIn) (*core.ParkedRequest, error) {
			p := d.enter()
			defer p.leave()
			return d.decideRequest(ctx, p.cfg, p.authority, in, approve, by.For)
		}))
	}
	return all
}

// decideRequest carries out a verdict, for the daemon and without one.
func (d *daemon) decideRequest(ctx context.Context, cfg *config.Config, a core.Decider, in requestIn, approve bool,
	actor func(tenant string) (caller.Caller, error)) (*core.ParkedRequest, error) {
	tenants, err := tenantsOf(cfg, in.Tenant)
	if err != nil {
		return nil, err
	}
	return core.DecideParked(ctx, d.store, a, tenants, in.ID, in.Reason, approve, actor)
}

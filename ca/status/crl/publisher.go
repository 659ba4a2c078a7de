package crl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Store is what a publisher needs of the ledger.
type Store interface {
	ca.CRLs
	ca.Statuses
	Feed(ctx context.Context, after int64, limit int) ([]ca.Status, error)
	Now(ctx context.Context) (time.Time, error)
}

// Observer counts.
type Observer interface {
	Signed(tenant, ca string, lane ca.Lane)
	CRLPublished(c *ca.CRL)
}

// Options are what a publisher is made of; all are needed.
type Options struct {
	Store    Store
	Shelf    *Shelf
	Issuers  func() []ca.Issuer  // every generation of every CA that signs here
	Settings map[string]Settings // by TENANT/CA
	BaseURL  string              // of the listener that serves the lists
	Observer Observer
	Log      *slog.Logger
}

// Publisher makes lists. Where several run, the store lets the newest win; a
// lease keeps them from working twice.
type Publisher struct {
	Options
	mu      sync.Mutex           // one list at a time
	seen    int64                // of the status feed
	started bool                 // seen is known
	changed map[string]int64     // newest position of a CA's changes, by TENANT/CA
	pending map[string]time.Time // since when there is something to publish, by generation
	rest    map[string]time.Time // nothing because of a revocation before, by generation
	again   map[string]time.Time // nothing at all before, by generation: the last attempt failed
}

// NewPublisher checks the parts.
func NewPublisher(o Options) (*Publisher, error) {
	if o.Store == nil || o.Shelf == nil || o.Issuers == nil || o.BaseURL == "" || o.Observer == nil || o.Log == nil {
		return nil, errors.New("crl: a part is missing")
	}
	return &Publisher{Options: o, changed: map[string]int64{}, pending: map[string]time.Time{}, rest: map[string]time.Time{},
		again: map[string]time.Time{}}, nil
}

// actor is who publishes by itself.
const actor = "service:crl"

// Ensure makes the lists that are not there or not good any more. Without a
// list, nobody could check what is issued from now on.
func (p *Publisher) Ensure(ctx context.Context) error { return p.ensure(ctx, p.Issuers()) }

// EnsureOf is Ensure for one generation, which Issuers need not give yet.
func (p *Publisher) EnsureOf(ctx context.Context, generation ca.Issuer) error {
	return p.ensure(ctx, []ca.Issuer{generation})
}

func (p *Publisher) ensure(ctx context.Context, of []ca.Issuer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for try := 0; ; try++ {
		err := p.lack(ctx, of)
		if !ca.IsKind(err, ca.Conflict) || try == 5 { // another replica made the same list: take that
			return err
		}
	}
}

// lack makes what lacks, once.
func (p *Publisher) lack(ctx context.Context, of []ca.Issuer) error {
	if err := p.Shelf.Refresh(ctx); err != nil {
		return err
	}
	now, err := p.Store.Now(ctx)
	if err != nil {
		return err
	}
	for _, i := range of {
		if p.publishes(i, now) && p.lacking(i, now) {
			err := p.complete(ctx, nil, i, actor)
			if err != nil && !ca.IsKind(err, ca.Conflict) && p.stands(i, now) {
				p.Log.Warn("crl.late", "tenant", i.Facts().Tenant, "ca", i.Facts().CA, "error", err)
				continue // it is tried again, and what is there is good until then
			}
			if err != nil {
				return fmt.Errorf("CRL of CA %s: %w", nameOf(i), err)
			}
		}
	}
	return nil
}

// Publish makes complete lists of one CA now, of all its generations, and gives them.
func (p *Publisher) Publish(ctx context.Context, tenant, issuer, actor string) ([]*ca.CRL, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.Shelf.Refresh(ctx); err != nil {
		return nil, err
	}
	now, err := p.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	var made []*ca.CRL
	known := false
	for _, i := range p.Issuers() {
		f := i.Facts()
		if f.Tenant != tenant || f.CA != issuer || !p.publishes(i, now) {
			continue
		}
		known = true
		if err := p.complete(ctx, nil, i, actor); err != nil {
			return made, err
		}
		for shard := range p.shards(f) + 1 {
			if l := p.Shelf.Find(tenant, issuer, ca.CRLScope(f.Generation, shard)); l != nil {
				made = append(made, l.CRL)
			}
		}
	}
	if !known {
		return nil, ca.Errorf(ca.NotFound, "no CA %s of tenant %s publishes CRLs here", issuer, tenant)
	}
	return made, nil
}

// Run makes what is due, once, while the lease is held.
func (p *Publisher) Run(ctx context.Context, l *ca.Lease) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.Shelf.Refresh(ctx); err != nil {
		return err
	}
	if err := p.follow(ctx); err != nil {
		return err
	}
	now, err := p.Store.Now(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, i := range p.Issuers() {
		name := nameOf(i)
		if !p.publishes(i, now) || now.Before(p.again[keyOf(i)]) {
			continue
		}
		if err := p.due(ctx, l, i, now); err != nil {
			p.again[keyOf(i)] = now.Add(againAfter)
			failed = append(failed, fmt.Errorf("CRL of CA %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

// follow reads the status feed: which CAs have changes that are not published.
func (p *Publisher) follow(ctx context.Context) error {
	if !p.started {
		p.seen, p.started = p.oldest(), true
	}
	for {
		const page = 1000
		rows, err := p.Store.Feed(ctx, p.seen, page)
		if err != nil {
			return err
		}
		for _, st := range rows {
			p.changed[st.Tenant+"/"+st.CA], p.seen = st.Position, st.Position
		}
		if len(rows) < page {
			return nil
		}
	}
}

// oldest is the lowest position of the complete lists.
func (p *Publisher) oldest() int64 {
	var all []int64
	for _, i := range p.Issuers() {
		if l := p.list(i, 0); l != nil {
			all = append(all, l.Position)
		}
	}
	if len(all) == 0 {
		return 0
	}
	return slices.Min(all)
}

// due makes the lists of a generation that are due.
func (p *Publisher) due(ctx context.Context, l *ca.Lease, i ca.Issuer, now time.Time) error {
	f, set := i.Facts(), p.Settings[nameOf(i)]
	complete := p.list(i, 0)
	if p.lacking(i, now) || now.Sub(complete.ThisUpdate.Add(backdated)) >= set.Interval {
		return p.complete(ctx, l, i, actor)
	}
	delta := p.Shelf.Find(f.Tenant, f.CA, ca.CRLScope(f.Generation, 0)+deltaSuffix)
	newest := complete
	if delta != nil && delta.Number > complete.Number {
		newest = delta
	}
	waited := p.waited(i, newest.Position, now) >= set.OnRevocation && !now.Before(p.rest[keyOf(i)])
	pending := p.changed[nameOf(i)] > newest.Position
	switch deltas := set.DeltaInterval > 0; {
	case deltas && p.shards(f) == 0:
		if delta == nil || newest == complete || now.Sub(delta.ThisUpdate.Add(backdated)) >= set.DeltaInterval || pending && waited {
			return p.delta(ctx, l, i, complete)
		}
	case pending && waited:
		return p.complete(ctx, l, i, actor)
	}
	return nil
}

// waited is how long changes of a generation's certificates wait to be published.
func (p *Publisher) waited(i ca.Issuer, published int64, now time.Time) time.Duration {
	key := keyOf(i)
	if p.changed[nameOf(i)] <= published {
		delete(p.pending, key)
		return 0
	}
	since, ok := p.pending[key]
	if !ok {
		since = now
		p.pending[key] = now
	}
	return now.Sub(since)
}

// publishes tells whether a generation has lists: until it ends, and with it
// the last certificate that it signed.
func (p *Publisher) publishes(i ca.Issuer, now time.Time) bool {
	f := i.Facts()
	_, configured := p.Settings[nameOf(i)]
	return configured && f.CRLSign && now.Before(f.NotAfter)
}

// lacking tells whether a generation's list, or a shard of it, is not there,
// will not be good for long, or is older than one that may be out.
func (p *Publisher) lacking(i ca.Issuer, now time.Time) bool {
	f := i.Facts()
	for shard := range p.shards(f) + 1 {
		l := p.list(i, shard)
		if _, gap := p.Shelf.reached(f.Tenant, f.CA, ca.CRLScope(f.Generation, shard)); gap {
			return true
		}
		if l == nil || l.NextUpdate.Sub(now) < p.Settings[nameOf(i)].Overlap {
			return true
		}
	}
	return false
}

// stands tells whether all of a generation's lists are there and good now.
func (p *Publisher) stands(i ca.Issuer, now time.Time) bool {
	for shard := range p.shards(i.Facts()) + 1 {
		if l := p.list(i, shard); l == nil || !now.Before(l.NextUpdate) {
			return false
		}
	}
	return true
}

func (p *Publisher) list(i ca.Issuer, shard int) *Published {
	f := i.Facts()
	return p.Shelf.Find(f.Tenant, f.CA, ca.CRLScope(f.Generation, shard))
}

// shards is how many shards a generation has: those of the configuration, and
// those that it ever had.
func (p *Publisher) shards(f *ca.Facts) int {
	return max(p.Settings[f.Tenant+"/"+f.CA].Shards, p.Shelf.highest(f))
}

// keyOf names a generation.
func keyOf(i ca.Issuer) string { return nameOf(i) + "/" + ca.CRLScope(i.Facts().Generation, 0) }

func nameOf(i ca.Issuer) string { return i.Facts().Tenant + "/" + i.Facts().CA }

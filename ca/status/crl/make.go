package crl

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// complete makes the complete list of a generation and all its shards in one
// pass over the statuses, and a delta that has nothing yet where there are deltas.
func (p *Publisher) complete(ctx context.Context, l *ca.Lease, i ca.Issuer, actor string) error {
	f, set, began := i.Facts(), p.Settings[nameOf(i)], time.Now()
	position, err := p.Store.FeedEnd(ctx) // first: whatever the pages miss comes after it
	if err != nil {
		return err
	}
	now, err := p.Store.Now(ctx)
	if err != nil {
		return err
	}
	var drafts []*draft
	for shard := range p.shards(f) + 1 {
		previous := p.list(i, shard)
		scope := ca.CRLScope(f.Generation, shard)
		d := &draft{issuer: i, shard: shard, previous: previous, position: position, now: now, life: set.Lifetime, expired: set.KeepExpired,
			number: p.next(f, scope, now), urls: withURL(p.BaseURL+ca.CRLPath(f.Tenant, f.CA, scope), previous)}
		if set.DeltaInterval > 0 && p.shards(f) == 0 {
			d.freshest = p.BaseURL + ca.DeltaCRLPath(f.Tenant, f.CA, scope)
		}
		if err := d.open(); err != nil {
			return err
		}
		drafts = append(drafts, d)
	}
	if err := p.fill(ctx, f, drafts); err != nil {
		return err
	}
	for n, d := range drafts {
		c, err := d.finish(ctx)
		if err != nil {
			return err
		}
		p.Observer.Signed(f.Tenant, f.CA, ca.LaneStatus)
		drafts[n] = nil // its bytes are the list's now
		if err := p.record(ctx, l, c, actor); err != nil {
			return err
		}
	}
	p.rest[keyOf(i)] = now.Add(restFactor * time.Since(began))
	if set.DeltaInterval > 0 && p.shards(f) == 0 {
		return p.delta(ctx, l, i, p.list(i, 0))
	}
	return nil
}

// next is the number after those of a scope, and at least the time.
func (p *Publisher) next(f *ca.Facts, scope string, now time.Time) int64 {
	number, _ := p.Shelf.reached(f.Tenant, f.CA, scope)
	number = max(now.Unix(), number+1)
	for _, name := range []string{scope, scope + deltaSuffix} {
		if l := p.Shelf.Find(f.Tenant, f.CA, name); l != nil {
			number = max(number, l.Number+1)
		}
	}
	return number
}

// begin gives the serial number after which the entries of lists begin. Serial
// numbers begin with the month of their expiry, so everything that expired
// before the lists that these follow lies before it in the store, in one piece,
// and is not read: those lists had it (RFC 5280 section 3.3), but for what
// changed since, which the status feed tells. The zero serial number, from
// which everything is read, where a list is its scope's first or keeps what
// expired, or where more changed than it is worth.
func (p *Publisher) begin(ctx context.Context, f *ca.Facts, drafts []*draft) (ca.Serial, error) {
	listed, since, end := drafts[0].now, drafts[0].position, drafts[0].position
	for _, d := range drafts {
		if d.previous == nil || d.expired {
			return ca.Serial{}, nil
		}
		if d.previous.ThisUpdate.Before(listed) {
			listed = d.previous.ThisUpdate
		}
		since = min(since, d.previous.Position)
	}
	if end-since > maxDelta {
		return ca.Serial{}, nil
	}
	first := ca.Serial{}.Until(listed)
	for {
		const page = 1000
		rows, err := p.Store.Feed(ctx, since, page)
		if err != nil {
			return ca.Serial{}, err
		}
		for _, st := range rows {
			since = st.Position
			if st.Tenant == f.Tenant && st.CA == f.CA && bytes.Compare(st.Serial[:], first[:]) < 0 {
				first = st.Serial
			}
		}
		if len(rows) < page || since >= end {
			return before(first), nil
		}
	}
}

// before gives the serial number one lower; that of 0 is 0.
func before(s ca.Serial) ca.Serial {
	if s == (ca.Serial{}) {
		return s
	}
	for i := len(s) - 1; ; i-- {
		if s[i]--; s[i] != 0xff {
			return s
		}
	}
}

// fill reads the statuses of the CA once.
func (p *Publisher) fill(ctx context.Context, f *ca.Facts, drafts []*draft) error {
	after, err := p.begin(ctx, f, drafts)
	if err != nil {
		return err
	}
	for {
		page, err := p.Store.StatusPage(ctx, f.Tenant, f.CA, after, ca.MaxStatusPage)
		if err != nil {
			return err
		}
		for n := range page {
			st := &page[n]
			targets := drafts[:1]
			if 0 < st.Shard && st.Shard < len(drafts) {
				targets = []*draft{drafts[0], drafts[st.Shard]}
			}
			for _, d := range targets {
				if d.takes(st) {
					if err := d.add(st); err != nil {
						return err
					}
				}
			}
		}
		if len(page) < ca.MaxStatusPage {
			return nil
		}
		after = page[len(page)-1].Serial
	}
}

// delta makes a delta of the complete list: what changed since, and what came
// off it (RFC 5280 section 5.2.4).
func (p *Publisher) delta(ctx context.Context, l *ca.Lease, i ca.Issuer, base *Published) error {
	f, set := i.Facts(), p.Settings[nameOf(i)]
	position, err := p.Store.FeedEnd(ctx)
	if err != nil {
		return err
	}
	changes, err := p.since(ctx, f, base.Position)
	if err != nil {
		return err
	}
	if changes == nil { // too many
		return p.complete(ctx, l, i, actor)
	}
	now, err := p.Store.Now(ctx)
	if err != nil {
		return err
	}
	d := &draft{issuer: i, base: base, position: position, now: now, life: set.DeltaLifetime, number: p.next(f, base.Scope, now),
		expired: set.KeepExpired}
	if err := d.open(); err != nil {
		return err
	}
	for n := range changes {
		if err := d.add(&changes[n]); err != nil {
			return err
		}
	}
	c, err := d.finish(ctx)
	if err != nil {
		return err
	}
	p.Observer.Signed(f.Tenant, f.CA, ca.LaneStatus)
	return p.record(ctx, l, c, actor)
}

// since gives the last change of every certificate of a CA after a position, by
// serial; nil where there are more than a delta may have. A release is an entry
// removeFromCRL; a certificate that never was on a list may have one, too.
func (p *Publisher) since(ctx context.Context, f *ca.Facts, position int64) ([]ca.Status, error) {
	last := map[ca.Serial]ca.Status{}
	for {
		const page = 1000
		rows, err := p.Store.Feed(ctx, position, page)
		if err != nil {
			return nil, err
		}
		for _, st := range rows {
			position = st.Position
			if st.Tenant == f.Tenant && st.CA == f.CA {
				last[st.Serial] = st
			}
		}
		if len(last) > maxDelta {
			return nil, nil
		}
		if len(rows) < page {
			break
		}
	}
	changes := make([]ca.Status, 0, len(last))
	for _, st := range last {
		if st.State == ca.Issued {
			st.Reason = ca.RemoveFromCRL
		}
		changes = append(changes, st)
	}
	slices.SortFunc(changes, func(a, b ca.Status) int { return bytes.Compare(a.Serial[:], b.Serial[:]) })
	return changes, nil
}

package memory

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// holder is the certificate that has something that is unique.
type holder struct {
	ca      string
	serial  ca.Serial
	expires time.Time
}

type uniqueKey struct{ tenant, value string }

// pending is a parked request with what makes repeating it harmless.
type pending struct {
	ca.PendingRequest
	idempotency ca.Idempotency
	ended       time.Time
}

func (p *pending) live(now time.Time) bool {
	return p.idempotency.Window > 0 && (p.ended.IsZero() || now.Before(p.ended.Add(p.idempotency.Window)))
}

// takeUnique takes what no other valid certificate may have.
func (t *tx) takeUnique(e *ca.Entry) error {
	c := &e.Certificate
	for i := range e.Unique {
		u := &e.Unique[i]
		key := uniqueKey{c.Tenant, string(u.Value[:])}
		if h, taken := t.unique[key]; taken && !h.expires.Before(t.now) && !(h.ca == c.CA && h.serial == e.Replaces) {
			if other := t.certificates[keyOf(c.Tenant, h.ca, h.serial)]; other != nil && other.State != ca.Revoked {
				return ca.NotUnique(c.Profile, u)
			}
		}
		set(t, t.unique, key, holder{c.CA, c.Serial, c.NotAfter})
	}
	return nil
}

// Park records a request that waits for an operator.
func (s *Store) Park(ctx context.Context, p *ca.Parking) (*ca.Parked, error) {
	own, err := s.own(p.Request.Tenant, p.Effects, false)
	if err != nil {
		return nil, err
	}
	var out *ca.Parked
	w := &write{audits: []ca.Audit{p.Audit}}
	w.change = func(t *tx) (err error) {
		if out, err = t.parkedBefore(p); out != nil || err != nil {
			w.silent = true
			return err
		}
		if err := t.take(own, 0, nil); err != nil {
			return err
		}
		q := p.Request
		q.State, q.CreatedAt, q.Expires = ca.AwaitsApproval, t.now, t.now.Add(p.Lifetime)
		set(t, t.pending, nameKey{q.Tenant, q.ID}, &pending{PendingRequest: q, idempotency: p.Idempotency})
		out = &ca.Parked{Request: q}
		return nil
	}
	if err := s.queue.Submit(ctx, w); err != nil {
		return nil, err
	}
	return out, nil
}

// parkedBefore finds what is recorded under the idempotency key.
func (t *tx) parkedBefore(p *ca.Parking) (*ca.Parked, error) {
	taken := ca.TransactionTaken()
	id := p.Idempotency
	if id.Window <= 0 {
		return nil, nil
	}
	for _, q := range t.pending {
		if q.Tenant != p.Request.Tenant || q.idempotency.Key != id.Key || !q.live(t.now) {
			continue
		}
		if q.idempotency.Digest != id.Digest {
			return nil, taken
		}
		return &ca.Parked{Request: q.PendingRequest, Replayed: true}, nil
	}
	a, ok := t.answered[idemKey{p.Request.Tenant, string(id.Key[:])}]
	if !ok || !t.now.Before(a.expires) {
		return nil, nil
	}
	if a.digest != id.Digest {
		return nil, taken
	}
	c := t.certificates[keyOf(p.Request.Tenant, a.ca, a.serial)].Certificate
	c.DER = bytes.Clone(c.DER)
	return &ca.Parked{Certificate: &c, Replayed: true}, nil
}

// PendingRequest finds one parked request.
func (s *Store) PendingRequest(_ context.Context, tenant, id string) (*ca.PendingRequest, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.pending[nameKey{tenant, id}]
	if p == nil {
		return nil, ca.Errorf(ca.NotFound, "there is no such request")
	}
	out := p.PendingRequest
	return &out, nil
}

// PendingTransaction finds the newest parked request of a transaction.
func (s *Store) PendingTransaction(_ context.Context, tenant, endpoint, transaction string) (*ca.PendingRequest, error) {
	all := s.pendingWhere(func(p *pending) bool {
		return transaction != "" && p.Tenant == tenant && p.Endpoint == endpoint && p.Transaction == transaction
	})
	if len(all) == 0 {
		return nil, ca.Errorf(ca.NotFound, "there is no such request")
	}
	newest := slices.MaxFunc(all, func(a, b ca.PendingRequest) int { return cmp.Compare(a.ID, b.ID) })
	return &newest, nil
}

// PendingRequests lists those of a tenant in a state.
func (s *Store) PendingRequests(_ context.Context, tenant string, state ca.PendingState, after string, limit int) ([]ca.PendingRequest, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	all := s.pendingWhere(func(p *pending) bool { return p.Tenant == tenant && p.State == state && p.ID > after })
	slices.SortFunc(all, func(a, b ca.PendingRequest) int { return cmp.Compare(a.ID, b.ID) })
	for i := range all {
		all[i].Sealed, all[i].Approval = nil, nil
	}
	return all[:min(limit, len(all))], nil
}

// DuePending lists what somebody must move on.
func (s *Store) DuePending(_ context.Context, limit int) ([]ca.PendingRequest, error) {
	if err := ca.CheckPendingPage(limit); err != nil {
		return nil, err
	}
	now := s.now()
	all := s.pendingWhere(func(p *pending) bool {
		return p.State == ca.Approved || p.State == ca.AwaitsApproval && !now.Before(p.Expires)
	})
	slices.SortFunc(all, func(a, b ca.PendingRequest) int {
		return cmp.Or(cmp.Compare(a.State, b.State), a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID)) // "approved" < "pending"
	})
	return all[:min(limit, len(all))], nil
}

func (s *Store) pendingWhere(holds func(*pending) bool) (all []ca.PendingRequest) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, p := range s.pending {
		if holds(p) {
			all = append(all, p.PendingRequest)
		}
	}
	return all
}

// CountPending counts the requests that wait, by tenant.
func (s *Store) CountPending(context.Context) (map[string]int64, error) {
	counts := map[string]int64{}
	for _, p := range s.pendingWhere(func(p *pending) bool { return p.State == ca.AwaitsApproval }) {
		counts[p.Tenant]++
	}
	return counts, nil
}

// Settle moves a parked request on.
func (s *Store) Settle(ctx context.Context, p *ca.Settlement) error {
	own, err := s.own(p.Tenant, p.Effects, false)
	if err != nil {
		return err
	}
	return s.change(ctx, func(t *tx) error {
		if err := t.take(own, 0, nil); err != nil {
			return err
		}
		q := t.pending[nameKey{p.Tenant, p.ID}]
		if q == nil || q.State != p.From || p.To == ca.Approved && !t.now.Before(q.Expires) || p.To == ca.PendingExpired && t.now.Before(q.Expires) {
			return ca.Errorf(ca.Conflict, "the request is not %s any more", p.From)
		}
		next := *q
		next.State, next.Kind = p.To, p.Kind
		if p.By != "" {
			next.DecidedAt, next.DecidedBy = t.now, p.By
		}
		if p.Reason != "" {
			next.Reason = p.Reason
		}
		if p.Approval != nil {
			next.Approval = bytes.Clone(p.Approval)
		}
		if p.To != ca.Approved {
			next.ended = t.now
		}
		set(t, t.pending, nameKey{p.Tenant, p.ID}, &next)
		return nil
	}, p.Audit)
}

// IssuePending makes the effect that gives an approved request its certificate.
func (s *Store) IssuePending(tenant, id string) ca.Effect {
	return ca.NewEffect(&effect{owner: s, tenant: tenant, issue: func(t *tx, e *ca.Entry) bool {
		q := t.pending[nameKey{tenant, id}]
		if q == nil || q.State != ca.Approved || q.CA != e.Certificate.CA {
			return false
		}
		next := *q
		next.State, next.Serial, next.ended = ca.PendingIssued, e.Certificate.Serial, t.now
		set(t, t.pending, nameKey{tenant, id}, &next)
		return true
	}})
}

var _ ca.PendingStore = (*Store)(nil)

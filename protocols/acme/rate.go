package acme

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
)

// Limit is how often something may happen in each window of time; windows begin
// at multiples of their length. The zero Limit is none.
type Limit struct {
	Count int64
	Per   time.Duration
}

// Limits are the rate limits of each directory. A network is an IPv4 address or
// the first 64 bits of an IPv6 address. A name that is proven before any order
// (newAuthz) counts as an order does.
type Limits struct {
	AccountsPerNetwork  Limit // that are made
	OrdersPerAccount    Limit
	OrdersPerIdentifier Limit
	OrdersPerNetwork    Limit
}

// The limits' words, in metrics and in the ids of counters.
const (
	accountsPerNetwork  = "accounts-per-network"
	ordersPerAccount    = "orders-per-account"
	ordersPerIdentifier = "orders-per-identifier"
	ordersPerNetwork    = "orders-per-network"
	sparedRenewals      = "spared-renewals" // never refuses: what is over counts as any order
)

// Names lists the words of the limits that are set.
func (l Limits) Names() (names []string) {
	for name, limit := range map[string]Limit{accountsPerNetwork: l.AccountsPerNetwork, ordersPerAccount: l.OrdersPerAccount,
		ordersPerIdentifier: l.OrdersPerIdentifier, ordersPerNetwork: l.OrdersPerNetwork} {
		if limit.Count > 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// renewalsSpared is how often an account renews one identifier without counting
// under the limits per account and per identifier.
var renewalsSpared = Limit{10, time.Hour}

// ratesKept bounds the counters that one replica remembers; what is over is not
// counted, so that strangers cannot fill the memory.
const ratesKept = 1 << 17

// rates counts for all directories of this replica, and shares with the others
// what was counted since the last flush. Between flushes replicas know
// nothing of each other, so that they together let at most one flush's worth more in.
type rates struct {
	store   state.Rates
	now     func() time.Time
	flushes sync.Mutex // one flush at a time

	mu      sync.Mutex
	windows map[[32]byte]*window
}

// window is one counter in one window of time.
type window struct {
	tenant string
	shared int64 // what all replicas counted, as of the last flush
	fresh  int64 // what this one counted since
	ends   time.Time
}

func newRates(store state.Rates, now func() time.Time) *rates {
	return &rates{store: store, now: now, windows: map[[32]byte]*window{}}
}

// event is one thing that is limited.
type event struct {
	limit   Limit
	what    string // one of the words of the limits
	subject string // account, identifier or network
	text    string // for the client
}

func (ev event) window(e *endpoint, now time.Time) (id [32]byte, ends time.Time) {
	starts := now.Truncate(ev.limit.Per)
	key, err := json.Marshal([]string{e.ID, ev.what, ev.limit.Per.String(), ev.subject, starts.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		panic(err) // strings always marshal
	}
	return sha256.Sum256(key), starts.Add(ev.limit.Per)
}

// take counts events that happen together and gives nil, or counts none of them
// and says which limit refuses.
func (l *rates) take(e *endpoint, events ...event) *problem {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var counted []*window
	for _, ev := range events {
		if ev.limit.Count == 0 || ev.subject == "" {
			continue
		}
		id, ends := ev.window(e, now)
		w := l.windows[id]
		if w == nil {
			if len(l.windows) >= ratesKept {
				continue
			}
			w = &window{tenant: e.Tenant, ends: ends}
			l.windows[id] = w
		}
		if w.shared+w.fresh >= ev.limit.Count {
			p := fail(http.StatusTooManyRequests, typeRateLimited, "at most %d %s in %s; try again after this window ends", ev.limit.Count, ev.text, ev.limit.Per)
			p.retryAfter, p.limit = ends.Sub(now), ev.what
			return p
		}
		counted = append(counted, w)
	}
	for _, w := range counted {
		w.fresh++
	}
	return nil
}

// flush shares what was counted and learns what others did. What cannot be
// shared is kept for the next time.
func (l *rates) flush(ctx context.Context) error {
	l.flushes.Lock()
	defer l.flushes.Unlock()
	fresh := map[string][]state.Rate{}
	l.mu.Lock()
	now := l.now()
	for id, w := range l.windows {
		switch {
		case !now.Before(w.ends):
			delete(l.windows, id)
		case w.fresh > 0:
			fresh[w.tenant] = append(fresh[w.tenant], state.Rate{ID: id, Count: w.fresh, Expires: w.ends})
		}
	}
	l.mu.Unlock()
	for tenant, all := range fresh {
		sums, err := l.store.AddRates(ctx, tenant, all)
		if err != nil {
			return err
		}
		l.mu.Lock()
		for i, r := range all {
			if w := l.windows[r.ID]; w != nil {
				w.shared, w.fresh = sums[i], w.fresh-r.Count
			}
		}
		l.mu.Unlock()
	}
	return nil
}

// FlushRates shares the counters of the rate limits with the other replicas; its
// owner calls it each second. Errors are *ca.Error of kind Unavailable or Internal.
func (d *Door) FlushRates(ctx context.Context) error {
	if d.rates == nil {
		return nil
	}
	return d.rates.flush(ctx)
}

// limitAccount counts a new account.
func (d *Door) limitAccount(r *request) error {
	if d.rates == nil {
		return nil
	}
	return d.limited(r, d.rates.take(r.endpoint, event{d.Limits.AccountsPerNetwork, accountsPerNetwork, networkOf(r.RemoteAddr), "accounts are made from one network"}))
}

// limitOrder counts a new order, or a name that is proven before one. An order
// that replaces a certificate with the names had counts under the limit per
// network alone, as clients that follow renewal information expect (RFC 9773
// section 5), but for its further names, and as long as the account does not
// renew one of the names more often than renewalsSpared: orders stay open, and
// whoever revokes may replace at once, so that one certificate would otherwise
// give leave for any number of orders.
func (d *Door) limitOrder(r *request, s *signed, identifiers []state.Identifier, had []pkix.GeneralName) error {
	if d.rates == nil {
		return nil
	}
	network := event{d.Limits.OrdersPerNetwork, ordersPerNetwork, networkOf(r.RemoteAddr), "orders are taken from one network"}
	all := []event{network, {d.Limits.OrdersPerAccount, ordersPerAccount, s.account.ID, "orders are taken from one account"}}
	renewal, spared := []event{network}, false
	for _, id := range identifiers {
		name := id.Type + ":" + id.Value
		ordinary := event{d.Limits.OrdersPerIdentifier, ordersPerIdentifier, name, "orders are taken for one identifier"}
		all = append(all, ordinary)
		if slices.ContainsFunc(had, func(h pkix.GeneralName) bool { return h.Key() == generalName(id).Key() }) {
			ordinary, spared = event{renewalsSpared, sparedRenewals, s.account.ID + " " + name, "renewals are spared"}, true
		}
		renewal = append(renewal, ordinary)
	}
	if spared && (d.Limits.OrdersPerAccount.Count > 0 || d.Limits.OrdersPerIdentifier.Count > 0) {
		if p := d.rates.take(r.endpoint, renewal...); p == nil || p.limit != sparedRenewals {
			return d.limited(r, p)
		}
	}
	return d.limited(r, d.rates.take(r.endpoint, all...))
}

// limited counts a refusal; p is nil where there is none.
func (d *Door) limited(r *request, p *problem) error {
	if p == nil {
		return nil
	}
	d.Observer.Limited(&r.endpoint.Endpoint, p.limit)
	return p
}

// networkOf names the network of a client; empty where it is not known.
func networkOf(remote string) string {
	switch a := httpx.ClientAddress(remote); {
	case !a.IsValid():
		return ""
	case a.Is4():
		return a.String()
	default:
		return netip.PrefixFrom(a, 64).Masked().String()
	}
}

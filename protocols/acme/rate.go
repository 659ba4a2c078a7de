package acme

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/protocols/acme/state"
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
	what    string // word of the closed set of limits
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

// take counts events that happen together, or none of them and refuses.
func (l *rates) take(e *endpoint, events ...event) error {
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
			p.retryAfter = ends.Sub(now)
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
	return d.rates.take(r.endpoint, event{d.Limits.AccountsPerNetwork, "accounts-per-network", networkOf(r.RemoteAddr), "accounts are made from one network"})
}

// limitOrder counts a new order, or a name that is proven before one.
func (d *Door) limitOrder(r *request, s *signed, identifiers []state.Identifier) error {
	if d.rates == nil {
		return nil
	}
	events := []event{{d.Limits.OrdersPerAccount, "orders-per-account", s.account.ID, "orders are taken from one account"},
		{d.Limits.OrdersPerNetwork, "orders-per-network", networkOf(r.RemoteAddr), "orders are taken from one network"}}
	for _, id := range identifiers {
		events = append(events, event{d.Limits.OrdersPerIdentifier, "orders-per-identifier", id.Type + ":" + id.Value, "orders are taken for one identifier"})
	}
	return d.rates.take(r.endpoint, events...)
}

// networkOf names the network of a client; empty where it is not known.
func networkOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	if a = a.Unmap().WithZone(""); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a, 64).Masked().String()
}

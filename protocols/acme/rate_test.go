package acme

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/test/fixture"
)

const limited = urn + typeRateLimited

// counting gives the bench's door limits over its store.
func (b *bench) counting(l Limits) {
	store, ok := b.store.(state.Rates)
	if !ok {
		b.t.Fatal("the store counts nothing")
	}
	b.door.Limits, b.door.rates = l, newRates(store, b.door.Now)
}

// TestRateLimits: what is over a limit is refused as rateLimited with the time of
// the window's end (RFC 8555 section 6.6), and counts for nothing.
func TestRateLimits(t *testing.T) {
	hour := func(n int64) Limit { return Limit{n, time.Hour} }
	const order = `{"identifiers":[{"type":"dns","value":"a.example"}]}`
	for name, test := range map[string]struct {
		limits  Limits
		in, out func(c *client) reply
	}{
		"orders of an account": {Limits{OrdersPerAccount: hour(2)}, func(c *client) reply { return c.post(c.base+"/new-order", order) }, nil},
		"orders of a name": {Limits{OrdersPerIdentifier: hour(2)}, func(c *client) reply { return c.post(c.base+"/new-order", order) },
			func(c *client) reply {
				return c.b.registered("one").post(c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"b.example"},{"type":"dns","value":"A.example"}]}`)
			}},
		"orders of a network": {Limits{OrdersPerNetwork: hour(2)}, func(c *client) reply { return c.post(c.base+"/new-order", order) },
			func(c *client) reply {
				return c.b.registered("one").post(c.base+"/new-order", `{"identifiers":[{"type":"dns","value":"b.example"}]}`)
			}},
		"names before an order": {Limits{OrdersPerAccount: hour(2)}, func(c *client) reply {
			return c.post(c.base+"/new-authz", `{"identifier":{"type":"dns","value":"a.example"}}`)
		}, func(c *client) reply { return c.post(c.base+"/new-order", order) }},
		"accounts of a network": {Limits{AccountsPerNetwork: hour(2)}, func(c *client) reply {
			return c.b.client("one").post(c.base+"/new-account", `{}`)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c := b.registered("one")
			stranger := b.registered("two")
			b.counting(test.limits)
			for range 2 {
				if r := test.in(c); r.status != http.StatusCreated {
					t.Fatalf("%d %s", r.status, r.body)
				}
			}
			if test.out == nil {
				test.out = test.in
			}
			r := test.out(c)
			after, err := strconv.Atoi(r.header.Get("Retry-After"))
			if r.status != http.StatusTooManyRequests || r.problem(t).Type != limited || err != nil || after < 1 || after > 3600 {
				t.Errorf("%d %s, Retry-After %q", r.status, r.body, r.header.Get("Retry-After"))
			}
			if r := c.post(c.base+"/new-account", `{"onlyReturnExisting":true}`); r.status >= 500 || r.status == http.StatusTooManyRequests {
				t.Errorf("finding an account: %d", r.status)
			}
			if r := stranger.post(stranger.base+"/new-order", order); r.status != http.StatusCreated {
				t.Errorf("another directory: %d %s", r.status, r.body)
			}
			real := b.door.rates.now
			b.door.rates.now = func() time.Time { return real().Add(time.Hour) }
			if r := test.out(c); r.status != http.StatusCreated {
				t.Errorf("in the next window: %d %s", r.status, r.body)
			}
		})
	}
}

// refusals counts what the limits refused, by endpoint and limit.
type refusals struct {
	unobserved
	mu  sync.Mutex
	all map[string]int
}

func (o *refusals) Limited(e *ca.Endpoint, limit string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all[e.ID+" "+limit]++
}

// TestRenewalsAreSpared: an order that replaces a certificate counts for its
// network alone (RFC 9773 section 5), but for names that the certificate does not
// have, and no more often than renewalsSpared: the first order stays open all the
// time, so that without that bound every one of them would pass.
func TestRenewalsAreSpared(t *testing.T) {
	b := newBench(t)
	c := b.registered("one")
	der, _ := c.issue(fixture.Key(t), "host.example")
	id := renewalIDOf(t, der)
	seen := &refusals{all: map[string]int{}}
	b.door.Observer = seen
	hour := func(n int64) Limit { return Limit{n, time.Hour} }
	b.counting(Limits{OrdersPerAccount: hour(1), OrdersPerIdentifier: hour(1), OrdersPerNetwork: hour(renewalsSpared.Count + 4)})
	at := time.Now().Truncate(time.Hour).Add(time.Hour)
	b.door.rates.now = func() time.Time { return at }
	order := func(want int, replaces string, names ...string) {
		t.Helper()
		if _, _, r := c.replacing(replaces, names...); r.status != want || want == http.StatusTooManyRequests && r.problem(t).Type != limited {
			t.Errorf("%s: %d %s, want %d", names, r.status, r.body, want)
		}
	}
	order(http.StatusCreated, "", "host.example")
	order(http.StatusTooManyRequests, "", "host.example")
	order(http.StatusCreated, id, "host.example", "new.example")
	order(http.StatusTooManyRequests, id, "host.example", "new.example") // the new name was ordered before
	for range renewalsSpared.Count - 1 {
		order(http.StatusCreated, id, "host.example")
	}
	order(http.StatusTooManyRequests, id, "host.example") // as any order
	at = at.Add(time.Hour)
	order(http.StatusCreated, "", "other.example")
	order(http.StatusCreated, id, "host.example")
	b.counting(Limits{OrdersPerNetwork: hour(1)})
	b.door.rates.now = func() time.Time { return at }
	order(http.StatusCreated, id, "host.example")
	order(http.StatusTooManyRequests, id, "host.example")
	endpoint := b.door.endpoints["one/issuing/privatessl-tls-server"].ID + " "
	want := map[string]int{endpoint + ordersPerAccount: 2, endpoint + ordersPerIdentifier: 1, endpoint + ordersPerNetwork: 1}
	if diff := cmp.Diff(want, seen.all); diff != "" {
		t.Error(diff)
	}
}

func TestLimitNames(t *testing.T) {
	all := Limits{Limit{1, time.Hour}, Limit{1, time.Hour}, Limit{1, time.Hour}, Limit{1, time.Hour}}
	if diff := cmp.Diff([]string{accountsPerNetwork, ordersPerAccount, ordersPerIdentifier, ordersPerNetwork}, all.Names()); diff != "" {
		t.Error(diff)
	}
	if names := (Limits{OrdersPerNetwork: Limit{1, time.Hour}}).Names(); !slices.Equal(names, []string{ordersPerNetwork}) {
		t.Error(names)
	}
}

// TestRatesAreShared: replicas know of each other after a flush, and a restart
// forgets nothing that was flushed.
func TestRatesAreShared(t *testing.T) {
	b := newBench(t)
	store := b.store.(state.Rates)
	at := time.Now().Truncate(time.Hour).Add(time.Minute)
	now := func() time.Time { return at }
	e := b.door.endpoints["one/issuing/privatessl-tls-server"]
	ev := event{limit: Limit{4, time.Hour}, what: "orders-per-account", subject: "a", text: "orders"}
	one, two := newRates(store, now), newRates(store, now)
	take := func(l *rates, want bool) {
		t.Helper()
		if err := l.take(e, ev); (err == nil) != want {
			t.Errorf("taken: %v", err)
		}
	}
	flush := func(all ...*rates) {
		t.Helper()
		for _, l := range all {
			if err := l.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	take(one, true)
	take(two, true)
	take(one, true)
	flush(one, two, one)
	take(two, true)
	take(two, false)
	flush(two)
	restarted := newRates(store, now)
	take(restarted, true) // until it has heard of the others
	flush(restarted)
	take(restarted, false)
	other := *e
	other.Tenant, other.ID = "two", "acme-two"
	if err := restarted.take(&other, ev); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	at = at.Add(time.Hour)
	flush(one, two, restarted)
	if len(one.windows)+len(two.windows)+len(restarted.windows) != 0 {
		t.Error("ended windows are kept")
	}
	take(one, true)
}

// failing is a store that is away.
type failing struct{ state.Rates }

func (failing) AddRates(context.Context, string, []state.Rate) ([]int64, error) {
	return nil, ca.Wrap(ca.Unavailable, errors.New("away"), "try later")
}

// TestRatesWithoutStore: what could not be shared still counts, and is shared later.
func TestRatesWithoutStore(t *testing.T) {
	b := newBench(t)
	e := b.door.endpoints["one/issuing/privatessl-tls-server"]
	l := newRates(failing{}, time.Now)
	ev := event{limit: Limit{2, 24 * time.Hour}, what: "w", subject: "a", text: "things"}
	for range 2 {
		if err := l.take(e, ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.flush(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("flush: %v", err)
	}
	if err := l.take(e, ev); err == nil {
		t.Error("what was not shared is forgotten")
	}
	l.store = b.store.(state.Rates)
	if err := l.flush(t.Context()); err != nil {
		t.Error(err)
	}
	id, ends := ev.window(e, time.Now())
	if sums, err := l.store.AddRates(t.Context(), "one", []state.Rate{{ID: id, Expires: ends}}); err != nil || !slices.Equal(sums, []int64{2}) {
		t.Errorf("shared %v, %v", sums, err)
	}
}

func TestNetworkOf(t *testing.T) {
	for remote, want := range map[string]string{"192.0.2.7:443": "192.0.2.7", "[::ffff:192.0.2.7]:1": "192.0.2.7", "[2001:db8::1:2:3:4]:1": "2001:db8::/64",
		"[fe80::1%eth0]:1": "fe80::/64", "@": "", "": "", "host.example:1": ""} {
		if got := networkOf(remote); got != want {
			t.Errorf("%s is of network %q, want %q", remote, got, want)
		}
	}
}

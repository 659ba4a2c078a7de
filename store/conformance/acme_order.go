package conformance

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

var orderCases = []Case{
	{"ParkedOrder", parkedOrder},
	{"Order", order},
	{"OrderWhole", orderWhole},
	{"Challenge", challenge},
	{"ChallengeAtOnce", challengeAtOnce},
	{"ChallengeRace", challengeRace},
	{"Deactivate", deactivate},
	{"Finish", finish},
	{"FinishGuards", finishGuards},
	{"FinishRace", finishRace},
	{"FinishRaceWithKey", finishRaceWithKey},
	{"OrderAsked", orderAsked},
	{"Replace", replace},
	{"ReplaceRace", replaceRace},
}

// newOrder makes a pending order with one pending authorization a name.
func (k *kit) newOrder(a *state.Account, names ...string) (*state.Order, []*state.Authorization) {
	now := k.now().UTC().Truncate(time.Microsecond)
	o := &state.Order{Tenant: a.Tenant, Endpoint: a.Endpoint, ID: ca.RandomID(16), Account: a.ID, Status: state.Pending,
		CreatedAt: now, Expires: now.Add(24 * time.Hour)}
	var all []*state.Authorization
	for i, name := range names {
		id := state.Identifier{Type: "dns", Value: name}
		o.Identifiers = append(o.Identifiers, id)
		az := &state.Authorization{Tenant: a.Tenant, Endpoint: a.Endpoint, ID: ca.RandomID(16), Account: a.ID, Identifier: id,
			Wildcard: i%2 == 1, Status: state.Pending, CreatedAt: now, Expires: now.Add(12 * time.Hour),
			Challenges: []state.Challenge{{Type: "http-01", Token: ca.RandomID(32), Status: state.Pending}, {Type: "dns-01", Token: ca.RandomID(32), Status: state.Pending}}}
		o.Authorizations = append(o.Authorizations, az.ID)
		all = append(all, az)
	}
	return o, all
}

func (k *kit) order(a *state.Account, names ...string) (*state.Order, []*state.Authorization) {
	k.Helper()
	o, az := k.newOrder(a, names...)
	k.must("create an order", k.ACME.CreateOrder(k.Context(), o, az, k.nonce()))
	return o, az
}

// begun is the authorization once its first challenge is being validated.
func begun(az *state.Authorization, now time.Time) *state.Authorization {
	after := *az
	after.Challenges = slices.Clone(az.Challenges)
	after.Challenges[0].Status, after.Challenges[0].Deadline = state.Processing, now.UTC().Add(time.Minute).Truncate(time.Microsecond)
	return &after
}

// ended is the authorization once its first challenge was validated.
func ended(az *state.Authorization, now time.Time, status state.Status) *state.Authorization {
	after := *az
	after.Status = status
	after.Challenges = slices.Clone(az.Challenges)
	c := &after.Challenges[0]
	c.Status, c.Attempts, c.Record = status, 1, []byte(`{"hops":1}`)
	if status == state.Valid {
		c.Validated = now.UTC().Truncate(time.Microsecond)
		after.Expires = az.Expires.Add(-time.Millisecond) // a proof may end sooner than it was opened for
	} else {
		c.Error = []byte(`{"type":"urn:ietf:params:acme:error:connection"}`)
	}
	return &after
}

// validate makes authorizations valid.
func (k *kit) validate(all []*state.Authorization) {
	k.Helper()
	for _, az := range all {
		k.must("end a challenge", k.ACME.EndChallenge(k.Context(), ended(az, k.now(), state.Valid)))
	}
}

func (k *kit) sameAuthorization(want *state.Authorization) {
	k.Helper()
	got, err := k.ACME.Authorization(k.Context(), want.Tenant, want.Endpoint, want.ID)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		k.Errorf("authorization: %v\n%s", err, diff)
	}
}

func (k *kit) readOrder(o *state.Order) *state.Order {
	k.Helper()
	got, _, err := k.ACME.Order(k.Context(), o.Tenant, o.Endpoint, o.ID)
	k.must("order", err)
	return got
}

// finishedOrder makes an order, validates it and records its certificate.
func (k *kit) finishedOrder(a *state.Account) (*state.Order, *ca.Entry) {
	k.Helper()
	o, az := k.order(a, "done.example")
	k.validate(az)
	id := ca.RandomID(16)
	e := k.entry(a.Tenant, k.ACME.FinishOrder(a.Tenant, a.Endpoint, o.ID, id, a.Thumbprint))
	k.record(e)
	return k.readOrder(o), e
}

func order(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	plain, az := k.order(a, "c.example", "a.example", "b.example")
	dated, datedAz := k.newOrder(a, "d.example")
	dated.NotBefore, dated.NotAfter = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	k.must("create", k.ACME.CreateOrder(t.Context(), dated, datedAz, k.nonce()))
	failed, failedAz := k.newOrder(a, "e.example")
	failed.Status, failed.Error = state.Invalid, []byte(`{"type":"x"}`)
	k.must("create", k.ACME.CreateOrder(t.Context(), failed, failedAz, k.nonce()))
	for _, c := range []struct {
		o  *state.Order
		az []*state.Authorization
	}{{plain, az}, {dated, datedAz}, {failed, failedAz}} {
		got, gotAz, err := k.ACME.Order(t.Context(), Tenant, Endpoint, c.o.ID)
		k.must("order", err)
		if diff := cmp.Diff(c.o, got); diff != "" {
			t.Errorf("order:\n%s", diff)
		}
		if diff := cmp.Diff(c.az, gotAz); diff != "" {
			t.Errorf("authorizations:\n%s", diff)
		}
		k.sameAuthorization(c.az[0])
	}
	_, _, err := k.ACME.Order(t.Context(), Tenant, Endpoint, "unknown")
	k.kind("an unknown order", err, ca.NotFound)
	_, err = k.ACME.Authorization(t.Context(), Tenant, Endpoint, "unknown")
	k.kind("an unknown authorization", err, ca.NotFound)
	_, err = k.ACME.OrderByCertificate(t.Context(), Tenant, Endpoint, "")
	k.kind("the certificate of no order", err, ca.NotFound)
}

// orderWhole: an order and its authorizations are there together or not at all.
func orderWhole(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	_, taken := k.order(a, "a.example")
	o, az := k.newOrder(a, "x.example", "y.example")
	az[1].ID, o.Authorizations[1] = taken[0].ID, taken[0].ID
	if err := k.ACME.CreateOrder(t.Context(), o, az, k.nonce()); err == nil {
		t.Errorf("an authorization id was taken twice")
	}
	_, _, err := k.ACME.Order(t.Context(), Tenant, Endpoint, o.ID)
	k.kind("the refused order", err, ca.NotFound)
	_, err = k.ACME.Authorization(t.Context(), Tenant, Endpoint, az[0].ID)
	k.kind("the refused order's first authorization", err, ca.NotFound)
	k.sameAuthorization(taken[0])
}

func challenge(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	_, all := k.order(a, "a.example", "b.example")
	for i, outcome := range []state.Status{state.Valid, state.Invalid} {
		az := all[i]
		after := begun(az, k.now())
		k.must("begin", k.ACME.ChangeChallenge(t.Context(), az, after, k.nonce()))
		k.sameAuthorization(after)
		k.kind("begin what has begun", k.ACME.ChangeChallenge(t.Context(), az, begun(az, k.now()), k.nonce()), ca.Conflict)
		k.sameAuthorization(after)
		again := begun(after, k.now().Add(time.Hour)) // who has seen the last state may take over
		k.must("begin again", k.ACME.ChangeChallenge(t.Context(), after, again, k.nonce()))
		done := ended(again, k.now(), outcome)
		k.must("end", k.ACME.EndChallenge(t.Context(), done))
		k.sameAuthorization(done)
		for _, late := range []state.Status{state.Valid, state.Invalid} {
			k.kind("end what has ended", k.ACME.EndChallenge(t.Context(), ended(again, k.now(), late)), ca.Conflict)
		}
		k.kind("begin what has ended", k.ACME.ChangeChallenge(t.Context(), done, begun(done, k.now()), k.nonce()), ca.Conflict)
		k.sameAuthorization(done)
	}
}

// challengeAtOnce: a validation that was quick is stored in one step.
func challengeAtOnce(t T, open func() *Driver) {
	k := start(t, open)
	_, all := k.order(k.account(Tenant, Endpoint), "a.example", "b.example")
	for i, outcome := range []state.Status{state.Valid, state.Invalid} {
		done := ended(all[i], k.now(), outcome)
		n := k.nonce()
		k.must("end at once", k.ACME.ChangeChallenge(t.Context(), all[i], done, n))
		k.sameAuthorization(done)
		k.kind("end again", k.ACME.ChangeChallenge(t.Context(), all[i], done, k.nonce()), ca.Conflict)
		k.struck("the same nonce", k.ACME.ChangeChallenge(t.Context(), done, done, n))
		k.sameAuthorization(done)
	}
}

// challengeRace: of many that begin from one state, one validates.
func challengeRace(t T, open func() *Driver) {
	k := start(t, open)
	_, all := k.order(k.account(Tenant, Endpoint), "a.example")
	results := make([]error, 10)
	k.gathered(10, func(i int) {
		results[i] = k.ACME.ChangeChallenge(t.Context(), all[0], begun(all[0], k.now().Add(time.Duration(i)*time.Second)), k.nonce())
	})
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else {
			k.kind("a racing validation", err, ca.Conflict)
		}
	}
	if won != 1 {
		t.Errorf("%d of 10 began to validate", won)
	}
}

func deactivate(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	_, all := k.order(a, "a.example", "b.example", "c.example")
	k.validate(all[1:2])
	k.must("end", k.ACME.EndChallenge(t.Context(), ended(all[2], k.now(), state.Invalid)))
	for i, want := range []bool{true, true, false} {
		err := k.ACME.DeactivateAuthorization(t.Context(), Tenant, Endpoint, all[i].ID, k.nonce())
		if want {
			k.must("deactivate", err)
			got, err := k.ACME.Authorization(t.Context(), Tenant, Endpoint, all[i].ID)
			if err != nil || got.Status != state.Deactivated {
				t.Errorf("authorization: %v, %v", got, err)
			}
		}
		k.kind("deactivate what has ended", k.ACME.DeactivateAuthorization(t.Context(), Tenant, Endpoint, all[i].ID, k.nonce()), ca.Conflict)
	}
	k.kind("end what was deactivated", k.ACME.EndChallenge(t.Context(), ended(all[0], k.now(), state.Valid)), ca.Conflict)
}

func finish(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	o, az := k.order(a, "a.example", "b.example")
	k.validate(az)
	id := ca.RandomID(16)
	e := k.entry(Tenant, k.ACME.Strike(Tenant, k.nonce()), k.ACME.FinishOrder(Tenant, Endpoint, o.ID, id, a.Thumbprint))
	k.record(e)
	want := *o
	want.Status, want.Certificate, want.CA, want.Serial = state.Valid, id, caID, e.Certificate.Serial
	if diff := cmp.Diff(&want, k.readOrder(o)); diff != "" {
		t.Errorf("order:\n%s", diff)
	}
	got, err := k.ACME.OrderByCertificate(t.Context(), Tenant, Endpoint, id)
	if diff := cmp.Diff(&want, got); err != nil || diff != "" {
		t.Errorf("order by certificate: %v\n%s", err, diff)
	}
	second := k.entry(Tenant, k.ACME.FinishOrder(Tenant, Endpoint, o.ID, ca.RandomID(16), a.Thumbprint))
	_, err = k.Store.Record(t.Context(), second)
	k.lost(err, 0, 0)
	k.absent(second)
	if diff := cmp.Diff(&want, k.readOrder(o)); diff != "" {
		t.Errorf("a finished order was finished again:\n%s", diff)
	}
}

// finishGuards: pending, not expired, and every authorization valid and not expired.
func finishGuards(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	refused := func(what string, o *state.Order) {
		t.Helper()
		n := k.nonce()
		e := k.entry(Tenant, k.ACME.Strike(Tenant, n), k.ACME.FinishOrder(Tenant, Endpoint, o.ID, ca.RandomID(16), a.Thumbprint))
		before := k.readOrder(o)
		_, err := k.Store.Record(t.Context(), e)
		var lost *ca.LostEffect
		if !errors.As(err, &lost) || lost.Entry != 0 || lost.Index != 1 {
			t.Errorf("%s: got %v, want lost effect 1", what, err)
		}
		k.absent(e)
		if diff := cmp.Diff(before, k.readOrder(o)); diff != "" {
			t.Errorf("%s: the order changed:\n%s", what, diff)
		}
		k.record(k.entry(Tenant, k.ACME.Strike(Tenant, n))) // the nonce was not struck
	}
	none, _ := k.order(a, "a.example", "b.example")
	refused("no authorization is valid", none)
	one, az := k.order(a, "a.example", "b.example")
	k.validate(az[:1])
	refused("one of two is valid", one)
	k.must("end", k.ACME.EndChallenge(t.Context(), ended(az[1], k.now(), state.Invalid)))
	refused("one of two failed", one)
	off, az := k.order(a, "a.example")
	k.validate(az)
	k.must("deactivate", k.ACME.DeactivateAuthorization(t.Context(), Tenant, Endpoint, az[0].ID, k.nonce()))
	refused("deactivated", off)
	invalid, az := k.newOrder(a, "a.example")
	invalid.Status = state.Invalid
	k.must("create", k.ACME.CreateOrder(t.Context(), invalid, az, k.nonce()))
	k.validate(az)
	refused("an invalid order", invalid)

	rolled, az := k.order(a, "a.example")
	k.validate(az)
	next := rekeyed(a)
	k.must("change the key", k.ACME.ChangeKey(t.Context(), next, a.Thumbprint, k.nonce()))
	refused("the account has another key", rolled)
	k.must("change it back", k.ACME.ChangeKey(t.Context(), a, next.Thumbprint, k.nonce()))

	soon, az := k.newOrder(a, "a.example")
	soon.Expires = k.now().UTC().Truncate(time.Microsecond).Add(time.Hour)
	k.must("create", k.ACME.CreateOrder(t.Context(), soon, az, k.nonce()))
	k.validate(az)
	long, az := k.newOrder(a, "a.example", "b.example")
	az[1].Expires = k.now().UTC().Truncate(time.Microsecond).Add(time.Hour)
	k.must("create", k.ACME.CreateOrder(t.Context(), long, az, k.nonce()))
	k.validate(az)
	k.Advance(time.Hour + time.Second)
	refused("an expired order", soon)
	refused("an expired authorization", long)

	gone := k.account(Tenant, Endpoint)
	theirs, az := k.order(gone, "a.example")
	k.validate(az)
	gone.Status = state.Deactivated
	k.must("deactivate", k.ACME.UpdateAccount(t.Context(), gone, k.nonce()))
	refused("a deactivated account", theirs)

	empty := &state.Order{Tenant: Tenant, Endpoint: Endpoint, ID: "none", CreatedAt: k.now(), Expires: k.now()}
	e := k.entry(Tenant, k.ACME.FinishOrder(Tenant, Endpoint, empty.ID, ca.RandomID(16), a.Thumbprint))
	_, err := k.Store.Record(t.Context(), e)
	k.lost(err, 0, 0)
}

// finishRace: many that finish one order at once get one certificate.
func finishRace(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	o, az := k.order(a, "a.example")
	k.validate(az)
	k.race(16, func() *ca.Entry {
		return k.entry(Tenant, k.ACME.FinishOrder(Tenant, Endpoint, o.ID, ca.RandomID(16), a.Thumbprint))
	})
	if got := k.readOrder(o); got.Status != state.Valid || got.Certificate == "" {
		t.Errorf("order %+v", got)
	}
}

// finishRaceWithKey: with the order as idempotency key all of them get that one certificate.
func finishRaceWithKey(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	o, az := k.order(a, "a.example")
	k.validate(az)
	id := newKey()
	var mu sync.Mutex
	serials := map[ca.Serial]bool{}
	k.gathered(16, func(int) {
		e := k.keyed(id, k.ACME.Strike(Tenant, k.nonce()), k.ACME.FinishOrder(Tenant, Endpoint, o.ID, ca.RandomID(16), a.Thumbprint))
		got, err := k.Store.Record(t.Context(), e)
		if err != nil || len(got) != 1 {
			t.Errorf("one of 16 that finish: %v", err)
			return
		}
		mu.Lock()
		serials[got[0].Certificate.Serial] = true
		mu.Unlock()
	})
	if got := k.readOrder(o); len(serials) != 1 || !serials[got.Serial] {
		t.Errorf("%d certificates for one order; the order names %s", len(serials), got.Serial)
	}
}

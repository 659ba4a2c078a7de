package conformance

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// Two tenants whose rows background work meets.
const (
	upkeepTenant = "default"
	upkeepOther  = "other"
)

// UpkeepStore is a driver with background work; Driver.Store of the upkeep
// suite must be one.
type UpkeepStore interface {
	Store
	ca.Upkeep
	ca.Replicas
	state.Upkeep
	credential.Upkeep
	ca.Renewals
	state.Rates
}

// Upkeep runs the suite of background work. Nothing in it belongs to a tenant:
// each call looks at every tenant's rows by their time alone.
func Upkeep(t *testing.T, open func(t *testing.T) *Driver) { run(t, UpkeepCases(), open) }

// UpkeepCases lists the suite of background work.
func UpkeepCases() []Case {
	return []Case{
		{"UpkeepNonces", upkeepNonces},
		{"UpkeepIdempotency", upkeepIdempotency},
		{"UpkeepOrders", upkeepOrders},
		{"UpkeepCredentials", upkeepCredentials},
		{"UpkeepPreauthorizations", upkeepPreauthorizations},
		{"UpkeepMonths", upkeepMonths},
		{"UpkeepReplicas", upkeepReplicas},
		{"UpkeepFence", upkeepFence},
		{"UpkeepRenewals", upkeepRenewals},
		{"UpkeepRates", upkeepRates},
		{"UpkeepSchema", upkeepSchema},
	}
}

func (k *kit) upkeep() UpkeepStore {
	k.Helper()
	s, ok := k.Store.(UpkeepStore)
	if !ok {
		k.Fatalf("the store has no background work")
	}
	return s
}

// changes fails unless a bounded step changed that many rows.
func (k *kit) changes(what string, want int64) func(int64, error) {
	return func(got int64, err error) {
		k.Helper()
		if err != nil || got != want {
			k.Errorf("%s: %d rows, %v; want %d", what, got, err, want)
		}
	}
}

func upkeepNonces(t T, open func() *Driver) {
	k := start(t, open)
	a, l := k.account(upkeepTenant, "web"), k.acquire("sweep", "one")
	var struck []state.Nonce
	for range 5 {
		n := k.nonce()
		struck = append(struck, n)
		k.record(k.entry(upkeepTenant, k.ACME.Strike(upkeepTenant, n)))
	}
	k.changes("nonces that could still be used", 0)(k.upkeep().SweepNonces(t.Context(), l, 10))
	k.struck("a nonce that was used", k.ACME.UpdateAccount(t.Context(), a, struck[0]))
	k.Advance(2 * time.Hour)
	l = k.acquire("sweep", "one")
	// The account took one more.
	k.changes("first step", 4)(k.upkeep().SweepNonces(t.Context(), l, 4))
	k.changes("second step", 2)(k.upkeep().SweepNonces(t.Context(), l, 4))
	k.changes("nothing left", 0)(k.upkeep().SweepNonces(t.Context(), l, 4))
	_, err := k.upkeep().SweepNonces(t.Context(), l, 0)
	k.kind("a step without bound", err, ca.Internal)
}

func upkeepIdempotency(t T, open func() *Driver) {
	k := start(t, open)
	l := k.acquire("sweep", "one")
	e := k.keyed(newKey())
	k.record(e)
	k.changes("a live key", 0)(k.upkeep().SweepIdempotency(t.Context(), l, 10))
	k.Advance(e.Idempotency.Window + time.Second)
	l = k.acquire("sweep", "one")
	k.changes("an ended key", 1)(k.upkeep().SweepIdempotency(t.Context(), l, 10))
	if !k.stored(e) {
		t.Errorf("the certificate went with its idempotency key")
	}
}

func upkeepOrders(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(upkeepTenant, "web")
	waiting, proofs := k.order(a, "a.example", "b.example")
	other, _ := k.order(k.account(upkeepOther, "web"), "c.example")
	done, _ := k.finishedOrder(a)
	const kept = 7 * 24 * time.Hour
	l := k.acquire("sweep", "one")
	k.changes("orders that are open", 0)(k.upkeep().EndOrders(t.Context(), l, 10))

	k.Advance(25 * time.Hour)
	l = k.acquire("sweep", "one")
	k.changes("one expired order", 1)(k.upkeep().EndOrders(t.Context(), l, 1))
	k.changes("the other one", 1)(k.upkeep().EndOrders(t.Context(), l, 5))
	k.changes("none left", 0)(k.upkeep().EndOrders(t.Context(), l, 5))
	for _, o := range []*state.Order{waiting, other} {
		if got := k.readOrder(o); got.Status != state.Invalid {
			t.Errorf("an expired order is %s", got.Status)
		}
	}
	if got := k.readOrder(done); got.Status != state.Valid {
		t.Errorf("a finished order became %s", got.Status)
	}
	k.changes("orders that are kept", 0)(k.upkeep().RemoveOrders(t.Context(), l, kept, 10))

	k.Advance(kept)
	l = k.acquire("sweep", "one")
	k.changes("old orders", 2)(k.upkeep().RemoveOrders(t.Context(), l, kept, 10))
	for _, o := range []*state.Order{waiting, other} {
		_, _, err := k.ACME.Order(t.Context(), o.Tenant, o.Endpoint, o.ID)
		k.kind("a removed order", err, ca.NotFound)
	}
	for _, p := range proofs {
		_, err := k.ACME.Authorization(t.Context(), p.Tenant, p.Endpoint, p.ID)
		k.kind("an authorization of a removed order", err, ca.NotFound)
	}
	if got := k.readOrder(done); got.Status != state.Valid {
		t.Errorf("a finished order became %s", got.Status)
	}
}

func upkeepMonths(t T, open func() *Driver) {
	k := start(t, open)
	first := ca.MonthOf(time.Now().AddDate(40, 0, 0))
	l := k.acquire("months", "one")
	k.changes("new months", 3)(k.upkeep().MakeMonths(t.Context(), l, first, 3))
	k.changes("one more", 1)(k.upkeep().MakeMonths(t.Context(), l, first, 4))
	k.record(k.entryUntil(upkeepTenant, time.Now().AddDate(40, 1, 0)))
	k.changes("none missing", 0)(k.upkeep().MakeMonths(t.Context(), l, first, 4))
}

func upkeepReplicas(t T, open func() *Driver) {
	k := start(t, open)
	r := ca.Replica{ID: "one", Started: k.now(), Config: random32(), Schema: 20, Version: "v1.2.3", Offset: -1500 * time.Millisecond}
	at, err := k.upkeep().Beat(t.Context(), &r)
	if err != nil || at.Sub(k.now()).Abs() > time.Minute {
		t.Fatalf("beat: %v, %v", at, err)
	}
	k.Advance(20 * time.Second)
	r.Offset, r.Config = time.Second, random32()
	second, err := k.upkeep().Beat(t.Context(), &r)
	if err != nil || second.Sub(at) < 20*time.Second {
		t.Fatalf("second beat: %v after %v, %v", second, at, err)
	}
	two := ca.Replica{ID: "two", Started: k.now(), Config: random32()}
	if _, err := k.upkeep().Beat(t.Context(), &two); err != nil {
		t.Fatalf("beat: %v", err)
	}
	got, err := k.upkeep().Replicas(t.Context(), time.Minute)
	if err != nil || len(got) != 2 {
		t.Fatalf("replicas: %v, %v", got, err)
	}
	r.Seen = second
	if got[0].Started = got[0].Started.UTC(); got[0] != r || got[1].ID != "two" {
		t.Errorf("replicas %+v, want %+v and two", got, r)
	}
	k.Advance(30 * time.Minute)
	if _, err := k.upkeep().Beat(t.Context(), &two); err != nil {
		t.Fatalf("beat: %v", err)
	}
	if got, err := k.upkeep().Replicas(t.Context(), time.Minute); err != nil || len(got) != 1 || got[0].ID != "two" {
		t.Errorf("replicas of the last minute: %v, %v", got, err)
	}
	l := k.acquire("sweep", "two")
	k.changes("replicas that are gone", 1)(k.upkeep().ForgetReplicas(t.Context(), l, 10*time.Minute, 5))
	if got, err := k.upkeep().Replicas(t.Context(), 24*time.Hour); err != nil || len(got) != 1 || got[0].ID != "two" {
		t.Errorf("replicas that are left: %v, %v", got, err)
	}
}

// upkeepFence: a holder that was paused until somebody else took its lease
// changes nothing, whatever it was about to do.
func upkeepFence(t T, open func() *Driver) {
	k := start(t, open)
	s := k.upkeep()
	o, _ := k.order(k.account(upkeepTenant, "web"), "a.example") // with it: used nonces
	k.record(k.keyed(newKey()))
	gone := ca.Replica{ID: "gone", Started: k.now(), Config: random32()}
	if _, err := s.Beat(t.Context(), &gone); err != nil {
		t.Fatalf("beat: %v", err)
	}
	paused := k.acquire("sweep", "one")
	k.Advance(60 * 24 * time.Hour)
	month := ca.MonthOf(time.Now().AddDate(50, 0, 0))
	work := []struct {
		name string
		do   func(*ca.Lease) (int64, error)
	}{
		{"SweepNonces", func(l *ca.Lease) (int64, error) { return s.SweepNonces(t.Context(), l, 10) }},
		{"SweepIdempotency", func(l *ca.Lease) (int64, error) { return s.SweepIdempotency(t.Context(), l, 10) }},
		{"EndOrders", func(l *ca.Lease) (int64, error) { return s.EndOrders(t.Context(), l, 10) }},
		{"RemoveOrders", func(l *ca.Lease) (int64, error) { return s.RemoveOrders(t.Context(), l, time.Hour, 10) }},
		{"ForgetReplicas", func(l *ca.Lease) (int64, error) { return s.ForgetReplicas(t.Context(), l, time.Hour, 10) }},
		{"MakeMonths", func(l *ca.Lease) (int64, error) { return s.MakeMonths(t.Context(), l, month, 1) }},
	}
	refused := func(why string, l *ca.Lease) {
		for _, w := range work {
			n, err := w.do(l)
			k.kind(w.name+" "+why, err, ca.Conflict)
			if n != 0 {
				t.Errorf("%s %s tells %d rows", w.name, why, n)
			}
		}
	}
	refused("with a lease that ran out", paused)
	l := k.acquire("sweep", "two")
	refused("after somebody else took the lease", paused)
	refused("with a fence of the future", &ca.Lease{Name: "sweep", Holder: "two", Fence: l.Fence + 1})
	refused("in another name", &ca.Lease{Name: "other", Holder: "two", Fence: l.Fence})
	if got := k.readOrder(o); got.Status != state.Pending {
		t.Errorf("a paused holder made the order %s", got.Status)
	}
	for _, w := range work { // everything is still there for the one who may
		if n, err := w.do(l); err != nil || n == 0 {
			t.Errorf("%s by the holder: %d rows, %v", w.name, n, err)
		}
	}
}

func upkeepSchema(t T, open func() *Driver) {
	k := start(t, open)
	stored, known, err := k.upkeep().Schema(t.Context())
	if err != nil || stored != known || known < 20 {
		t.Errorf("schema %d of %d, %v", stored, known, err)
	}
}

package conformance

import (
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

var backgroundCases = []Case{
	{"Lease", lease},
	{"LeaseRace", leaseRace},
	{"LeaseHeld", leaseHeld},
	{"Outbox", outbox},
	{"Generations", generations},
	{"Activations", activations},
	{"DataKeys", dataKeys},
}

func (k *kit) acquire(name, holder string) *ca.Lease {
	k.Helper()
	l, err := k.Store.Acquire(k.Context(), name, holder, time.Minute)
	if err != nil {
		k.Fatalf("acquire: %v", err)
	}
	return l
}

func lease(t T, open func() *Driver) {
	k := start(t, open)
	before := k.now()
	first := k.acquire("crl", "one")
	if first.Name != "crl" || first.Holder != "one" || first.Until.Before(before.Add(time.Minute)) {
		t.Errorf("lease %+v", first)
	}
	_, err := k.Store.Acquire(t.Context(), "crl", "two", time.Minute)
	k.kind("a lease that somebody holds", err, ca.Conflict)
	k.acquire("other", "two")

	k.Advance(40 * time.Second)
	renewed := k.acquire("crl", "one")
	if renewed.Fence != first.Fence || !renewed.Until.After(first.Until) {
		t.Errorf("renewed %+v after %+v", renewed, first)
	}
	k.Advance(40 * time.Second)
	_, err = k.Store.Acquire(t.Context(), "crl", "two", time.Minute)
	k.kind("a renewed lease", err, ca.Conflict)

	k.Advance(21 * time.Second)
	second := k.acquire("crl", "two")
	if second.Fence <= first.Fence {
		t.Errorf("the fence went from %d to %d for a new holder", first.Fence, second.Fence)
	}
	if err := k.Store.Release(t.Context(), renewed); err != nil {
		t.Errorf("release of a lost lease: %v", err)
	}
	_, err = k.Store.Acquire(t.Context(), "crl", "one", time.Minute)
	k.kind("a lease that its former holder released", err, ca.Conflict)
	if err := k.Store.Release(t.Context(), second); err != nil {
		t.Errorf("release: %v", err)
	}
	third := k.acquire("crl", "one")
	if third.Fence <= second.Fence {
		t.Errorf("the fence went from %d to %d after a release", second.Fence, third.Fence)
	}
	if err := k.Store.Release(t.Context(), &ca.Lease{Name: "never", Holder: "x", Fence: 1}); err != nil {
		t.Errorf("release of what nobody held: %v", err)
	}
}

func leaseRace(t T, open func() *Driver) {
	k := start(t, open)
	var mu sync.Mutex
	var held []*ca.Lease
	k.gathered(16, func(i int) {
		l, err := k.Store.Acquire(t.Context(), "crl", string(rune('a'+i)), time.Minute)
		if err != nil {
			k.kind("a racing holder", err, ca.Conflict)
			return
		}
		mu.Lock()
		held = append(held, l)
		mu.Unlock()
	})
	if len(held) != 1 {
		t.Errorf("%d holders of one lease", len(held))
	}
}

// leaseHeld: the effect lets a commit through for the holder alone.
func leaseHeld(t T, open func() *Driver) {
	k := start(t, open)
	first := k.acquire("crl", "one")
	k.record(k.entry(Tenant, k.Store.Held(first)))
	k.Advance(2 * time.Minute)
	refused := func(what string, l *ca.Lease) {
		t.Helper()
		e := k.entry(Tenant, k.Store.Held(l))
		_, err := k.Store.Record(t.Context(), e)
		k.lost(err, 0, 0)
		if k.stored(e) {
			t.Errorf("%s let a commit through", what)
		}
	}
	refused("an expired lease", first)
	second := k.acquire("crl", "two")
	refused("an older fence", first)
	refused("a fence nobody has", &ca.Lease{Name: "crl", Holder: "two", Fence: second.Fence + 1})
	refused("a lease nobody has", &ca.Lease{Name: "never", Holder: "two", Fence: second.Fence})
	k.record(k.entry(Tenant, k.Store.Held(second)))
	if err := k.Store.Release(t.Context(), second); err != nil {
		t.Errorf("release: %v", err)
	}
	refused("a released lease", second)
}

func outbox(t T, open func() *Driver) {
	k := start(t, open)
	ids := map[int64]bool{}
	for _, payload := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		k.record(k.entry(Tenant, k.Store.Post(Tenant, "issued", []byte(payload))))
	}
	got, err := k.Store.Waiting(t.Context(), 10)
	if err != nil || len(got) != 3 {
		t.Fatalf("waiting: %v, %v", got, err)
	}
	for i, m := range got {
		want := ca.Message{ID: m.ID, Tenant: Tenant, Topic: "issued", Payload: []byte(`{"n":` + string(rune('1'+i)) + `}`), At: m.At}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("message:\n%s", diff)
		}
		ids[m.ID] = true
	}
	if len(ids) != 3 {
		t.Errorf("ids are not unique: %v", ids)
	}
	if two, err := k.Store.Waiting(t.Context(), 2); err != nil || len(two) != 2 || two[0].ID != got[0].ID {
		t.Errorf("the two oldest: %v, %v", two, err)
	}
	if err := k.Store.Delivered(t.Context(), Tenant, got[1].ID); err != nil {
		t.Errorf("delivered: %v", err)
	}
	left, err := k.Store.Waiting(t.Context(), 10)
	if err != nil || len(left) != 2 || left[0].ID != got[0].ID || left[1].ID != got[2].ID {
		t.Errorf("after a delivery: %v, %v", left, err)
	}
}

func generations(t T, open func() *Driver) {
	k := start(t, open)
	gen := func(id string, n int) *ca.Generation {
		return &ca.Generation{Tenant: Tenant, CA: id, Number: n, KeyURI: "file:keys/" + id + ".pem",
			DER: randomBytes(600), Chain: [][]byte{randomBytes(600), randomBytes(500)}, Root: randomBytes(400)}
	}
	audit := func() ca.Audit {
		return ca.Audit{Tenant: Tenant, Event: "ca.created", Actor: "operator", Trace: ca.NewTrace(), Detail: []byte("{}")}
	}
	want := []*ca.Generation{gen("issuing", 1), gen("issuing", 2), gen("root", 1)}
	want[2].Chain = nil
	for _, i := range []int{2, 1, 0} {
		a := audit()
		if err := k.Store.AddGeneration(t.Context(), want[i], a); err != nil {
			t.Fatalf("add: %v", err)
		}
		if k.audited(a.Trace) != 1 {
			t.Errorf("a generation without its audit row")
		}
	}
	taken := audit()
	k.kind("a number that is taken", k.Store.AddGeneration(t.Context(), gen("issuing", 2), taken), ca.Conflict)
	if k.audited(taken.Trace) != 0 {
		t.Errorf("a refused generation was audited")
	}
	got, err := k.Store.Generations(t.Context(), Tenant)
	if err != nil || len(got) != 3 {
		t.Fatalf("generations: %d, %v", len(got), err)
	}
	for i := range got {
		if got[i].CreatedAt.IsZero() {
			t.Errorf("a generation without its time")
		}
		w := *want[i]
		w.CreatedAt = got[i].CreatedAt
		if diff := cmp.Diff(w, got[i]); diff != "" {
			t.Errorf("generation %d:\n%s", i, diff)
		}
	}
}

func dataKeys(t T, open func() *Driver) {
	k := start(t, open)
	add := func(p seal.Purpose, version int, wrapped string) error {
		return k.Store.AddDataKey(t.Context(), seal.WrappedKey{Purpose: p, Version: version, KEK: [32]byte{1}, Wrapped: []byte(wrapped)}, keyAudit())
	}
	for _, err := range []error{add("nonce", 2, "b"), add("nonce", 1, "a"), add("ticket", 1, "x")} {
		if err != nil {
			t.Fatalf("add: %v", err)
		}
	}
	k.kind("a version that is taken", add("nonce", 2, "c"), ca.Conflict)
	got, err := k.Store.DataKeys(t.Context())
	if err != nil || len(got) != 3 || got[0].Version != 1 || string(got[0].Wrapped) != "a" || got[1].Version != 2 || string(got[1].Wrapped) != "b" || got[0].Purpose != "nonce" || got[0].CreatedAt.IsZero() {
		t.Errorf("data keys: %v, %v", got, err)
	}
	foreign := seal.WrappedKey{Purpose: "nonce", Version: 3, KEK: [32]byte{2}, Wrapped: []byte("z")}
	k.kind("a key under another key-encryption key", k.Store.AddDataKey(t.Context(), foreign, keyAudit()), ca.Conflict)
}

func activations(t T, open func() *Driver) {
	k := start(t, open)
	audit := func() ca.Audit {
		return ca.Audit{Tenant: Tenant, Event: "ca.activated", Actor: "operator", Trace: ca.NewTrace(), Detail: []byte("{}")}
	}
	for n := 1; n <= 2; n++ {
		g := &ca.Generation{Tenant: Tenant, CA: "issuing", Number: n, KeyURI: "file:x", DER: []byte{byte(n)}, Root: []byte{1}}
		if err := k.Store.AddGeneration(t.Context(), g, audit()); err != nil {
			t.Fatalf("add: %v", err)
		}
	}
	now := k.now()
	want := []ca.Activation{
		{Tenant: Tenant, CA: "issuing", Position: 1, Generation: 2, From: now.Add(time.Hour)},
		{Tenant: Tenant, CA: "issuing", Position: 2, Generation: 1, From: now},
	}
	for i := range want {
		a := audit()
		if err := k.Store.Activate(t.Context(), &want[i], a); err != nil {
			t.Fatalf("activate: %v", err)
		}
		if k.audited(a.Trace) != 1 {
			t.Errorf("a decision without its audit row")
		}
	}
	for what, refused := range map[string]ca.Activation{
		"a position that is taken": {Tenant: Tenant, CA: "issuing", Position: 2, Generation: 2, From: now},
		"no such generation":       {Tenant: Tenant, CA: "issuing", Position: 3, Generation: 3, From: now},
		"no such CA":               {Tenant: Tenant, CA: "other", Position: 1, Generation: 1, From: now},
	} {
		a := audit()
		k.kind(what, k.Store.Activate(t.Context(), &refused, a), ca.Conflict)
		if k.audited(a.Trace) != 0 {
			t.Errorf("%s was audited", what)
		}
	}
	got, err := k.Store.Activations(t.Context(), Tenant)
	if err != nil || len(got) != len(want) {
		t.Fatalf("activations: %v, %v", got, err)
	}
	for i := range got {
		if got[i].CreatedAt.IsZero() {
			t.Errorf("a decision without its time")
		}
		w := want[i]
		w.CreatedAt = got[i].CreatedAt
		if diff := cmp.Diff(w, got[i]); diff != "" {
			t.Errorf("decision %d:\n%s", i, diff)
		}
	}
}

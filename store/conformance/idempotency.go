package conformance

import (
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

var idempotencyCases = []Case{
	{"Replay", replay},
	{"Answered", answered},
	{"ReplayBeforeEffects", replayBeforeEffects},
	{"OtherDigest", otherDigest},
	{"WindowEnds", windowEnds},
	{"NoWindow", noWindow},
	{"SameKeyTogether", sameKeyTogether},
	{"SeveralKeys", severalKeys},
}

func (k *kit) keyed(id ca.Idempotency, effects ...ca.Effect) *ca.Entry {
	e := k.entry(Tenant, effects...)
	e.Idempotency = id
	return e
}

func newKey() ca.Idempotency {
	return ca.Idempotency{Key: random32(), Digest: random32(), Window: time.Hour}
}

// replayed fails unless r is the recorded certificate of e once more.
func (k *kit) replayed(r ca.Recorded, e *ca.Entry) {
	k.Helper()
	if !r.Replayed || string(r.Certificate.DER) != string(e.Certificate.DER) || r.Certificate.Serial != e.Certificate.Serial {
		k.Errorf("replayed %v, serial %s; want the recorded %s", r.Replayed, r.Certificate.Serial, e.Certificate.Serial)
	}
}

func replay(t T, open func() *Driver) {
	k := start(t, open)
	id := newKey()
	first := k.keyed(id)
	if k.record(first)[0].Replayed {
		t.Errorf("a first request was called replayed")
	}
	k.Advance(59 * time.Minute)
	again := k.keyed(id)
	k.replayed(k.record(again)[0], first)
	k.absent(again)
}

// answered: what Record would replay is found without an entry, as it stands now.
func answered(t T, open func() *Driver) {
	k := start(t, open)
	id := newKey()
	ask := func(id ca.Idempotency) (*ca.Certificate, error) { return k.Store.Answered(t.Context(), Tenant, &id) }
	_, err := ask(id)
	k.kind("nothing was asked", err, ca.NotFound)
	e := k.keyed(id)
	k.record(e)
	k.Advance(59 * time.Minute)
	c, err := ask(id)
	if err != nil || c.State != ca.Issued || c.Tenant != Tenant || c.CA != e.Certificate.CA || c.Endpoint != e.Certificate.Endpoint {
		t.Fatalf("%+v, %v", c, err)
	}
	k.replayed(ca.Recorded{Certificate: *c, Replayed: true}, e)
	other := id
	other.Digest = random32()
	_, err = ask(other)
	k.kind("another digest", err, ca.Conflict)
	k.revoke(revocation(e, ca.Superseded))
	if c, err = ask(id); err != nil || c.State != ca.Revoked {
		t.Errorf("%+v of a revoked one, %v", c, err)
	}
	k.Advance(time.Minute + time.Second)
	_, err = ask(id)
	k.kind("after the window", err, ca.NotFound)
}

// replayBeforeEffects: who repeats a request gets its answer even though the
// one-time secret is burnt by now, and burns nothing again.
func replayBeforeEffects(t T, open func() *Driver) {
	k := start(t, open)
	id := newKey()
	once, twice := k.credential(Tenant, 1), k.credential(Tenant, 2)
	first := k.keyed(id, k.Store.Burn(Tenant, twice), k.Store.Burn(Tenant, once))
	k.record(first)
	again := k.keyed(id, first.Effects...)
	k.replayed(k.record(again)[0], first)
	k.absent(again)
	again = k.keyed(id, k.Store.Burn(Tenant, twice))
	k.replayed(k.record(again)[0], first)
	if n := k.usesLeft(Tenant, twice); n != 1 {
		t.Errorf("%d uses left, want 1: a replay burnt a use", n)
	}
}

func otherDigest(t T, open func() *Driver) {
	k := start(t, open)
	id := newKey()
	first := k.keyed(id)
	k.record(first)
	id.Digest = random32()
	cred := k.credential(Tenant, 1)
	other := k.keyed(id, k.Store.Burn(Tenant, cred))
	_, err := k.Store.Record(t.Context(), other)
	k.kind("the same key with another digest", err, ca.Conflict)
	k.absent(other)
	if n := k.usesLeft(Tenant, cred); n != 1 {
		t.Errorf("%d uses left of 1 after a conflict", n)
	}
}

func windowEnds(t T, open func() *Driver) {
	k := start(t, open)
	id := newKey()
	k.record(k.keyed(id))
	k.Advance(time.Hour + time.Second)
	id.Digest = random32()
	second := k.keyed(id)
	if k.record(second)[0].Replayed || !k.stored(second) {
		t.Errorf("after the window the request is not a new one")
	}
	third := k.keyed(id) // the new window counts
	k.replayed(k.record(third)[0], second)
}

func noWindow(t T, open func() *Driver) {
	k := start(t, open)
	id := newKey()
	id.Window = 0
	a, b := k.keyed(id), k.keyed(id)
	if k.record(a)[0].Replayed || k.record(b)[0].Replayed || !k.stored(a) || !k.stored(b) {
		t.Errorf("two requests without a window are not two certificates")
	}
}

func sameKeyTogether(t T, open func() *Driver) {
	k := start(t, open)
	id := newKey()
	cred := k.credential(Tenant, 1)
	var mu sync.Mutex
	serials, fresh, found := map[ca.Serial]bool{}, 0, 0
	k.gathered(16, func(int) {
		e := k.keyed(id, k.Store.Burn(Tenant, cred))
		got, err := k.Store.Record(t.Context(), e)
		if err != nil || len(got) != 1 {
			t.Errorf("one of 16 equal requests: %v", err)
			return
		}
		stored := k.stored(e)
		mu.Lock()
		defer mu.Unlock()
		serials[got[0].Certificate.Serial] = true
		if !got[0].Replayed {
			fresh++
		}
		if stored {
			found++
		}
	})
	if len(serials) != 1 || fresh != 1 || found != 1 {
		t.Errorf("16 equal requests got %d certificates, %d of them fresh; %d are recorded", len(serials), fresh, found)
	}
}

// severalKeys: the keys of one call match together or conflict.
func severalKeys(t T, open func() *Driver) {
	k := start(t, open)
	x, y := newKey(), newKey()
	a, b := k.keyed(x), k.keyed(y)
	k.record(a, b)
	got := k.record(k.keyed(x), k.keyed(y))
	k.replayed(got[0], a)
	k.replayed(got[1], b)
	fresh := k.keyed(newKey())
	_, err := k.Store.Record(t.Context(), k.keyed(x), fresh)
	k.kind("one key taken, one new", err, ca.Conflict)
	k.absent(fresh)
	z := newKey()
	c, d := k.keyed(z), k.keyed(z)
	_, err = k.Store.Record(t.Context(), c, d)
	k.kind("one key twice in a call", err, ca.Conflict)
	k.absent(c)
	k.absent(d)
}

package conformance

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

var effectCases = []Case{
	{"EffectTakesPlace", effectTakesPlace},
	{"FirstEffectLost", firstEffectLost},
	{"LaterEffectLost", laterEffectLost},
	{"ForeignEffect", foreignEffect},
	{"OneEffectManyRecords", oneEffectManyRecords},
	{"BurnRace", burnRace},
	{"BurnExpired", burnExpired},
	{"RevokeWithLostEffect", revokeWithLostEffect},
}

func effectTakesPlace(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, 2)
	k.record(k.entry(Tenant, k.Store.Burn(Tenant, id)))
	if n := k.usesLeft(Tenant, id); n != 1 {
		t.Errorf("%d uses left of 2 after one", n)
	}
	k.record(k.entry(Tenant, k.Store.Burn(Tenant, id)))
	if n := k.usesLeft(Tenant, id); n != 0 {
		t.Errorf("%d uses left of 2 after two", n)
	}
	_, err := k.Store.Record(t.Context(), k.entry(Tenant, k.Store.Burn(Tenant, id)))
	k.lost(err, 0, 0)
}

func firstEffectLost(t T, open func() *Driver) {
	k := start(t, open)
	good := k.credential(Tenant, 1)
	e := k.entry(Tenant, k.Store.Burn(Tenant, "unknown"), k.Store.Burn(Tenant, good))
	_, err := k.Store.Record(t.Context(), e)
	k.lost(err, 0, 0)
	k.absent(e)
	if k.usesLeft(Tenant, good) != 1 {
		t.Errorf("an effect after the lost one took place")
	}
	// Beside others the loser is dropped and nobody else notices.
	k.gathered(9, func(i int) {
		e := k.entry(Tenant)
		if i%3 == 0 {
			e.Effects = []ca.Effect{k.Store.Burn(Tenant, "unknown")}
		}
		_, err := k.Store.Record(t.Context(), e)
		switch {
		case i%3 == 0:
			k.lost(err, 0, 0)
			k.absent(e)
		case err != nil || !k.stored(e):
			t.Errorf("beside a lost effect: %v", err)
		}
	})
}

// laterEffectLost: the change that an earlier effect of the same member made is
// undone, and the others of its batch commit.
func laterEffectLost(t T, open func() *Driver) {
	k := start(t, open)
	good := k.credential(Tenant, 5)
	k.gathered(9, func(i int) {
		e := k.entry(Tenant)
		if i%3 == 0 {
			e.Effects = []ca.Effect{k.Store.Burn(Tenant, good), k.Store.Post(Tenant, "test", []byte(`"lost"`)), k.Store.Burn(Tenant, "unknown")}
		} else {
			e.Effects = []ca.Effect{k.Store.Post(Tenant, "test", []byte(`"kept"`))}
		}
		_, err := k.Store.Record(t.Context(), e)
		switch {
		case i%3 == 0:
			k.lost(err, 0, 2)
			k.absent(e)
		case err != nil || !k.stored(e):
			t.Errorf("beside a member that was undone: %v", err)
		}
	})
	if n := k.usesLeft(Tenant, good); n != 5 {
		t.Errorf("%d uses left of 5: a change of a refused member stayed", n)
	}
	waiting, err := k.Store.Waiting(t.Context(), 100)
	if err != nil || len(waiting) != 6 {
		t.Errorf("%d messages of 6, %v", len(waiting), err)
	}
	for _, m := range waiting {
		if string(m.Payload) != `"kept"` {
			t.Errorf("a message of a refused member stayed")
		}
	}
}

// foreignEffect: what this store did not make, or made for another tenant than
// the entry's, is an internal error.
func foreignEffect(t T, open func() *Driver) {
	k := start(t, open)
	other := start(t, open)
	id := k.credential(Tenant, 1)
	if err := other.Store.AddCredential(t.Context(), k.newCredential(Tenant, id, 1), credentialAdded(Tenant)); err != nil {
		t.Fatalf("add uses: %v", err)
	}
	for name, effect := range map[string]ca.Effect{
		"unknown value":       ca.NewEffect("DELETE FROM certificates"),
		"empty":               {},
		"of another store":    other.Store.Burn(Tenant, id),
		"of another tenant":   k.Store.Burn(OtherTenant, k.credential(OtherTenant, 1)),
		"post for another":    k.Store.Post(OtherTenant, "test", []byte("1")),
		"lease of some other": other.Store.Held(&ca.Lease{Name: "x", Holder: "y", Fence: 1}),
	} {
		e := k.entry(Tenant, k.Store.Burn(Tenant, id), effect)
		_, err := k.Store.Record(t.Context(), e)
		k.kind(name, err, ca.Internal)
		k.absent(e)
		r := k.entry(Tenant)
		k.record(r)
		rev := revocation(r, ca.Superseded)
		rev.Effects = []ca.Effect{effect}
		_, err = k.Store.Revoke(t.Context(), rev)
		k.kind("revoke: "+name, err, ca.Internal)
	}
	if n := k.usesLeft(Tenant, id); n != 1 {
		t.Errorf("%d uses left of 1: an effect beside a foreign one took place", n)
	}
	if n := other.usesLeft(Tenant, id); n != 1 {
		t.Errorf("%d uses left of 1 in the other store", n)
	}
}

func oneEffectManyRecords(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, 1)
	effect := k.Store.Burn(Tenant, id) // one value, handed in by all
	k.race(64, func() *ca.Entry { return k.entry(Tenant, effect) })
	if n := k.usesLeft(Tenant, id); n != 0 {
		t.Errorf("%d uses left", n)
	}
}

func burnRace(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, 1)
	k.race(32, func() *ca.Entry { return k.entry(Tenant, k.Store.Burn(Tenant, id)) })
}

// race records n entries at once, of which exactly one may win.
func (k *kit) race(n int, make func() *ca.Entry) {
	var won, found atomic.Int64
	k.gathered(n, func(int) {
		e := make()
		_, err := k.Store.Record(k.Context(), e)
		var lost *ca.LostEffect
		switch {
		case err == nil:
			won.Add(1)
		case !errors.As(err, &lost):
			k.Errorf("a racer got %v, want a lost effect", err)
		}
		if k.stored(e) {
			found.Add(1)
		}
	})
	if won.Load() != 1 || found.Load() != 1 {
		k.Errorf("%d racers won and %d certificates are recorded, want 1", won.Load(), found.Load())
	}
}

func burnExpired(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, 3)
	k.record(k.entry(Tenant, k.Store.Burn(Tenant, id)))
	k.Advance(24*time.Hour + time.Second)
	e := k.entry(Tenant, k.Store.Burn(Tenant, id))
	_, err := k.Store.Record(t.Context(), e)
	k.lost(err, 0, 0)
	k.absent(e)
	if n := k.usesLeft(Tenant, id); n != 2 {
		t.Errorf("%d uses left, want 2", n)
	}
}

func revokeWithLostEffect(t T, open func() *Driver) {
	k := start(t, open)
	good := k.credential(Tenant, 1)
	e := k.entry(Tenant)
	k.record(e)
	r := revocation(e, ca.Superseded)
	r.Effects = []ca.Effect{k.Store.Burn(Tenant, good), k.Store.Burn(Tenant, "unknown")}
	_, err := k.Store.Revoke(t.Context(), r)
	k.lost(err, 0, 1)
	if s := k.state(e); s != ca.Issued {
		t.Errorf("the certificate is %s although the effect was lost", s)
	}
	r.Effects = r.Effects[:1]
	if _, err := k.Store.Revoke(t.Context(), r); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if s, n := k.state(e), k.usesLeft(Tenant, good); s != ca.Revoked || n != 0 {
		t.Errorf("the certificate is %s, %d uses left", s, n)
	}
}

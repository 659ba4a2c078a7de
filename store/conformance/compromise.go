package conformance

import (
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

// proof is a revocation that proves that the key is compromised.
func proof(e *ca.Entry) *ca.Revocation {
	r := revocation(e, ca.KeyCompromise)
	r.BlockKey = true
	return r
}

// refused fails unless the key of an entry is blocked, or is not.
func (k *kit) refused(what string, e *ca.Entry, want bool) {
	k.Helper()
	next := k.entry(OtherTenant)
	next.KeyHash = e.KeyHash
	if _, err := k.Store.Record(k.Context(), next); ca.IsKind(err, ca.Denied) != want || err != nil && !want {
		k.Errorf("%s: the key is blocked: %v, want %v", what, err, want)
	}
}

// revokeCompromised: what is revoked already changes its reason to keyCompromise
// where that is proven, keeps the time of its revocation, and has its key blocked;
// once, and nothing else changes.
func revokeCompromised(t T, open func() *Driver) {
	k := start(t, open)
	for name, c := range map[string]struct {
		first   ca.Reason
		invalid [2]time.Time // given at first, and with the proof
		want    time.Time
	}{
		"superseded":             {first: ca.Superseded},
		"the requester's word":   {first: ca.KeyCompromise},
		"date kept":              {first: ca.Superseded, invalid: [2]time.Time{day(1), {}}, want: day(1)},
		"date given":             {first: ca.Unspecified, invalid: [2]time.Time{{}, day(2)}, want: day(2)},
		"date changed":           {first: ca.CessationOfOperation, invalid: [2]time.Time{day(3), day(2)}, want: day(2)},
		"hold, which may change": {first: ca.CertificateHold},
	} {
		e := k.entry(Tenant)
		k.record(e)
		first := revocation(e, c.first)
		first.Invalid = c.invalid[0]
		before := k.revoke(first)
		k.refused(name+", at first", e, false)
		position := k.feed(0)
		r := proof(e)
		r.Invalid = c.invalid[1]
		got := k.revoke(r)
		want := &ca.Status{Position: got.Position, Tenant: Tenant, CA: caID, Serial: e.Certificate.Serial, State: ca.Revoked,
			Reason: ca.KeyCompromise, Invalid: c.want, At: before.At}
		if c.first == ca.CertificateHold {
			want.At = got.At // it was not revoked until now
		}
		if diff := cmp.Diff(want, got); diff != "" || got.Position <= before.Position {
			t.Errorf("%s: answer after %d:\n%s", name, before.Position, diff)
		}
		if rows := k.feed(0); len(rows) != len(position)+1 || !cmp.Equal(rows[len(rows)-1], *want) {
			t.Errorf("%s: feed %v, want %v at its end", name, rows, want)
		}
		if s := k.state(e); s != ca.Revoked || k.audited(r.Audit.Trace) != 1 {
			t.Errorf("%s: the certificate is %s; %d audit rows", name, s, k.audited(r.Audit.Trace))
		}
		k.refused(name+", proven", e, true)
		for what, again := range map[string]*ca.Revocation{"another proof": proof(e), "a word": revocation(e, ca.KeyCompromise), "superseded": revocation(e, ca.Superseded)} {
			_, err := k.Store.Revoke(t.Context(), again)
			k.kind(name+", then "+what, err, ca.Conflict)
			if k.audited(again.Audit.Trace) != 0 {
				t.Errorf("%s, then %s: a refused revocation was audited", name, what)
			}
		}
		if rows := k.feed(0); len(rows) != len(position)+1 {
			t.Errorf("%s: a refused revocation is in the feed", name)
		}
	}
	k.compromisedTwin()
}

func day(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }

// compromisedTwin: a key that is blocked already does not keep the reason of
// another certificate of it from changing.
func (k *kit) compromisedTwin() {
	k.Helper()
	a, b := k.entry(Tenant), k.entry(Tenant)
	b.KeyHash = a.KeyHash
	k.record(a, b)
	k.revoke(revocation(b, ca.Superseded))
	k.revoke(proof(a))
	if s := k.revoke(proof(b)); s.Reason != ca.KeyCompromise {
		k.Errorf("the twin is revoked for %s", s.Reason)
	}
	_, err := k.Store.Revoke(k.Context(), proof(b))
	k.kind("the twin again", err, ca.Conflict)
}

// revokeCompromisedRace: of many proofs one changes a revoked certificate.
func revokeCompromisedRace(t T, open func() *Driver) {
	k := start(t, open)
	for _, first := range []ca.Reason{ca.Superseded, ca.KeyCompromise} {
		e := k.entry(Tenant)
		k.record(e)
		k.revoke(revocation(e, first))
		before := len(k.feed(0))
		var mu sync.Mutex
		won := 0
		k.gathered(8, func(int) {
			_, err := k.Store.Revoke(t.Context(), proof(e))
			if err != nil {
				k.kind("a racing proof", err, ca.Conflict)
				return
			}
			mu.Lock()
			won++
			mu.Unlock()
		})
		if n := len(k.feed(0)) - before; won != 1 || n != 1 {
			t.Errorf("after %s %d of 8 proofs won, and %d feed rows came", first, won, n)
		}
	}
}

// noTakingBack: who serves cannot undo a revocation, nor soften its reason.
func noTakingBack(t T, open func() *Driver) {
	k := start(t, open)
	if k.TryChange == nil {
		return // nothing but methods reaches the data
	}
	e := k.entry(Tenant)
	k.record(e)
	k.revoke(revocation(e, ca.Superseded))
	refuse := func(sets ...string) {
		t.Helper()
		for _, set := range sets {
			if err := k.TryChange(set); err == nil {
				t.Errorf("revocations: %s was taken", set)
			}
		}
	}
	refuse("state = 'issued'", "state = 'held'", "reason = 5", "state = 'issued', reason = 1")
	k.revoke(proof(e))
	refuse("state = 'issued'", "reason = 4")
	if s := k.state(e); s != ca.Revoked {
		t.Errorf("the certificate is %s", s)
	}
}

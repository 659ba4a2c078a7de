package conformance

import (
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

var statusCases = []Case{
	{"Revoke", revoke},
	{"RevokeUnknown", revokeUnknown},
	{"RevokeTwice", revokeTwice},
	{"RevokeCompromised", revokeCompromised},
	{"RevokeCompromisedRace", revokeCompromisedRace},
	{"Hold", hold},
	{"RevokeRace", revokeRace},
	{"FeedOrder", feedOrder},
	{"FeedEnd", feedEnd},
	{"StatusPages", statusPages},
	{"StatusPageRefuses", statusPageRefuses},
	{"BlockedKey", blockedKey},
	{"NoDelete", noDelete},
	{"NoTakingBack", noTakingBack},
}

func revocation(e *ca.Entry, reason ca.Reason) *ca.Revocation {
	c := e.Certificate
	return &ca.Revocation{Tenant: c.Tenant, CA: c.CA, Serial: c.Serial, Reason: reason,
		Audit: ca.Audit{Tenant: c.Tenant, Event: "certificate.revoked", Actor: "operator", Trace: ca.NewTrace(), Detail: []byte("{}")}}
}

func (k *kit) state(e *ca.Entry) ca.State {
	k.Helper()
	c, err := k.Store.Certificate(k.Context(), e.Certificate.Tenant, e.Certificate.CA, e.Certificate.Serial)
	if err != nil {
		k.Fatalf("certificate: %v", err)
	}
	return c.State
}

func (k *kit) revoke(r *ca.Revocation) *ca.Status {
	k.Helper()
	s, err := k.Store.Revoke(k.Context(), r)
	if err != nil {
		k.Fatalf("revoke: %v", err)
	}
	return s
}

func (k *kit) feed(after int64) []ca.Status {
	k.Helper()
	rows, err := k.Store.Feed(k.Context(), after, 1000)
	if err != nil {
		k.Fatalf("feed: %v", err)
	}
	return rows
}

func revoke(t T, open func() *Driver) {
	k := start(t, open)
	e, other := k.entry(Tenant), k.entry(Tenant)
	k.record(e, other)
	r := revocation(e, ca.KeyCompromise)
	r.Invalid = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	before := k.now()
	got := k.revoke(r)
	want := &ca.Status{Position: got.Position, Tenant: Tenant, CA: caID, Serial: e.Certificate.Serial, State: ca.Revoked,
		Reason: ca.KeyCompromise, Invalid: r.Invalid, At: got.At}
	if diff := cmp.Diff(want, got); diff != "" || got.At.Before(before) || got.At.After(k.now()) {
		t.Errorf("answer at %v:\n%s", got.At, diff)
	}
	if diff := cmp.Diff([]ca.Status{*want}, k.feed(0)); diff != "" {
		t.Errorf("feed:\n%s", diff)
	}
	if s := k.state(e); s != ca.Revoked {
		t.Errorf("the certificate is %s", s)
	}
	if s := k.state(other); s != ca.Issued {
		t.Errorf("another certificate is %s", s)
	}
	if n := k.audited(r.Audit.Trace); n != 1 {
		t.Errorf("%d audit rows of the revocation", n)
	}
}

func revokeUnknown(t T, open func() *Driver) {
	k := start(t, open)
	e := k.entry(Tenant)
	r := revocation(e, ca.Superseded)
	r.BlockKey = true
	_, err := k.Store.Revoke(t.Context(), r)
	k.kind("an unknown certificate", err, ca.NotFound)
	if len(k.feed(0)) != 0 || k.audited(r.Audit.Trace) != 0 {
		t.Errorf("a revocation of nothing left rows")
	}
	k.record(e)
	r.CA = "another-ca"
	_, err = k.Store.Revoke(t.Context(), r)
	k.kind("another CA", err, ca.NotFound)
}

func revokeTwice(t T, open func() *Driver) {
	k := start(t, open)
	e := k.entry(Tenant)
	k.record(e)
	k.revoke(revocation(e, ca.Superseded))
	for _, reason := range []ca.Reason{ca.Superseded, ca.KeyCompromise, ca.CertificateHold, ca.RemoveFromCRL} {
		r := revocation(e, reason)
		_, err := k.Store.Revoke(t.Context(), r)
		k.kind("a second revocation: "+reason.String(), err, ca.Conflict)
		if k.audited(r.Audit.Trace) != 0 {
			t.Errorf("a refused revocation was audited as one")
		}
	}
	if rows := k.feed(0); len(rows) != 1 || rows[0].Reason != ca.Superseded {
		t.Errorf("feed: %v", rows)
	}
}

// hold: only a hold may change, into a revocation or, by removeFromCRL, back
// (RFC 5280 section 5.3.1).
func hold(t T, open func() *Driver) {
	k := start(t, open)
	a, b := k.entry(Tenant), k.entry(Tenant)
	k.record(a, b)
	_, err := k.Store.Revoke(t.Context(), revocation(a, ca.RemoveFromCRL))
	k.kind("release of what is not held", err, ca.Conflict)
	for _, e := range []*ca.Entry{a, b} {
		if s := k.revoke(revocation(e, ca.CertificateHold)); s.State != ca.Held || k.state(e) != ca.Held {
			t.Errorf("on hold the certificate is %s, its feed row %s", k.state(e), s.State)
		}
	}
	_, err = k.Store.Revoke(t.Context(), revocation(a, ca.CertificateHold))
	k.kind("a second hold", err, ca.Conflict)
	if s := k.revoke(revocation(a, ca.CessationOfOperation)); s.State != ca.Revoked || k.state(a) != ca.Revoked {
		t.Errorf("after hold and revocation the certificate is %s", k.state(a))
	}
	if s := k.revoke(revocation(b, ca.RemoveFromCRL)); s.State != ca.Issued || k.state(b) != ca.Issued {
		t.Errorf("after hold and release the certificate is %s", k.state(b))
	}
	k.revoke(revocation(b, ca.Superseded))
	var states []ca.State
	for _, s := range k.feed(0) {
		states = append(states, s.State)
	}
	if want := []ca.State{ca.Held, ca.Held, ca.Revoked, ca.Issued, ca.Revoked}; !slices.Equal(states, want) {
		t.Errorf("feed says %v, want %v", states, want)
	}
}

func revokeRace(t T, open func() *Driver) {
	k := start(t, open)
	e := k.entry(Tenant)
	k.record(e)
	var mu sync.Mutex
	won := 0
	k.gathered(16, func(int) {
		_, err := k.Store.Revoke(t.Context(), revocation(e, ca.Superseded))
		if err == nil {
			mu.Lock()
			won++
			mu.Unlock()
		} else {
			k.kind("a racing revocation", err, ca.Conflict)
		}
	})
	if won != 1 || len(k.feed(0)) != 1 {
		t.Errorf("%d of 16 revocations of one certificate won, the feed has %d rows", won, len(k.feed(0)))
	}
}

// feedOrder: positions rise, are what the answers said, and a reader that
// follows while others write misses nothing.
func feedOrder(t T, open func() *Driver) {
	k := start(t, open)
	const n = 48
	entries := make([]*ca.Entry, n)
	for i := range entries {
		entries[i] = k.entry(Tenant)
	}
	k.record(entries...)
	var writers sync.WaitGroup
	var mu sync.Mutex
	answered := map[ca.Serial]int64{}
	for i := range 8 {
		writers.Go(func() {
			for _, e := range entries[i*6 : i*6+6] {
				s, err := k.Store.Revoke(t.Context(), revocation(e, ca.Superseded))
				if err != nil {
					t.Errorf("revoke: %v", err)
					return
				}
				mu.Lock()
				answered[s.Serial] = s.Position
				mu.Unlock()
			}
		})
	}
	var followed []ca.Status
	last := int64(0)
	follow := func() bool {
		rows, err := k.Store.Feed(t.Context(), last, 5)
		if err != nil {
			t.Errorf("feed: %v", err)
			return false
		}
		if len(rows) > 5 {
			t.Errorf("%d feed rows, limit 5", len(rows))
		}
		for _, s := range rows {
			if s.Position <= last {
				t.Errorf("position %d came after %d", s.Position, last)
				return false
			}
			last = s.Position
		}
		followed = append(followed, rows...)
		return len(rows) > 0
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			follow()
		}
	}
	for follow() {
	}
	if len(followed) != n {
		t.Errorf("a follower saw %d of %d changes", len(followed), n)
	}
	for _, s := range followed {
		if answered[s.Serial] != s.Position {
			t.Errorf("the feed says position %d, the answer said %d", s.Position, answered[s.Serial])
		}
	}
	all := k.feed(0)
	if diff := cmp.Diff(all, followed); diff != "" {
		t.Errorf("read at once and followed:\n%s", diff)
	}
}

// blockedKey: a key that was revoked for keyCompromise is refused in every
// tenant. Its hash is no tenant's data: what is compromised is compromised for
// all, and an attacker who holds the key must not get it certified next door.
func blockedKey(t T, open func() *Driver) {
	k := start(t, open)
	leaked, other := k.entry(Tenant), k.entry(Tenant)
	k.record(leaked, other)
	k.revoke(revocation(other, ca.Superseded))
	r := revocation(leaked, ca.KeyCompromise)
	r.BlockKey = true
	k.revoke(r)
	for _, tenant := range []string{Tenant, OtherTenant} {
		cred := k.credential(tenant, 1)
		e := k.entry(tenant, k.Store.Burn(tenant, cred))
		e.KeyHash = leaked.KeyHash
		_, err := k.Store.Record(t.Context(), e)
		k.kind("a compromised key in tenant "+tenant, err, ca.Denied)
		k.absent(e)
		if n := k.usesLeft(tenant, cred); n != 1 {
			t.Errorf("%d uses left of 1 after a blocked key", n)
		}
	}
	e := k.entry(Tenant)
	e.KeyHash = other.KeyHash // its certificate was revoked, the key is not blocked
	k.record(e)
	k.gathered(6, func(i int) {
		e := k.entry(Tenant)
		if i == 2 {
			e.KeyHash = leaked.KeyHash
		}
		_, err := k.Store.Record(t.Context(), e)
		if i == 2 {
			k.kind("a compromised key in a shared commit", err, ca.Denied)
		} else if err != nil {
			t.Errorf("beside a compromised key: %v", err)
		}
	})
}

// noDelete: what was issued, decided, revoked and audited cannot be deleted by
// who serves; a revocation outlives its certificate.
func noDelete(t T, open func() *Driver) {
	k := start(t, open)
	if k.TryDelete == nil {
		return // nothing but methods reaches the data, and none deletes
	}
	e := k.entry(Tenant)
	k.record(e)
	r := revocation(e, ca.Superseded)
	k.revoke(r)
	for _, table := range []string{"certificates", "sans", "decisions", "revocations", "audit", "batches", "status_feed"} {
		if err := k.TryDelete(table); err == nil {
			t.Errorf("table %s: rows were deleted", table)
		}
	}
	if !k.stored(e) || k.state(e) != ca.Revoked || len(k.feed(0)) != 1 || k.audited(r.Audit.Trace) != 1 {
		t.Errorf("rows are gone after refused deletes")
	}
}

package conformance

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

const oneDay = 24 * time.Hour

func uniqueSwept(k *kit) {
	u, v, w := random32(), random32(), random32()
	soon := k.now().Add(time.Hour)
	k.record(k.unique(soon, u))
	k.record(k.unique(soon, v))
	k.record(k.unique(k.now().AddDate(0, 3, 0), w))
	l := k.acquire("sweep", "one")
	k.changes("values of certificates that are valid", 0)(k.Store.SweepUnique(k.Context(), l, 10))
	k.Advance(time.Hour + 2*time.Second)
	_, err := k.Store.SweepUnique(k.Context(), l, 10)
	k.kind("a sweep without the lease", err, ca.Conflict)
	l = k.acquire("sweep", "one")
	_, err = k.Store.SweepUnique(k.Context(), l, 0)
	k.kind("a sweep without bound", err, ca.Internal)
	k.changes("first step", 1)(k.Store.SweepUnique(k.Context(), l, 1))
	k.changes("second step", 1)(k.Store.SweepUnique(k.Context(), l, 10))
	k.changes("nothing left", 0)(k.Store.SweepUnique(k.Context(), l, 10))
	k.record(k.unique(k.now().AddDate(0, 3, 0), u, v))
	k.refusedNotUnique("a value of a certificate that is valid", k.unique(k.now().AddDate(0, 3, 0), w))
}

func pendingSwept(k *kit) {
	long := newKey()
	long.Window = 2 * oneDay
	denied, repeatable, waiting := k.parking(Tenant, ca.Idempotency{}), k.parking(Tenant, long), k.parking(Tenant, newKey())
	for _, p := range []*ca.Parking{denied, repeatable, waiting} {
		k.park(p)
	}
	k.settle(settlement(denied, ca.AwaitsApproval, ca.PendingDenied))
	k.settle(settlement(repeatable, ca.AwaitsApproval, ca.PendingDenied))
	l := k.acquire("sweep", "one")
	k.changes("requests that ended just now", 0)(k.Store.SweepPending(k.Context(), l, oneDay, 10))
	k.Advance(oneDay + time.Second)
	_, err := k.Store.SweepPending(k.Context(), l, oneDay, 10)
	k.kind("a sweep without the lease", err, ca.Conflict)
	l = k.acquire("sweep", "one")
	_, err = k.Store.SweepPending(k.Context(), l, oneDay, 0)
	k.kind("a sweep without bound", err, ca.Internal)
	k.changes("one that ended a day ago", 1)(k.Store.SweepPending(k.Context(), l, oneDay, 10))
	_, err = k.Store.PendingRequest(k.Context(), Tenant, denied.Request.ID)
	k.kind("a request that was swept", err, ca.NotFound)
	if got := k.park(k.parking(Tenant, repeatable.Idempotency)); !got.Replayed || got.Request.State != ca.PendingDenied {
		k.Errorf("the answer of a request went before its window did: %+v", got)
	}
	k.Advance(oneDay)
	l = k.acquire("sweep", "one")
	k.changes("one whose window has passed", 1)(k.Store.SweepPending(k.Context(), l, oneDay, 10))
	if got := k.pending(waiting); got.State != ca.AwaitsApproval {
		k.Errorf("a request that waits is %s", got.State)
	}
	k.changes("requests that wait", 0)(k.Store.SweepPending(k.Context(), l, 0, 10))
}

// successor makes an entry in whose place another certificate is revoked.
func (k *kit) successor(old *ca.Entry, overlap time.Duration) *ca.Entry {
	e := k.entryUntil(old.Certificate.Tenant, k.now().AddDate(0, 3, 0))
	e.Replaces, e.RevokeReplaced, e.Overlap = old.Certificate.Serial, true, overlap
	return e
}

func (k *kit) dueSuperseded(what string, want ...*ca.Entry) {
	k.Helper()
	got, err := k.Store.DueSuperseded(k.Context(), 10)
	if err != nil || len(got) != len(want) {
		k.Errorf("%s: %d are due, want %d; %v", what, len(got), len(want), err)
		return
	}
	for i, e := range want {
		if c := &e.Certificate; got[i].Tenant != c.Tenant || got[i].CA != c.CA || got[i].Serial != e.Replaces || got[i].By != c.Serial || got[i].Due.After(k.now()) {
			k.Errorf("%s: %+v is due; want what %s replaced", what, got[i], c.Serial)
		}
	}
}

func supersededDue(k *kit) {
	old, kept, theirs := k.entry(Tenant), k.entry(Tenant), k.entry(OtherTenant)
	k.record(old)
	k.record(kept)
	theirs.Certificate.Serial = old.Certificate.Serial
	k.record(theirs)
	first, again, both := k.successor(old, time.Hour), k.successor(old, 0), k.successor(kept, 0)
	both.RevokeReplaced = false
	k.record(first)
	k.record(again) // the first counts
	k.record(both)
	refused := k.successor(kept, 0)
	cred := k.credential(Tenant, 1)
	k.record(k.entry(Tenant, k.Store.Burn(Tenant, cred)))
	refused.Effects = []ca.Effect{k.Store.Burn(Tenant, cred)}
	_, err := k.Store.Record(k.Context(), refused)
	k.lost(err, 0, 0)
	k.dueSuperseded("at once")
	k.Advance(59 * time.Minute)
	k.dueSuperseded("before the overlap has passed")
	other := k.successor(theirs, time.Minute)
	k.record(other)
	k.Advance(2 * time.Minute)
	k.dueSuperseded("after it", first, other)
	_, err = k.Store.DueSuperseded(k.Context(), 0)
	k.kind("a page of nothing", err, ca.BadRequest)

	stale, c := k.acquire("superseded", "one"), &old.Certificate
	k.Advance(2 * time.Minute)
	r := revocation(old, ca.Superseded)
	r.Effects = []ca.Effect{k.Store.Held(stale), k.Store.StrikeSuperseded(c.Tenant, c.CA, c.Serial)}
	_, err = k.Store.Revoke(k.Context(), r)
	k.lost(err, 0, 0)
	k.dueSuperseded("after a holder that was paused", first, other)
	r.Effects[0] = k.Store.Held(k.acquire("superseded", "two"))
	k.revoke(r)
	k.dueSuperseded("after its revocation", other)
	if k.state(old) != ca.Revoked || k.state(theirs) != ca.Issued {
		k.Errorf("the superseded certificate is %s, another tenant's %s", k.state(old), k.state(theirs))
	}
	_, err = k.Store.Record(k.Context(), k.entry(Tenant, k.Store.StrikeSuperseded(c.Tenant, c.CA, c.Serial)))
	k.lost(err, 0, 0)
}

func supersededSwept(k *kit) {
	before := k.acquire("superseded", "two")
	k.changes("what the part before left", 0)(k.Store.SweepSuperseded(k.Context(), before, 10))
	revoked, held, later := k.entry(Tenant), k.entry(Tenant), k.entry(Tenant)
	for _, e := range []*ca.Entry{revoked, held, later} {
		k.record(e)
	}
	k.record(k.successor(revoked, 0))
	k.Advance(time.Second)
	second := k.successor(held, 0)
	k.record(second)
	k.record(k.successor(later, time.Hour))
	k.revoke(revocation(revoked, ca.CessationOfOperation))
	k.revoke(revocation(held, ca.CertificateHold))
	k.revoke(revocation(later, ca.CessationOfOperation))
	k.Advance(2 * time.Minute)
	_, err := k.Store.SweepSuperseded(k.Context(), before, 10)
	k.kind("a sweep without the lease", err, ca.Conflict)
	l := k.acquire("superseded", "one")
	_, err = k.Store.SweepSuperseded(k.Context(), l, 0)
	k.kind("a sweep without bound", err, ca.Internal)
	k.changes("what was revoked", 1)(k.Store.SweepSuperseded(k.Context(), l, 10))
	due, err := k.Store.DueSuperseded(k.Context(), 10)
	if err != nil || len(due) != 2 || due[1].Serial != held.Certificate.Serial || due[1].By != second.Certificate.Serial { // and the other tenant's of the part before
		k.Errorf("due after the sweep: %+v, %v", due, err)
	}
	k.Advance(5 * 31 * oneDay) // all have ended, and their months too
	k.dueSuperseded("what has ended")
	l = k.acquire("superseded", "one")
	k.changes("what has ended", 3)(k.Store.SweepSuperseded(k.Context(), l, 10))
}

func swapSuperseded(k *kit, _ *ca.Entry) {
	old := k.entry(Tenant)
	k.record(old)
	next := k.successor(old, 0)
	k.record(next)
	c := &old.Certificate
	_, err := k.Store.Record(k.Context(), k.entry(OtherTenant, k.Store.StrikeSuperseded(OtherTenant, c.CA, c.Serial)))
	k.lost(err, 0, 0)
	k.dueSuperseded("after another tenant's try", next)
}

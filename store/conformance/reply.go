package conformance

import (
	"bytes"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

var replyCases = []Case{
	{"KeptReply", keptReplies},
}

func keptReplies(t T, open func() *Driver) {
	together(replyKept, replyWithItsCertificate, replySwept)(t, open)
}

func reply(tenant string, keep time.Duration) *ca.KeptReply {
	return &ca.KeptReply{Tenant: tenant, ID: ca.ReplyID(random32()), Sealed: randomBytes(900), Keep: keep}
}

// findsReply tells whether a reply is found, and as it was kept.
func (k *kit) findsReply(what string, r *ca.KeptReply, want bool) {
	k.Helper()
	sealed, err := k.Store.KeptReply(k.Context(), r.Tenant, r.ID)
	switch {
	case want && (err != nil || !bytes.Equal(sealed, r.Sealed)):
		k.Errorf("%s: %d octets, %v", what, len(sealed), err)
	case !want:
		k.kind(what, err, ca.NotFound)
	}
}

func replyKept(k *kit) {
	r := reply(Tenant, time.Hour)
	k.findsReply("a reply before its commit", r, false)
	k.record(k.entry(Tenant, k.Store.KeepReply(r)))
	k.findsReply("a kept reply", r, true)
	k.Advance(59 * time.Minute)
	k.findsReply("a reply within its time", r, true)
	k.Advance(2 * time.Minute)
	k.findsReply("a reply after its time", r, false)
	p := reply(Tenant, time.Hour)
	k.park(k.parking(Tenant, newKey(), k.Store.KeepReply(p)))
	k.findsReply("the reply of a parked request", p, true)
}

// replyWithItsCertificate: both are recorded, or neither is; and nobody's reply
// takes the place of another one.
func replyWithItsCertificate(k *kit) {
	first, second := reply(Tenant, time.Hour), reply(Tenant, time.Hour)
	spent := k.credential(Tenant, 1)
	k.record(k.entry(Tenant, k.Store.Burn(Tenant, spent)))
	late := k.entry(Tenant, k.Store.KeepReply(first), k.Store.Burn(Tenant, spent))
	_, err := k.Store.Record(k.Context(), late)
	k.lost(err, 0, 1)
	k.absent(late)
	k.findsReply("the reply of a certificate that was not recorded", first, false)
	k.record(k.entry(Tenant, k.Store.KeepReply(first)))
	second.ID = first.ID
	again := k.entry(Tenant, k.Store.KeepReply(second))
	_, err = k.Store.Record(k.Context(), again)
	k.lost(err, 0, 0)
	k.absent(again)
	k.findsReply("the first reply", first, true)
}

func replySwept(k *kit) {
	k.Advance(2 * time.Hour)
	before := k.acquire("sweep", "two")
	if _, err := k.Store.SweepReplies(k.Context(), before, 100); err != nil {
		k.Errorf("what the parts before left: %v", err)
	}
	over, other, later := reply(Tenant, time.Minute), reply(OtherTenant, time.Minute), reply(Tenant, time.Hour)
	for _, r := range []*ca.KeptReply{over, other, later} {
		k.record(k.entry(r.Tenant, k.Store.KeepReply(r)))
	}
	k.changes("replies within their time", 0)(k.Store.SweepReplies(k.Context(), before, 10))
	k.Advance(2 * time.Minute)
	_, err := k.Store.SweepReplies(k.Context(), before, 10)
	k.kind("a sweep without the lease", err, ca.Conflict)
	l := k.acquire("sweep", "one")
	_, err = k.Store.SweepReplies(k.Context(), l, 0)
	k.kind("a sweep without bound", err, ca.Internal)
	k.changes("first step", 1)(k.Store.SweepReplies(k.Context(), l, 1))
	k.changes("second step", 1)(k.Store.SweepReplies(k.Context(), l, 10))
	k.findsReply("a reply within its time, after the sweep", later, true)
	k.record(k.entry(Tenant, k.Store.KeepReply(over))) // its id is free again: the row is gone
}

func swapReply(k *kit, _ *ca.Entry) {
	r := reply(Tenant, time.Hour)
	k.record(k.entry(Tenant, k.Store.KeepReply(r)))
	_, err := k.Store.KeptReply(k.Context(), OtherTenant, r.ID)
	k.kind("another tenant's reply", err, ca.NotFound)
	theirs := reply(OtherTenant, time.Hour)
	theirs.ID = r.ID // which is no secret
	k.record(k.entry(OtherTenant, k.Store.KeepReply(theirs)))
	k.findsReply("one's own reply", r, true)
	k.findsReply("the other tenant's", theirs, true)
}

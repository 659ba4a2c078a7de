package conformance

import (
	"slices"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

var approvalCases = []Case{
	{"Unique", together(uniqueTaken, uniqueFreed, uniqueRenewed, uniqueRace, uniqueReplay)},
	{"Pending", together(pendingLists, pendingTransaction, park, parkReplay, parkLostEffect, settleOnce, settleExpired, settleLostEffect, issuePending, pendingKeyUsed)},
	{"LifeSwept", together(uniqueSwept, pendingSwept)},
	{"Superseded", together(supersededDue, supersededSwept)},
}

// together makes one case of parts that share a store, because a store is dear to make.
func together(parts ...func(*kit)) func(T, func() *Driver) {
	return func(t T, open func() *Driver) {
		k := start(t, open)
		for _, part := range parts {
			part(k)
		}
	}
}

// unique makes an entry that must have values alone.
func (k *kit) unique(notAfter time.Time, values ...[32]byte) *ca.Entry {
	e := k.entryUntil(Tenant, notAfter)
	for _, v := range values {
		e.Unique = append(e.Unique, ca.Unique{What: ca.UniqueSAN, Scope: ca.WithinCA, Value: v, Of: "dns:a.example"})
	}
	return e
}

func (k *kit) refusedNotUnique(what string, e *ca.Entry) {
	k.Helper()
	_, err := k.Store.Record(k.Context(), e)
	k.kind(what, err, ca.Denied)
	if r := ca.AsError(err); r != nil && (r.Field != "dns:a.example" || r.Rule != "profile tls-server unique.san") {
		k.Errorf("%s: field %q, rule %q", what, r.Field, r.Rule)
	}
	k.absent(e)
}

func uniqueTaken(k *kit) {
	until, v := k.now().AddDate(0, 3, 0), random32()
	k.record(k.unique(until, v, random32()))
	second := k.unique(until, random32(), v)
	cred := k.credential(Tenant, 1)
	second.Effects = []ca.Effect{k.Store.Burn(Tenant, cred)}
	k.refusedNotUnique("a value that is taken", second)
	if k.usesLeft(Tenant, cred) != 1 {
		k.Errorf("a refused entry burnt a use")
	}
	other := k.entry(OtherTenant)
	other.Unique = []ca.Unique{{What: ca.UniqueSAN, Scope: ca.WithinCA, Value: v}}
	k.record(other) // values carry their tenant, and so does the table
	k.record(k.unique(until, second.Unique[0].Value))
	together := random32()
	a, b := k.unique(until, together), k.unique(until, together)
	_, err := k.Store.Record(k.Context(), a, b)
	k.kind("one value twice in a call", err, ca.Denied)
	k.absent(a)
}

func uniqueFreed(k *kit) {
	v, w := random32(), random32()
	short := k.unique(k.now().Add(time.Hour), v)
	long := k.unique(k.now().AddDate(0, 3, 0), w)
	k.record(short)
	k.record(long)
	k.revoke(revocation(long, ca.CertificateHold))
	k.refusedNotUnique("a value of a certificate that is held", k.unique(k.now().AddDate(0, 3, 0), w))
	k.revoke(revocation(long, ca.Superseded))
	k.record(k.unique(k.now().AddDate(0, 3, 0), w))
	k.refusedNotUnique("a value that was taken again", k.unique(k.now().AddDate(0, 3, 0), w))
	k.Advance(59 * time.Minute)
	k.refusedNotUnique("a value of a certificate that has not ended", k.unique(k.now().AddDate(0, 3, 0), v))
	k.Advance(2 * time.Minute)
	k.record(k.unique(k.now().AddDate(0, 3, 0), v))
}

func uniqueRenewed(k *kit) {
	until, v := k.now().AddDate(0, 3, 0), random32()
	first := k.unique(until, v)
	k.record(first)
	stranger := k.unique(until, v)
	stranger.Replaces = ca.NewSerial(until)
	k.refusedNotUnique("the renewal of another certificate", stranger)
	second := k.unique(until, v)
	second.Replaces = first.Certificate.Serial
	k.record(second)
	again := k.unique(until, v)
	again.Replaces = first.Certificate.Serial
	k.refusedNotUnique("a second renewal of the same certificate", again)
}

func uniqueRace(k *kit) {
	until, v := k.now().AddDate(0, 3, 0), random32()
	var mu sync.Mutex
	won := 0
	k.gathered(16, func(int) {
		e := k.unique(until, v)
		_, err := k.Store.Record(k.Context(), e)
		if err != nil && !ca.IsKind(err, ca.Denied) {
			k.Errorf("one of 16: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		if err == nil && k.stored(e) {
			won++
		}
	})
	if won != 1 {
		k.Errorf("%d of 16 got what only one may have", won)
	}
}

// uniqueReplay: who repeats a request gets its answer, and is not in its own way.
func uniqueReplay(k *kit) {
	id, until, v := newKey(), k.now().AddDate(0, 3, 0), random32()
	first, again := k.unique(until, v), k.unique(until, v)
	first.Idempotency, again.Idempotency = id, id
	k.record(first)
	k.replayed(k.record(again)[0], first)
	again.Idempotency = newKey()
	k.refusedNotUnique("another request for the value", again)
}

func (k *kit) parking(tenant string, id ca.Idempotency, effects ...ca.Effect) *ca.Parking {
	trace := ca.NewTrace()
	return &ca.Parking{Lifetime: time.Hour, Idempotency: id, Effects: effects,
		Request: ca.PendingRequest{Tenant: tenant, ID: ca.OrderedID(k.now()), Door: "acme", Endpoint: "web", CA: caID, Profile: "tls-server", Requester: "acme-account:a",
			Operation: ca.Enroll, Transaction: "order", Trace: trace, Subject: "CN=a", Names: []string{"dns:a.example", "dns:b.example"}, Key: "ecdsa-p256", KeyHash: random32(), Sealed: randomBytes(900)},
		Audit: ca.Audit{Tenant: tenant, Event: "request.parked", Actor: "acme-account:a", Trace: trace, Detail: []byte("{}")}}
}

func (k *kit) park(p *ca.Parking) *ca.Parked {
	k.Helper()
	got, err := k.Store.Park(k.Context(), p)
	if err != nil {
		k.Fatalf("park: %v", err)
	}
	return got
}

func (k *kit) pending(p *ca.Parking) *ca.PendingRequest {
	k.Helper()
	got, err := k.Store.PendingRequest(k.Context(), p.Request.Tenant, p.Request.ID)
	if err != nil {
		k.Fatalf("pending request: %v", err)
	}
	return got
}

func settlement(p *ca.Parking, from, to ca.PendingState, effects ...ca.Effect) *ca.Settlement {
	q := &p.Request
	return &ca.Settlement{Tenant: q.Tenant, ID: q.ID, From: from, To: to, By: "operator:ada", Reason: "as agreed", Approval: []byte("sealed"), Effects: effects,
		Audit: ca.Audit{Tenant: q.Tenant, Event: "request.decided", Actor: "operator:ada", Trace: ca.NewTrace(), Detail: []byte("{}")}}
}

func (k *kit) settle(s *ca.Settlement) {
	k.Helper()
	if err := k.Store.Settle(k.Context(), s); err != nil {
		k.Fatalf("settle: %v", err)
	}
}

func park(k *kit) {
	cred := k.credential(Tenant, 1)
	p := k.parking(Tenant, newKey(), k.Store.Burn(Tenant, cred))
	got, want := k.park(p), p.Request
	want.State, want.CreatedAt, want.Expires = ca.AwaitsApproval, got.Request.CreatedAt, got.Request.CreatedAt.Add(time.Hour)
	if got.Replayed || got.Certificate != nil || got.Request.CreatedAt.Sub(k.now()).Abs() > time.Minute {
		k.Errorf("parked %+v", got)
	}
	for _, have := range []*ca.PendingRequest{&got.Request, k.pending(p)} {
		if have.State != want.State || !have.Expires.Equal(want.Expires) || string(have.Sealed) != string(want.Sealed) || have.KeyHash != want.KeyHash ||
			!slices.Equal(have.Names, want.Names) || have.Requester != want.Requester || have.Trace != want.Trace || have.Transaction != want.Transaction ||
			have.Door != want.Door || have.Operation != want.Operation || !have.DecidedAt.IsZero() || have.Serial != (ca.Serial{}) {
			k.Errorf("have %+v, want %+v", have, want)
		}
	}
	if k.usesLeft(Tenant, cred) != 0 || k.audited(p.Audit.Trace) != 1 {
		k.Errorf("the effect or the audit row of a parked request is missing")
	}
}

// parkReplay: while it waits, and its window after its end, a request is the same one.
func parkReplay(k *kit) {
	id, cred := newKey(), k.credential(Tenant, 2)
	p := k.parking(Tenant, id, k.Store.Burn(Tenant, cred))
	k.park(p)
	again := func(what string, replayed bool) *ca.Parking {
		next := k.parking(Tenant, id, k.Store.Burn(Tenant, cred))
		got := k.park(next)
		if got.Replayed != replayed || replayed && got.Request.ID != p.Request.ID || replayed && k.audited(next.Audit.Trace) > 0 {
			k.Errorf("%s: replayed %v, id %s", what, got.Replayed, got.Request.ID)
		}
		return next
	}
	k.Advance(61 * time.Minute) // longer than the window
	again("while it waits", true)
	if n := k.usesLeft(Tenant, cred); n != 1 {
		k.Errorf("%d uses left, want 1", n)
	}
	other := k.parking(Tenant, ca.Idempotency{Key: id.Key, Digest: random32(), Window: time.Hour})
	_, err := k.Store.Park(k.Context(), other)
	k.kind("another request of the transaction", err, ca.Conflict)
	k.settle(settlement(p, ca.AwaitsApproval, ca.PendingDenied))
	k.Advance(59 * time.Minute)
	again("in the window after its end", true)
	k.Advance(2 * time.Minute)
	p = again("after the window", false)
	again("the new one", true)

	recorded := k.keyed(newKey())
	k.record(recorded)
	got := k.park(k.parking(Tenant, recorded.Idempotency))
	if got.Certificate == nil || got.Certificate.Serial != recorded.Certificate.Serial || !got.Replayed {
		k.Errorf("a request that has its certificate was parked: %+v", got)
	}
}

func parkLostEffect(k *kit) {
	once, twice := k.credential(Tenant, 1), k.credential(Tenant, 2)
	k.record(k.entry(Tenant, k.Store.Burn(Tenant, once)))
	p := k.parking(Tenant, newKey(), k.Store.Burn(Tenant, twice), k.Store.Burn(Tenant, once))
	_, err := k.Store.Park(k.Context(), p)
	k.lost(err, 0, 1)
	_, err = k.Store.PendingRequest(k.Context(), Tenant, p.Request.ID)
	k.kind("a request that was not parked", err, ca.NotFound)
	if k.usesLeft(Tenant, twice) != 2 || k.audited(p.Audit.Trace) != 0 {
		k.Errorf("a request that was not parked changed something")
	}
}

// settleOnce: of two verdicts at the same time one counts.
func settleOnce(k *kit) {
	p := k.parking(Tenant, newKey())
	k.park(p)
	var mu sync.Mutex
	var won []ca.PendingState
	k.gathered(8, func(i int) {
		to := []ca.PendingState{ca.Approved, ca.PendingDenied}[i%2]
		switch err := k.Store.Settle(k.Context(), settlement(p, ca.AwaitsApproval, to)); {
		case err == nil:
			mu.Lock()
			won = append(won, to)
			mu.Unlock()
		case !ca.IsKind(err, ca.Conflict):
			k.Errorf("a verdict: %v", err)
		}
	})
	got := k.pending(p)
	if len(won) != 1 || got.State != won[0] || got.DecidedBy != "operator:ada" || got.Reason != "as agreed" || string(got.Approval) != "sealed" || got.DecidedAt.IsZero() {
		k.Errorf("%v won; the request is %+v", won, got)
	}
}

func settleExpired(k *kit) {
	p := k.parking(Tenant, newKey())
	k.park(p)
	k.kind("an end before its time", k.Store.Settle(k.Context(), settlement(p, ca.AwaitsApproval, ca.PendingExpired)), ca.Conflict)
	k.Advance(61 * time.Minute)
	k.kind("an approval too late", k.Store.Settle(k.Context(), settlement(p, ca.AwaitsApproval, ca.Approved)), ca.Conflict)
	end := settlement(p, ca.AwaitsApproval, ca.PendingExpired)
	end.By, end.Reason, end.Approval = "", "", nil
	k.settle(end)
	if got := k.pending(p); got.State != ca.PendingExpired || got.DecidedBy != "" || !got.DecidedAt.IsZero() {
		k.Errorf("an expired request is %+v", got)
	}
}

func settleLostEffect(k *kit) {
	p := k.parking(Tenant, newKey())
	k.park(p)
	l := k.acquire("approvals", "one")
	k.Advance(2 * time.Minute)
	s := settlement(p, ca.AwaitsApproval, ca.PendingDenied, k.Store.Held(l))
	k.lost(k.Store.Settle(k.Context(), s), 0, 0)
	if got := k.pending(p); got.State != ca.AwaitsApproval || k.audited(s.Audit.Trace) != 0 {
		k.Errorf("a settlement whose effect was lost took place: %+v", got)
	}
}

func issuePending(k *kit) {
	p := k.parking(Tenant, newKey())
	k.park(p)
	early := k.entry(Tenant, k.Store.IssuePending(Tenant, p.Request.ID))
	_, err := k.Store.Record(k.Context(), early)
	k.lost(err, 0, 0)
	k.absent(early)
	k.settle(settlement(p, ca.AwaitsApproval, ca.Approved))
	e := k.entry(Tenant, k.Store.IssuePending(Tenant, p.Request.ID))
	k.record(e)
	if got := k.pending(p); got.State != ca.PendingIssued || got.Serial != e.Certificate.Serial || got.Reason != "as agreed" {
		k.Errorf("an issued request is %+v", got)
	}
	second := k.entry(Tenant, k.Store.IssuePending(Tenant, p.Request.ID))
	_, err = k.Store.Record(k.Context(), second)
	k.lost(err, 0, 0)
	k.absent(second)
}

// pendingKeyUsed: a request that waits does not keep its transaction from being
// answered otherwise, by a profile that asks for no approval any more; the transaction then has
// that one certificate, and the request gets none.
func pendingKeyUsed(k *kit) {
	p := k.parking(Tenant, newKey())
	k.park(p)
	first := k.keyed(p.Idempotency)
	k.record(first)
	k.settle(settlement(p, ca.AwaitsApproval, ca.Approved))
	second := k.entry(Tenant, k.Store.IssuePending(Tenant, p.Request.ID))
	second.Idempotency = p.Idempotency
	k.replayed(k.record(second)[0], first)
	k.absent(second)
	if got := k.pending(p); got.State != ca.Approved {
		k.Errorf("a request whose transaction was answered before is %s", got.State)
	}
	k.settle(settlement(p, ca.Approved, ca.PendingRejected))
}

func pendingLists(k *kit) {
	var all []*ca.Parking
	for range 3 {
		p := k.parking(Tenant, newKey())
		k.park(p)
		all = append(all, p)
		k.Advance(time.Second)
	}
	k.park(k.parking(OtherTenant, newKey()))
	page, err := k.Store.PendingRequests(k.Context(), Tenant, ca.AwaitsApproval, all[0].Request.ID, 1)
	if err != nil || len(page) != 1 || page[0].ID != all[1].Request.ID || len(page[0].Sealed) != 0 {
		k.Errorf("a page: %+v, %v", page, err)
	}
	_, err = k.Store.PendingRequests(k.Context(), Tenant, ca.AwaitsApproval, "", 0)
	k.kind("a page of nothing", err, ca.BadRequest)
	k.settle(settlement(all[2], ca.AwaitsApproval, ca.Approved))
	counts, err := k.Store.CountPending(k.Context())
	if err != nil || counts[Tenant] != 2 || counts[OtherTenant] != 1 {
		k.Errorf("counts: %v, %v", counts, err)
	}
	due := func(want ...string) {
		k.Helper()
		got, err := k.Store.DuePending(k.Context(), 10)
		var ids []string
		for _, p := range got {
			ids = append(ids, p.ID)
		}
		if err != nil || !slices.Equal(ids, want) || len(got) > 0 && string(got[0].Approval) != "sealed" {
			k.Errorf("due: %v, %v; want %v", ids, err, want)
		}
	}
	due(all[2].Request.ID)
	k.Advance(time.Hour - 2*time.Second) // the first two have expired
	due(all[2].Request.ID, all[0].Request.ID, all[1].Request.ID)
}

func swapPending(k *kit, _ *ca.Entry) {
	p := k.parking(Tenant, newKey())
	k.park(p)
	_, err := k.Store.PendingRequest(k.Context(), OtherTenant, p.Request.ID)
	k.kind("another tenant's request", err, ca.NotFound)
	if page, err := k.Store.PendingRequests(k.Context(), OtherTenant, ca.AwaitsApproval, "", 10); err != nil || len(page) != 0 {
		k.Errorf("another tenant's requests: %v, %v", page, err)
	}
	s := settlement(p, ca.AwaitsApproval, ca.PendingDenied)
	s.Tenant, s.Audit.Tenant = OtherTenant, OtherTenant
	k.kind("a verdict about another tenant's request", k.Store.Settle(k.Context(), s), ca.Conflict)
	k.settle(settlement(p, ca.AwaitsApproval, ca.Approved))
	e := k.entry(OtherTenant, k.Store.IssuePending(OtherTenant, p.Request.ID))
	_, err = k.Store.Record(k.Context(), e)
	k.lost(err, 0, 0)
	other := k.parking(OtherTenant, p.Idempotency)
	other.Request.ID = p.Request.ID
	if k.park(other).Replayed {
		k.Errorf("another tenant's request was given")
	}
}

package conformance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

// RetentionStore is a driver that drops months; Driver.Store of the retention
// suite must be one.
type RetentionStore interface {
	Store
	ca.Months
}

// Retention runs the suite of dropping months.
func Retention(t *testing.T, open func(t *testing.T) *Driver) { run(t, RetentionCases(), open) }

// RetentionCases lists the suite of dropping months.
func RetentionCases() []Case {
	return []Case{
		{"RetentionWaits", retentionWaits},
		{"RetentionAbandoned", retentionAbandoned},
		{"RetentionClears", retentionClears},
		{"RetentionFence", retentionFence},
		{"RetentionGuards", retentionGuards},
		{"RetentionWhileIssuing", retentionWhileIssuing},
	}
}

func (k *kit) months() RetentionStore {
	k.Helper()
	s, ok := k.Store.(RetentionStore)
	if !ok {
		k.Fatalf("the store drops no months")
	}
	return s
}

// monthAgo is a month of the past, and where it begins and ends.
func monthAgo(ago int) (m ca.Month, from, to time.Time) {
	m = ca.MonthOf(time.Now()) - ca.Month(ago)
	from, to, _ = m.Range()
	return m, from, to
}

// expired records certificates that ended in a month.
func (k *kit) expired(tenant string, ago, n int) (all []*ca.Entry) {
	k.Helper()
	_, from, _ := monthAgo(ago)
	for range n {
		e := k.entryUntil(tenant, from.Add(240*time.Hour))
		k.record(e)
		all = append(all, e)
	}
	return all
}

// listed publishes a list of a scope with this thisUpdate, good for a week.
func (k *kit) listed(tenant, scope string, number int64, thisUpdate time.Time) {
	k.Helper()
	c := list(tenant, scope, number, 0, 0)
	c.ThisUpdate, c.NextUpdate = thisUpdate, thisUpdate.Add(7*24*time.Hour)
	k.publish(c)
}

func droppedAudit(m ca.Month) ca.Audit {
	return ca.Audit{Tenant: ca.Installation, Event: "month.dropped", Actor: "service:retention", Trace: ca.NewTrace(), Detail: []byte(`{"month":"` + m.String() + `"}`)}
}

// waitsFor fails unless the month waits for exactly these scopes and is not dropped.
func (k *kit) waitsFor(what string, m ca.Month, want ...ca.MissingCRL) {
	k.Helper()
	got, err := k.months().MonthWaits(k.Context(), m)
	for i := range got {
		got[i].ThisUpdate = time.Time{}
	}
	if diff := cmp.Diff(want, slices.Clip(got)); err != nil || len(want)+len(got) > 0 && diff != "" {
		k.Errorf("%s: %v\n%s", what, err, diff)
	}
	if len(want) == 0 {
		return
	}
	a := droppedAudit(m)
	k.kind(what, k.months().DropMonth(k.Context(), nil, m, 1, a), ca.Conflict)
	_, err = k.months().Month(k.Context(), m)
	k.kind(what+": the month", err, ca.NotFound)
	if k.audited(a.Trace) != 0 {
		k.Errorf("%s: the audit trail says that it was dropped", what)
	}
}

func (k *kit) drop(m ca.Month, l *ca.Lease, certificates int64) {
	k.Helper()
	a := droppedAudit(m)
	if err := k.months().DropMonth(k.Context(), l, m, certificates, a); err != nil {
		k.Fatalf("drop %s: %v", m, err)
	}
	if k.audited(a.Trace) != 1 {
		k.Errorf("%d audit rows of a dropped month", k.audited(a.Trace))
	}
}

// clear takes a dropped month's rows away, however often it has to try.
func (k *kit) clear(m ca.Month, l *ca.Lease, limit int) (steps int) {
	k.Helper()
	for steps < 1000 {
		left, err := k.months().ClearMonth(k.Context(), l, m, limit)
		switch {
		case ca.IsKind(err, ca.Unavailable):
			time.Sleep(5 * time.Millisecond)
		case err != nil:
			k.Fatalf("clear %s: %v", m, err)
		case !left:
			return steps + 1
		}
		steps++
	}
	k.Fatalf("%s is not empty after %d steps", m, steps)
	return steps
}

// retentionWaits: every list of every CA with certificates in the month must
// have been published since it ended, whoever's CA that is.
func retentionWaits(t T, open func() *Driver) {
	k := start(t, open)
	m, _, end := monthAgo(1)
	k.expired(Tenant, 1, 2)
	k.expired(OtherTenant, 1, 1)
	ours := func(scope string) ca.MissingCRL { return ca.MissingCRL{Tenant: Tenant, CA: caID, Scope: scope} }
	theirs := ca.MissingCRL{Tenant: OtherTenant, CA: caID}
	k.waitsFor("without lists", m, ours(""), theirs)
	k.listed(Tenant, "g1", 10, end.Add(-time.Second))
	k.listed(Tenant, "g1-s2", 10, end.Add(-time.Hour))
	k.listed(Tenant, "issuer-0a0b", 10, end.Add(-time.Hour)) // an imported one is another CA's
	k.waitsFor("with lists from before the month's end", m, ours("g1"), ours("g1-s2"), theirs)
	k.listed(Tenant, "g1", 11, end)
	k.waitsFor("with an old shard", m, ours("g1-s2"), theirs)
	k.listed(Tenant, "g1-s2", 11, end)
	k.waitsFor("without the other tenant's list", m, theirs)
	k.listed(OtherTenant, "g1", 10, end.Add(time.Hour))
	k.waitsFor("with every list", m)

	counts, err := k.months().CountMonth(t.Context(), m)
	if diff := cmp.Diff([]ca.MonthCount{{Tenant: Tenant, CA: caID, Certificates: 2}, {Tenant: OtherTenant, CA: caID, Certificates: 1}}, counts); err != nil || diff != "" {
		t.Errorf("counts: %v\n%s", err, diff)
	}
	k.drop(m, nil, 3)
	k.kind("once more", k.months().DropMonth(t.Context(), nil, m, 3, droppedAudit(m)), ca.Conflict)
	r, err := k.months().Month(t.Context(), m)
	if err != nil || r.Month != m || r.Certificates != 3 || r.Dropped.IsZero() || !r.Cleared.IsZero() {
		t.Errorf("the dropped month is %+v, %v", r, err)
	}
	for _, future := range []ca.Month{m + 1, m + 2} {
		k.kind("a month that has not ended", k.months().DropMonth(t.Context(), nil, future, 0, droppedAudit(future)), ca.Conflict)
	}
	k.kind("no expiry", k.months().DropMonth(t.Context(), nil, 0x7FFF, 0, droppedAudit(m)), ca.Conflict)
}

// retentionAbandoned: a scope that nobody publishes any more holds nothing up.
func retentionAbandoned(t T, open func() *Driver) {
	k := start(t, open)
	m, from, _ := monthAgo(6)
	k.expired(Tenant, 6, 1)
	k.listed(Tenant, "g1", 10, from) // ended with its CA certificate, longer ago than Abandoned
	k.listed(Tenant, "g2", 10, time.Now().Add(-100*time.Hour))
	k.waitsFor("with a generation that ended", m)
	k.drop(m, nil, 1)
}

func retentionClears(t T, open func() *Driver) {
	k := start(t, open)
	m, _, end := monthAgo(1)
	gone, stays := k.expired(Tenant, 1, 5), k.expired(Tenant, 2, 1)
	other := k.expired(OtherTenant, 1, 1)
	revoked := gone[0]
	if _, err := k.Store.Revoke(t.Context(), &ca.Revocation{Tenant: Tenant, CA: caID, Serial: revoked.Certificate.Serial, Reason: ca.KeyCompromise, BlockKey: true,
		Audit: ca.Audit{Tenant: Tenant, Event: "certificate.revoked", Trace: ca.NewTrace()}}); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	_, err := k.months().ClearMonth(t.Context(), nil, m, 2)
	k.kind("clearing a month that was not dropped", err, ca.Conflict)
	if !k.stored(gone[1]) {
		t.Errorf("it took rows away")
	}
	k.listed(Tenant, "g1", 10, end)
	k.listed(OtherTenant, "g1", 10, end)
	k.drop(m, nil, 6)
	k.clear(m, nil, 2)
	if _, err := k.Store.Record(t.Context(), k.entryUntil(Tenant, end.Add(-time.Hour))); err == nil {
		t.Errorf("a certificate was recorded into a dropped month")
	}
	for _, e := range slices.Concat(gone, other) {
		c := &e.Certificate
		names, err := k.AltNames(t.Context(), c.Tenant, c.CA, c.Serial)
		if k.stored(e) || len(names) > 0 || err != nil {
			t.Errorf("certificate %s is still there, with names %v, %v", c.Serial, names, err)
		}
		_, _, err = k.Store.Decision(t.Context(), c.Tenant, c.CA, c.Serial)
		k.kind("its decision", err, ca.NotFound)
		if k.audited(e.Audit.Trace) != 1 {
			t.Errorf("the audit row of %s went, too", c.Serial)
		}
	}
	names, err := k.AltNames(t.Context(), Tenant, caID, stays[0].Certificate.Serial)
	if !k.stored(stays[0]) || err != nil || len(names) != len(stays[0].AltNames) {
		t.Errorf("a certificate of another month went: names %v, %v", names, err)
	}
	page, err := k.Store.StatusPage(t.Context(), Tenant, caID, ca.Serial{}, 10)
	if err != nil || len(page) != 1 || page[0].Serial != revoked.Certificate.Serial || page[0].State != ca.Revoked {
		t.Errorf("a revocation outlives its certificate, but there is %v, %v", page, err)
	}
	again := k.entry(OtherTenant)
	again.KeyHash = revoked.KeyHash
	_, err = k.Store.Record(t.Context(), again)
	k.kind("the compromised key of a dropped certificate", err, ca.Denied)
	all, err := k.months().Months(t.Context())
	at := slices.IndexFunc(all, func(r ca.MonthRecord) bool { return r.Month == m })
	if err != nil || at < 0 || all[at].Cleared.IsZero() || all[at].Certificates != 6 {
		t.Errorf("months: %+v, %v", all, err)
	}
	if left, err := k.months().ClearMonth(t.Context(), nil, m, 2); left || err != nil {
		t.Errorf("clearing it again: %v, %v", left, err)
	}
}

// retentionFence: a holder that was paused until somebody else took its lease
// neither decides nor takes rows away.
func retentionFence(t T, open func() *Driver) {
	k := start(t, open)
	m, _, end := monthAgo(1)
	e := k.expired(Tenant, 1, 1)[0]
	k.listed(Tenant, "g1", 10, end)
	paused := k.acquire("retention", "one")
	k.Advance(2 * time.Minute)
	refused := func(why string, l *ca.Lease) {
		a := droppedAudit(m)
		k.kind("dropping "+why, k.months().DropMonth(t.Context(), l, m, 1, a), ca.Conflict)
		if n := k.audited(a.Trace); n != 0 {
			t.Errorf("dropping %s left %d audit rows", why, n)
		}
	}
	refused("with a lease that ran out", paused)
	second := k.acquire("retention", "two")
	refused("after somebody else took the lease", paused)
	_, err := k.months().Month(t.Context(), m)
	k.kind("the month", err, ca.NotFound)
	k.drop(m, second, 1)
	_, err = k.months().ClearMonth(t.Context(), paused, m, 10)
	k.kind("clearing after somebody else took the lease", err, ca.Conflict)
	if !k.stored(e) {
		t.Errorf("a paused holder took the certificate away")
	}
	k.clear(m, second, 10)
	if k.stored(e) {
		t.Errorf("the holder did not take the certificate away")
	}
}

// retentionGuards: nobody takes rows away but by dropping their month.
func retentionGuards(t T, open func() *Driver) {
	k := start(t, open)
	m, _, end := monthAgo(1)
	gone, stays := k.expired(Tenant, 1, 1)[0], k.expired(Tenant, 2, 1)[0]
	k.listed(Tenant, "g1", 10, end)
	refused := func(tables ...string) {
		for _, table := range tables {
			if err := k.TryDelete(table); err == nil {
				t.Errorf("rows of %s were deleted", table)
			}
		}
	}
	refused("certificates", "sans", "decisions")
	k.drop(m, nil, 1)
	refused("certificates", "sans", "decisions", "dropped_months", "audit", "batches")
	if !k.stored(stays) {
		t.Errorf("a certificate of a month that is kept went")
	}
	k.clear(m, nil, 10)
	refused("certificates", "sans", "decisions", "dropped_months")
	if k.stored(gone) || !k.stored(stays) {
		t.Errorf("dropped: %v, kept: %v", !k.stored(gone), k.stored(stays))
	}
}

// retentionWhileIssuing: who issues, revokes and reads in other months notices nothing.
func retentionWhileIssuing(t T, open func() *Driver) {
	k := start(t, open)
	var months []ca.Month
	for ago := 1; ago <= 3; ago++ {
		m, _, _ := monthAgo(ago)
		months = append(months, m)
		k.expired(Tenant, ago, 20)
	}
	k.listed(Tenant, "g1", 10, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				e := k.entryUntil(Tenant, time.Now().AddDate(0, worker+n%3, 0))
				_, err := k.Store.Record(ctx, e)
				if err == nil {
					_, err = k.Store.Certificate(ctx, Tenant, caID, e.Certificate.Serial)
				}
				if err == nil && k.Archive != nil {
					_, err = k.Archive.FindCertificates(ctx, &ca.Filter{Tenant: Tenant, CA: caID, Name: e.AltNames[0], Limit: 5})
				}
				if err == nil && n%5 == 0 {
					_, err = k.Store.Revoke(ctx, &ca.Revocation{Tenant: Tenant, CA: caID, Serial: e.Certificate.Serial, Reason: ca.Superseded,
						Audit: ca.Audit{Tenant: Tenant, Event: "certificate.revoked", Trace: ca.NewTrace()}})
				}
				if err != nil && !errors.Is(err, context.Canceled) && ctx.Err() == nil {
					t.Errorf("while months are dropped: %v", err)
					return
				}
			}
		})
	}
	for _, m := range months {
		k.drop(m, nil, 20)
		k.clear(m, nil, 3)
	}
	cancel()
	all.Wait()
	left, err := k.months().Months(t.Context())
	if err != nil {
		t.Fatalf("months: %v", err)
	}
	for _, r := range left {
		if slices.Contains(months, r.Month) && r.Cleared.IsZero() {
			t.Errorf("month %s was not cleared", r.Month)
		}
	}
}

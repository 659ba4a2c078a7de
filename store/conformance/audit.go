package conformance

import (
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/store/trail"
)

var auditCases = []Case{
	{"AuditRow", auditRow},
	{"Note", note},
	{"AuditChain", auditChain},
}

func (k *kit) trail() []trail.Batch {
	k.Helper()
	batches, err := k.Trail(k.Context())
	if err != nil {
		k.Fatalf("audit trail: %v", err)
	}
	return batches
}

// find gives the audit row with a trace id.
func (k *kit) find(trace string) *ca.Audit {
	k.Helper()
	for _, b := range k.trail() {
		for _, r := range b.Rows {
			if r.Trace == trace {
				return &r
			}
		}
	}
	k.Errorf("there is no audit row of trace %s", trace)
	return nil
}

func auditRow(t T, open func() *Driver) {
	k := start(t, open)
	e, dated := k.entry(Tenant), k.entry(OtherTenant)
	dated.Audit.At = time.Date(2026, 3, 4, 5, 6, 7, 89000, time.UTC)
	before := k.now()
	k.record(e)
	after := k.now()
	k.record(dated)
	if got := k.find(e.Audit.Trace); got != nil {
		if got.At.Before(before) || got.At.After(after) {
			t.Errorf("a row without a time has %v, want the store's clock at the commit", got.At)
		}
		want := e.Audit
		want.At = got.At
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("audit row:\n%s", diff)
		}
	}
	if got := k.find(dated.Audit.Trace); got != nil {
		if diff := cmp.Diff(&dated.Audit, got); diff != "" {
			t.Errorf("audit row with a time of its own:\n%s", diff)
		}
	}
}

// note: a row that belongs to no issuance appears, though nobody waits for it.
func note(t T, open func() *Driver) {
	k := start(t, open)
	var traces []string
	for range 20 {
		a := ca.Audit{Tenant: Tenant, Event: "request.refused", Actor: "acme:account/x", Trace: ca.NewTrace(), Detail: []byte(`{"kind":"denied"}`)}
		traces = append(traces, a.Trace)
		k.Store.Note(a)
	}
	for _, trace := range traces {
		for range 200 { // up to 2 s each, reached only by a store that lost it
			if k.audited(trace) > 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := k.audited(trace); n != 1 {
			t.Fatalf("a noted row is there %d times", n)
		}
	}
	k.chains()
}

// auditChain: every row is in a batch, and the batches of a replica are chained.
func auditChain(t T, open func() *Driver) {
	k := start(t, open)
	var mu sync.Mutex
	want := map[string]bool{}
	for range 3 {
		k.gathered(10, func(i int) {
			e := k.entry(Tenant)
			if i%5 == 0 {
				e.Effects = []ca.Effect{k.Store.Post(Tenant, "test", []byte("1")), k.Store.Burn(Tenant, "unknown")}
			}
			if _, err := k.Store.Record(t.Context(), e); err == nil {
				mu.Lock()
				want[e.Audit.Trace] = true
				mu.Unlock()
			}
		})
	}
	if got := k.chains(); got != 24 || len(want) != 24 {
		t.Errorf("%d audit rows in the chains, %d of 24 entries recorded", got, len(want))
	}
	for _, b := range k.trail() {
		for _, r := range b.Rows {
			if !want[r.Trace] {
				t.Errorf("a row of a refused entry is in the chain")
			}
		}
	}
}

// chains verifies every chain and counts the rows in them.
func (k *kit) chains() (rows int) {
	k.Helper()
	last := map[string]*trail.Batch{}
	ids := map[[16]byte]bool{}
	for _, b := range k.trail() {
		if ids[b.ID] || b.ID == [16]byte{} {
			k.Errorf("batch id %x is zero or twice there", b.ID)
		}
		ids[b.ID] = true
		wantSeq, wantPrev := int64(1), [32]byte{}
		if p := last[b.Chain]; p != nil {
			wantSeq, wantPrev = p.Seq+1, p.Hash
		}
		if b.Seq != wantSeq || b.Prev != wantPrev {
			k.Errorf("chain %q: batch %d on %x, want %d on %x", b.Chain, b.Seq, b.Prev, wantSeq, wantPrev)
		}
		if b.Sum() != b.Hash {
			k.Errorf("chain %q: the hash of batch %d is not that of its rows", b.Chain, b.Seq)
		}
		last[b.Chain] = &b
		rows += len(b.Rows)
	}
	return rows
}

package conformance

import (
	"github.com/enrollgate/enrollgate/ca"
)

var batchCases = []Case{
	{"GroupCommit", groupCommit},
	{"AloneAtOnce", aloneAtOnce},
}

// groupCommit: at 32 writers in flight a commit carries more than 4 of them.
func groupCommit(t T, open func() *Driver) {
	k := start(t, open)
	batches, members := k.Counters()
	for range 4 {
		k.gathered(32, func(int) {
			if _, err := k.Store.Record(t.Context(), k.entry(tenantA)); err != nil {
				t.Errorf("record: %v", err)
			}
		})
	}
	b, m := k.Counters()
	b, m = b-batches, m-members
	if m != 128 || b == 0 || m <= 4*b {
		t.Errorf("%d members in %d commits, want 128 in less than 32", m, b)
	}
}

// aloneAtOnce: who is alone has a commit of its own and waits for nobody.
func aloneAtOnce(t T, open func() *Driver) {
	k := start(t, open)
	batches, members := k.Counters()
	var last *ca.Entry
	for range 10 {
		last = k.entry(tenantA)
		k.record(last)
	}
	b, m := k.Counters()
	if b-batches != 10 || m-members != 10 || !k.stored(last) {
		t.Errorf("10 lone records made %d commits of %d members", b-batches, m-members)
	}
}

package conformance

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

var batchCases = []Case{
	{"GroupCommit", groupCommit},
	{"AloneAtOnce", aloneAtOnce},
}

// groupCommit: at 32 writers in flight a commit carries more than 4 of them.
func groupCommit(t T, open func() *Driver) {
	k := start(t, open)
	batches, members := k.counted(1) // start's own write
	for range 4 {
		k.gathered(32, func(int) {
			if _, err := k.Store.Record(t.Context(), k.entry(Tenant)); err != nil {
				t.Errorf("record: %v", err)
			}
		})
	}
	b, m := k.counted(members + 128)
	b, m = b-batches, m-members
	if m != 128 || b == 0 || m <= 4*b {
		t.Errorf("%d members in %d commits, want 128 in less than 32", m, b)
	}
}

// counted reads the counters once they have reached a number of members: a
// commit is answered before it is counted.
func (k *kit) counted(want int64) (batches, members int64) {
	for range 500 { // 5 s at most, reached only by a store that counts wrong
		if batches, members = k.Counters(); members >= want {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return batches, members
}

// aloneAtOnce: who is alone has a commit of its own and waits for nobody.
func aloneAtOnce(t T, open func() *Driver) {
	k := start(t, open)
	batches, members := k.counted(1) // start's own write
	var last *ca.Entry
	for range 10 {
		last = k.entry(Tenant)
		k.record(last)
	}
	b, m := k.counted(members + 10)
	if b-batches != 10 || m-members != 10 || !k.stored(last) {
		t.Errorf("10 lone records made %d commits of %d members", b-batches, m-members)
	}
}

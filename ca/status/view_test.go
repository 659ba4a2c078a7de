package status

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

func (k *kit) find(s ca.Serial) (Entry, bool) {
	k.Helper()
	e, found, _, err := k.view.Find(k.Context(), k.r.table, s)
	if err != nil {
		k.Fatalf("find: %v", err)
	}
	return e, found
}

func TestViewFollows(t *testing.T) {
	k := start(t, nil)
	early, late := k.book.issue("one"), k.book.issue("one")
	k.book.set(early, ca.Revoked, ca.KeyCompromise)
	if e, found := k.find(early); !found || e.State != ca.Revoked || e.Reason != ca.KeyCompromise || !e.At.Equal(birth) || !e.Invalid.IsZero() {
		t.Errorf("from the pages: %+v, %v", e, found)
	}
	k.poll() // sees the same row again
	if _, found := k.find(early); !found || k.view.Known() != 1 {
		t.Errorf("after the feed showed it again: %v, %d known", found, k.view.Known())
	}
	for _, c := range []struct {
		state  ca.State
		reason ca.Reason
		found  bool
	}{{ca.Held, ca.CertificateHold, true}, {ca.Issued, ca.RemoveFromCRL, false}, {ca.Revoked, ca.Superseded, true}} {
		k.book.set(late, c.state, c.reason)
		k.poll()
		if e, found := k.find(late); found != c.found || found && (e.State != c.state || e.Reason != c.reason) {
			t.Errorf("after %s: %+v, %v", c.state, e, found)
		}
	}
}

// What the feed brings while pages are read comes after them, whatever they showed.
func TestChangeWhilePagesAreRead(t *testing.T) {
	k := start(t, nil)
	a, b := k.book.issue("one"), k.book.issue("one")
	k.book.set(a, ca.Held, ca.CertificateHold)
	k.poll()
	k.book.paging = func() {
		k.book.paging = nil
		k.book.set(a, ca.Issued, ca.RemoveFromCRL)
		k.book.set(b, ca.Revoked, ca.Superseded)
		k.poll() // before the page is read, and after the table began to wait
		k.book.set(b, ca.Revoked, ca.Superseded)
	}
	if _, found := k.find(a); found {
		t.Error("a released certificate is held")
	}
	if _, found := k.find(b); !found {
		t.Error("a revocation was lost")
	}
}

// A view that does not see the feed's end says so after ten seconds, and that
// it is well again as soon as it does.
func TestViewGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := start(t, nil)
		s := k.book.issue("one")
		fresh := func() bool {
			_, _, _, err := k.view.Find(t.Context(), k.r.table, s)
			_, ready := k.view.Check(t.Context())
			if (err == nil) != (ready == nil) || err != nil && !ca.IsKind(err, ca.Unavailable) {
				t.Fatalf("find: %v, ready: %v", err, ready)
			}
			return err == nil
		}
		if !fresh() {
			t.Error("old from the start")
		}
		k.book.broken(errors.New("gone"))
		k.advance(TooOld)
		if err := k.view.Poll(t.Context()); err == nil || !fresh() {
			t.Errorf("at the bound: %v", err)
		}
		k.advance(time.Nanosecond)
		if fresh() {
			t.Error("answered from a view that is too old")
		}
		if age, ok := k.view.Age(); !ok || age <= TooOld {
			t.Errorf("age %v, %v", age, ok)
		}
		k.book.broken(nil)
		if k.poll(); !fresh() {
			t.Error("still old")
		}
	})
}

func TestViewKnowsNothingAtFirst(t *testing.T) {
	k := start(t, nil)
	view := NewView(k.book, k.desk.Log, k.now)
	if _, err := view.Fresh(); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("before the first poll: %v", err)
	}
	if _, ok := view.Age(); ok {
		t.Error("has an age before the first poll")
	}
}

// Pages that cannot be read are read again.
func TestLoadFails(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	k.book.set(s, ca.Revoked, ca.Superseded)
	k.book.broken(errors.New("gone"))
	if _, _, _, err := k.view.Find(t.Context(), k.r.table, s); err == nil {
		t.Error("found without pages")
	}
	k.book.broken(nil)
	if _, found := k.find(s); !found {
		t.Error("not found once there are pages")
	}
}

// Follow polls once a second, also after failures.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &book{issued: map[ca.Serial]string{}}
		k := start(t, nil)
		k.book = b
		view := NewView(b, k.desk.Log, time.Now)
		table := view.Table(tenant, caID, nil)
		go view.Follow(t.Context())
		time.Sleep(PollEvery / 2)
		s := b.issue("one")
		if _, found, _, err := view.Find(t.Context(), table, s); err != nil || found {
			t.Fatalf("%v, %v", found, err)
		}
		b.broken(errors.New("gone"))
		time.Sleep(3 * PollEvery)
		b.broken(nil)
		b.set(s, ca.Revoked, ca.Superseded)
		time.Sleep(PollEvery)
		synctest.Wait()
		if _, found, _, err := view.Find(t.Context(), table, s); err != nil || !found {
			t.Errorf("a second after the revocation: %v, %v", found, err)
		}
	})
}

// A million revoked serials fit well below 150 MB.
func TestViewIsCompact(t *testing.T) {
	const n = 1_000_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	table := &Table{}
	table.begin()
	rows := make([]ca.Status, 1)
	for range n {
		rows[0] = ca.Status{Serial: ca.NewSerial(birth), State: ca.Revoked, Reason: ca.Superseded, At: birth}
		table.page(rows)
	}
	table.end(true)
	used := heap() - before
	t.Logf("%d octets a serial", used/n)
	if table.len() != n || used > 100<<20 {
		t.Errorf("%d serials take %d octets", table.len(), used)
	}
	runtime.KeepAlive(table)
}

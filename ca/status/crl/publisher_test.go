package crl

import (
	"context"
	"encoding/binary"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

func TestPublishWhenDue(t *testing.T) {
	w := newWorld(t)
	p := w.ensured(w.replica(w.store, hourly))
	first, list, entries := w.stored("g1")
	if err := list.CheckSignatureFrom(w.issuer.facts.Key); err != nil || len(entries) != 0 || list.Points != nil || first.Number < w.now().Unix() ||
		!first.NextUpdate.Equal(first.ThisUpdate.Add(hourly.Lifetime)) || first.ThisUpdate.After(w.now()) {
		t.Fatalf("first list %+v: %v", first, err)
	}
	w.run(p)
	serial := w.revoked()
	w.run(p)
	if now, _, _ := w.stored("g1"); now.Number != first.Number {
		t.Error("a revocation was published before its time")
	}
	w.advance(hourly.OnRevocation)
	w.run(p)
	second, _, entries := w.stored("g1")
	if second.Number <= first.Number || second.Position != 1 || entries[serial] != ca.Superseded {
		t.Errorf("after the revocation: %+v %v", second, entries)
	}
	w.advance(hourly.Interval / 2)
	w.run(p)
	if now, _, _ := w.stored("g1"); now.Number != second.Number {
		t.Error("nothing happened, and a list was published")
	}
	w.advance(hourly.Interval)
	w.run(p)
	if now, _, entries := w.stored("g1"); now.Number <= second.Number || len(entries) != 1 {
		t.Errorf("after the interval: number %d, %d entries", now.Number, len(entries))
	}
}

// TestRestart: what was revoked while nobody published is published soon.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.ensured(w.replica(w.store, hourly))
	serial := w.revoked()
	p := w.ensured(w.replica(w.store, hourly))
	w.run(p)
	w.advance(hourly.OnRevocation)
	w.run(p)
	if _, _, entries := w.stored("g1"); len(entries) != 1 || entries[serial] != ca.Superseded {
		t.Errorf("entries %v", entries)
	}
}

// TestPausedPublisher: a publisher that stops between reading the statuses and
// recording the list comes too late, and takes nothing back.
func TestPausedPublisher(t *testing.T) {
	w := newWorld(t)
	w.ensured(w.replica(w.store, hourly))
	before := w.revoked()

	paused, goOn := make(chan struct{}), make(chan struct{})
	slow := *w.issuer
	slow.gate = sync.OnceFunc(func() { close(paused); <-goOn })
	first := w.replica(w.store, hourly, &slow)
	late := make(chan error)
	go func() {
		_, err := first.Publish(context.Background(), "default", "issuing", "test")
		late <- err
	}()
	<-paused
	w.advance(time.Second)
	after := w.revoked()
	second := w.replica(w.store, hourly)
	if _, err := second.Publish(t.Context(), "default", "issuing", "test"); err != nil {
		t.Fatal(err)
	}
	published, _, _ := w.stored("g1")
	close(goOn)
	if err := <-late; !ca.IsKind(err, ca.Conflict) {
		t.Errorf("the paused publisher: %v", err)
	}
	if now, _, entries := w.stored("g1"); now.Number != published.Number || len(entries) != 2 || entries[before] == 0 || entries[after] == 0 {
		t.Errorf("number %d after %d, entries %v", now.Number, published.Number, entries)
	}
}

// lateStore commits something between two reads of a publisher.
type lateStore struct {
	Store
	afterEnd  func()
	afterPage func()
}

func (s *lateStore) FeedEnd(ctx context.Context) (int64, error) {
	n, err := s.Store.FeedEnd(ctx)
	if f := s.afterEnd; f != nil {
		s.afterEnd = nil
		f()
	}
	return n, err
}

func (s *lateStore) StatusPage(ctx context.Context, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
	page, err := s.Store.StatusPage(ctx, tenant, issuer, after, limit)
	if f := s.afterPage; f != nil {
		s.afterPage = nil
		f()
	}
	return page, err
}

// TestLateRevocation: a revocation that is committed while a list is being made
// is on it or leads to the next one; none is forgotten.
func TestLateRevocation(t *testing.T) {
	for name, onList := range map[string]bool{"between the feed's end and the pages": true, "behind the pages": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			store := &lateStore{Store: w.store}
			p := w.ensured(w.replica(store, hourly))
			var serial ca.Serial
			if onList {
				store.afterEnd = func() { serial = w.revoked() }
			} else {
				store.afterPage = func() { serial = w.revoked() }
			}
			if _, err := p.Publish(t.Context(), "default", "issuing", "test"); err != nil {
				t.Fatal(err)
			}
			first, _, entries := w.stored("g1")
			if _, listed := entries[serial]; listed != onList || first.Position != 0 {
				t.Errorf("listed %v at position %d", listed, first.Position)
			}
			w.run(p)
			w.advance(hourly.OnRevocation)
			w.run(p)
			if now, _, entries := w.stored("g1"); now.Number <= first.Number || now.Position != 1 || entries[serial] == 0 {
				t.Errorf("next list %+v, entries %v", now, entries)
			}
		})
	}
}

// TestReplicasStartTogether: several make the first list, one wins, all serve it.
func TestReplicasStartTogether(t *testing.T) {
	w := newWorld(t)
	var all []*Publisher
	for range 4 {
		all = append(all, w.replica(w.store, hourly))
	}
	var group sync.WaitGroup
	for _, p := range all {
		group.Go(func() {
			if err := p.Ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	newest, _, _ := w.stored("g1")
	for _, p := range all {
		if err := p.Shelf.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := p.Shelf.Find("default", "issuing", "crl"); got == nil || got.Number != newest.Number {
			t.Errorf("a replica serves %v, the newest is %d", got, newest.Number)
		}
	}
}

// TestExpiredLeave: a certificate stays listed until a list that is later than
// its expiry had it (RFC 5280 section 3.3), and then leaves.
func TestExpiredLeave(t *testing.T) {
	w := newWorld(t)
	p := w.ensured(w.replica(w.store, hourly))
	soon := w.issued(time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC)) // its month ends before April
	w.change(soon, ca.KeyCompromise, 0)
	never := w.issued(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC))
	w.change(never, ca.Superseded, 0)
	publish := func() map[ca.Serial]ca.Reason {
		w.advance(time.Second)
		if _, err := p.Publish(t.Context(), "default", "issuing", "test"); err != nil {
			t.Fatal(err)
		}
		_, _, entries := w.stored("g1")
		return entries
	}
	if entries := publish(); len(entries) != 2 {
		t.Errorf("before the expiry: %v", entries)
	}
	w.advance(time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC).Sub(w.now()))
	if entries := publish(); entries[soon] != ca.KeyCompromise {
		t.Errorf("the first list after the expiry: %v", entries)
	}
	if entries := publish(); len(entries) != 1 || entries[never] == 0 {
		t.Errorf("the second list after the expiry: %v", entries)
	}
	late := w.issued(time.Date(2026, 3, 25, 0, 0, 0, 0, time.UTC)) // revoked when it had expired
	w.change(late, ca.KeyCompromise, 0)
	if entries := publish(); entries[late] != ca.KeyCompromise {
		t.Errorf("a revocation after the expiry was never listed: %v", entries)
	}
}

func TestDelta(t *testing.T) {
	w := newWorld(t)
	set := hourly
	set.DeltaInterval = 10 * time.Minute
	held := w.issued(w.now().AddDate(1, 0, 0))
	w.change(held, ca.CertificateHold, 0)
	p := w.ensured(w.replica(w.store, set))
	complete, list, entries := w.stored("g1")
	if len(entries) != 1 || entries[held] != ca.CertificateHold || len(list.Extensions) != 3 {
		t.Fatalf("base: %v, %d extensions", entries, len(list.Extensions))
	}
	first, delta, entries := w.stored("g1-delta")
	if first.Base != complete.Number || first.Number <= complete.Number || delta.Base.Int64() != complete.Number || len(entries) != 0 {
		t.Fatalf("first delta %+v", first)
	}
	w.run(p)
	w.change(held, ca.RemoveFromCRL, 0)
	fresh := w.revoked()
	w.run(p)
	w.advance(set.OnRevocation)
	w.run(p)
	second, _, entries := w.stored("g1-delta")
	if second.Base != complete.Number || second.Number <= first.Number || len(entries) != 2 || entries[held] != ca.RemoveFromCRL || entries[fresh] != ca.Superseded {
		t.Errorf("second delta %+v: %v", second, entries)
	}
	if now, _, _ := w.stored("g1"); now.Number != complete.Number {
		t.Error("a complete list was made where a delta does")
	}
	w.advance(set.Interval)
	w.run(p)
	next, _, entries := w.stored("g1")
	if next.Number <= second.Number || len(entries) != 1 || entries[fresh] == 0 {
		t.Errorf("next base %+v: %v", next, entries)
	}
	if last, _, entries := w.stored("g1-delta"); last.Base != next.Number || len(entries) != 0 {
		t.Errorf("its delta %+v: %v", last, entries)
	}
}

// TestShards: a shard lists the certificates that name it and no others, under
// every address that they may name.
func TestShards(t *testing.T) {
	w := newWorld(t)
	set := hourly
	set.Shards = 3
	plain, second := w.revoked(), w.issued(w.now().AddDate(1, 0, 0))
	w.change(second, ca.Superseded, 2)
	w.ensured(w.replica(w.store, set))
	check := func(name string, points []string, want ...ca.Serial) {
		t.Helper()
		_, list, entries := w.stored(name)
		if !slices.Equal(list.Points, points) || len(entries) != len(want) {
			t.Errorf("%s: points %q, want %q; %d entries", name, list.Points, points, len(entries))
		}
		for _, serial := range want {
			if _, ok := entries[serial]; !ok {
				t.Errorf("%s does not have %s", name, serial)
			}
		}
	}
	check("g1", nil, plain, second)
	check("g1-s1", []string{base + "/crl/default/issuing/g1-s1.crl"})
	check("g1-s2", []string{base + "/crl/default/issuing/g1-s2.crl"}, second)
	check("g1-s3", []string{base + "/crl/default/issuing/g1-s3.crl"})
	// Fewer shards and another base URL: what certificates name goes on.
	set.Shards = 0
	moved := w.replica(w.store, set)
	moved.BaseURL = "http://new.example"
	w.advance(time.Hour)
	w.ensured(moved)
	w.run(moved)
	check("g1-s2", []string{"http://new.example/crl/default/issuing/g1-s2.crl", base + "/crl/default/issuing/g1-s2.crl"}, second)
	check("g1", nil, plain, second)
}

// TestGenerations: after a rollover the old generation's list goes on until its
// certificate ends.
func TestGenerations(t *testing.T) {
	w := newWorld(t)
	old := newIssuer(t, 1, w.now().Add(48*time.Hour))
	next := newIssuer(t, 2, w.now().AddDate(10, 0, 0))
	p := w.ensured(w.replica(w.store, hourly, old, next))
	serial := w.revoked()
	w.run(p)
	w.advance(hourly.OnRevocation)
	w.run(p)
	for name, issuer := range map[string]*testIssuer{"g1": old, "g2": next} {
		_, list, entries := w.stored(name)
		if err := list.CheckSignatureFrom(issuer.facts.Key); err != nil || len(entries) != 1 || entries[serial] == 0 {
			t.Errorf("%s: %v, %v", name, entries, err)
		}
	}
	if l := p.Shelf.Find("default", "issuing", "crl"); l == nil || l.Scope != "g2" {
		t.Errorf("the current list is %v", l)
	}
	last, _, _ := w.stored("g1")
	w.advance(72 * time.Hour)
	w.run(p)
	if now, _, _ := w.stored("g1"); now.Number != last.Number {
		t.Error("a list was made for a generation that has ended")
	}
	if now, _, _ := w.stored("g2"); now.Number <= last.Number {
		t.Error("the new generation's list did not go on")
	}
}

// TestNumbersAfterRestore: a store from a backup knows older numbers; the next
// one is past every number that was published since.
func TestNumbersAfterRestore(t *testing.T) {
	w := newWorld(t)
	w.ensured(w.replica(w.store, hourly))
	backup, _, _ := w.stored("g1")
	restored := newWorld(t)
	restored.issuer = w.issuer
	if err := restored.store.PublishCRL(t.Context(), nil, backup, ca.Audit{Tenant: "default", Event: "crl.published"}); err != nil {
		t.Fatal(err)
	}
	p := w.replica(w.store, hourly)
	for range 5 {
		w.advance(2 * time.Second)
		if _, err := p.Publish(t.Context(), "default", "issuing", "test"); err != nil {
			t.Fatal(err)
		}
	}
	lost, _, _ := w.stored("g1")
	restored.clock.at = w.now().Add(time.Minute)
	if _, err := restored.replica(restored.store, hourly).Publish(t.Context(), "default", "issuing", "test"); err != nil {
		t.Fatal(err)
	}
	if now, _, _ := restored.stored("g1"); now.Number <= lost.Number {
		t.Errorf("number %d after %d was published", now.Number, lost.Number)
	}
}

func TestShelfKeepsNewest(t *testing.T) {
	w := newWorld(t)
	p := w.ensured(w.replica(w.store, hourly))
	old, _, _ := w.stored("g1")
	w.advance(time.Second)
	if _, err := p.Publish(t.Context(), "default", "issuing", "test"); err != nil {
		t.Fatal(err)
	}
	shelf := NewShelf(w.store, map[string]Settings{"default/issuing": hourly}, slog.New(slog.DiscardHandler))
	if err := shelf.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	newest := shelf.Find("default", "issuing", "g1")
	shelf.put(old)
	if got := shelf.Find("default", "issuing", "g1"); got != newest || got.Number <= old.Number || got.ETag == "" || !got.Fresh.Equal(got.ThisUpdate.Add(time.Hour)) {
		t.Errorf("the shelf has %+v", got)
	}
	for _, name := range []string{"g2", "g1-delta", "g1-s1", ""} {
		if shelf.Find("default", "issuing", name) != nil || shelf.Find("other", "issuing", "g1") != nil {
			t.Errorf("there is a list %q", name)
		}
	}
}

// failing is an issuer whose key does not answer.
type failing struct{ *testIssuer }

func (failing) Sign(context.Context, ca.Lane, []byte) ([]byte, error) {
	return nil, ca.Errorf(ca.Unavailable, "no key")
}

// TestKeyAway: without a list the start fails; with one that is good, but late,
// it does not, and the publisher tries again.
func TestKeyAway(t *testing.T) {
	w := newWorld(t)
	away := w.replica(w.store, hourly, failing{w.issuer})
	if err := away.Ensure(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("without a list: %v", err)
	}
	w.ensured(w.replica(w.store, hourly))
	first, _, _ := w.stored("g1")
	w.advance(hourly.Lifetime - hourly.Overlap/2)
	if err := away.Ensure(t.Context()); err != nil {
		t.Errorf("with a late list: %v", err)
	}
	l, err := w.store.Acquire(t.Context(), "crl", "one", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := away.Run(t.Context(), l); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("the job: %v", err)
	}
	if err := away.Run(t.Context(), l); err != nil {
		t.Errorf("at once again: %v", err)
	}
	w.run(w.replica(w.store, hourly))
	if now, _, _ := w.stored("g1"); now.Number <= first.Number {
		t.Error("the late list was not replaced")
	}
	w.advance(30 * 24 * time.Hour)
	if err := away.Ensure(t.Context()); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("with a list that ended: %v", err)
	}
}

// TestNextGeneration: a generation that comes later has its list when that is
// asked for, which is before the publisher knows it, and keeps it from then on.
func TestNextGeneration(t *testing.T) {
	w := newWorld(t)
	issuers := []ca.Issuer{w.issuer}
	p := w.replica(w.store, hourly)
	p.Issuers = func() []ca.Issuer { return issuers }
	w.ensured(p)
	next := newIssuer(t, 2, w.now().AddDate(10, 0, 0))
	for range 2 {
		if err := p.EnsureOf(t.Context(), next); err != nil {
			t.Fatal(err)
		}
	}
	first, list, _ := w.stored("g2")
	if err := list.CheckSignatureFrom(next.facts.Key); err != nil || p.Shelf.Find("default", "issuing", "g2") == nil {
		t.Errorf("the next generation's list: %v", err)
	}
	issuers = append(issuers, next)
	w.advance(hourly.Interval)
	w.run(p)
	if now, list, _ := w.stored("g2"); now.Number <= first.Number || list.CheckSignatureFrom(next.facts.Key) != nil {
		t.Error("the next generation's list is not kept fresh by its own key")
	}
	if _, list, _ := w.stored("g1"); list.CheckSignatureFrom(w.issuer.facts.Key) != nil {
		t.Error("the list of the generation before is another key's")
	}
}

// TestLostLease: what a publisher makes without its lease is not taken.
func TestLostLease(t *testing.T) {
	w := newWorld(t)
	p := w.ensured(w.replica(w.store, hourly))
	l, err := w.store.Acquire(t.Context(), "crl", "one", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := w.stored("g1")
	w.advance(2 * hourly.Interval)
	if err := p.Run(t.Context(), l); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("with a lease that ran out: %v", err)
	}
	if now, _, _ := w.stored("g1"); now.Number != first.Number {
		t.Error("the list was published")
	}
}

// many gives the statuses of n revoked certificates.
type many struct {
	Store
	n     int
	until time.Time
}

func (m many) StatusPage(_ context.Context, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
	from := 0
	if after.Month() == ca.MonthOf(m.until) {
		from = int(binary.BigEndian.Uint64(after[8:]))
	}
	page := make([]ca.Status, 0, limit)
	for i := from + 1; i <= min(from+limit, m.n); i++ {
		st := ca.Status{Tenant: tenant, CA: issuer, Serial: ca.Serial{}.Until(m.until), State: ca.Revoked, Reason: ca.Reason(i % 2 * 4), At: m.until}
		binary.BigEndian.PutUint64(st.Serial[8:], uint64(i))
		page = append(page, st)
	}
	return page, nil
}

// BenchmarkPublish makes, signs, checks and records lists.
func BenchmarkPublish(b *testing.B) {
	for name, n := range map[string]int{"100k": 100_000, "1M": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			p := w.ensured(w.replica(many{w.store, n, w.now().AddDate(1, 0, 0)}, hourly))
			b.ReportAllocs()
			for b.Loop() {
				w.advance(time.Second)
				if _, err := p.Publish(b.Context(), "default", "issuing", "test"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// restored is a store whose numbers stand beyond its lists, as after a restore.
type restored struct {
	Store
	least int64
}

func (r restored) CRLHeads(ctx context.Context) ([]ca.CRLHead, error) {
	heads, err := r.Store.CRLHeads(ctx)
	for i := range heads {
		heads[i].Number = max(heads[i].Number, r.least)
	}
	return heads, err
}

// TestPastTheGap: a restored store publishes at once, past every number that the
// lost one may have used, and goes on from there.
func TestPastTheGap(t *testing.T) {
	w := newWorld(t)
	w.ensured(w.replica(w.store, hourly))
	before, _, _ := w.stored("g1")
	least := w.now().Add(30 * time.Hour).Unix()
	p := w.ensured(w.replica(restored{w.store, least}, hourly))
	after, _, _ := w.stored("g1")
	if after.Number != least+1 || after.Number <= before.Number {
		t.Errorf("number %d after %d, want %d", after.Number, before.Number, least+1)
	}
	w.run(p)
	if again, _, _ := w.stored("g1"); again.Number != after.Number {
		t.Error("the gap is past, and another list was published")
	}
	w.revoked()
	w.run(p)
	w.advance(hourly.OnRevocation)
	w.run(p)
	if next, _, entries := w.stored("g1"); next.Number != after.Number+1 || len(entries) != 1 {
		t.Errorf("the next list has number %d and %d entries", next.Number, len(entries))
	}
}

package crl

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// reads notes which statuses a publisher reads.
type reads struct {
	Store
	serials []ca.Serial
}

func (r *reads) StatusPage(ctx context.Context, tenant, issuer string, after ca.Serial, limit int) ([]ca.Status, error) {
	page, err := r.Store.StatusPage(ctx, tenant, issuer, after, limit)
	for _, st := range page {
		r.serials = append(r.serials, st.Serial)
	}
	return page, err
}

// TestExpiredAreNotRead: what left the lists is not read again for the next one,
// in whatever shard it was, but for what changed since.
func TestExpiredAreNotRead(t *testing.T) {
	w := newWorld(t)
	set := hourly
	set.Shards = 2
	r := &reads{Store: w.store}
	p := w.ensured(w.replica(r, set))
	march := func(shard int) ca.Serial {
		serial := w.issued(time.Date(2026, 3, 20, 0, 0, 0, 0, time.UTC))
		w.change(serial, ca.KeyCompromise, shard)
		return serial
	}
	publish := func(what string, want ...ca.Serial) {
		t.Helper()
		r.serials = nil
		if _, err := p.Publish(t.Context(), "default", "issuing", "test"); err != nil {
			t.Fatal(err)
		}
		order := func(a, b ca.Serial) int { return slices.Compare(a[:], b[:]) }
		slices.SortFunc(want, order)
		if !slices.Equal(r.serials, want) {
			t.Errorf("%s: %d statuses were read, want %d: %v", what, len(r.serials), len(want), r.serials)
		}
	}
	first, second, later := march(1), march(2), w.issued(w.now().AddDate(1, 0, 0))
	w.change(later, ca.Superseded, 1)
	publish("before they expire", first, second, later)
	w.advance(time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC).Sub(w.now()))
	publish("the first time after", first, second, later)
	if _, _, entries := w.stored("g1-s2"); len(entries) != 1 {
		t.Errorf("the shard has %v", entries)
	}
	w.advance(2 * time.Hour)
	publish("afterwards", later)
	w.advance(2 * time.Hour)
	third := march(2) // revoked when it had expired
	publish("with a change of an expired one", slices.DeleteFunc([]ca.Serial{first, second, third, later}, func(s ca.Serial) bool {
		return slices.Compare(s[:], third[:]) < 0
	})...)
	for _, name := range []string{"g1", "g1-s2"} {
		if _, _, entries := w.stored(name); entries[third] != ca.KeyCompromise {
			t.Errorf("%s does not have a certificate that was revoked when it had expired: %v", name, entries)
		}
	}
	w.advance(2 * time.Hour)
	publish("after that", later)
	set.Shards = 3 // has no list yet
	p = w.replica(r, set)
	if err := p.Shelf.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish("for a shard's first list", first, second, third, later)
	set.KeepExpired = true
	p = w.replica(r, set)
	if err := p.Shelf.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish("where they stay", first, second, third, later)
}

func TestBefore(t *testing.T) {
	serial := ca.Serial{}.Until(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	one := before(serial)
	if one.Month() != serial.Month()-1 || one[2] != 0xff || one[15] != 0xff || before(ca.Serial{15: 1}) != (ca.Serial{}) || before(ca.Serial{}) != (ca.Serial{}) {
		t.Errorf("before %s: %s", serial, one)
	}
}

// TestExpiredStay: with the setting a certificate is listed for ever, one that
// left before comes back, and the list says how far it goes back.
func TestExpiredStay(t *testing.T) {
	w := newWorld(t)
	w.issuer.facts.NotBefore = w.now().AddDate(-1, 0, 0)
	serial := w.issued(w.now().Add(time.Hour))
	w.change(serial, ca.Superseded, 0)
	p := w.ensured(w.replica(w.store, hourly))
	for range 3 {
		w.advance(40 * 24 * time.Hour)
		w.run(p)
	}
	_, list, entries := w.stored("g1")
	if _, says := pkix.FindExtension(list.Extensions, pkix.OIDExpiredCertsOnCRL); len(entries) != 0 || says {
		t.Fatalf("by default: %v, %v", entries, says)
	}
	kept := hourly
	kept.KeepExpired, kept.DeltaInterval = true, 15*time.Minute
	p = w.replica(w.store, kept)
	for range 3 {
		w.advance(40 * 24 * time.Hour)
		w.run(p)
	}
	want, err := pkix.MarshalExpiredCertsOnCRL(w.issuer.facts.NotBefore)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"g1", "g1-delta"} {
		_, list, entries := w.stored(name)
		says, ok := pkix.FindExtension(list.Extensions, pkix.OIDExpiredCertsOnCRL)
		if !ok || says.Critical || string(says.Value) != string(want.Value) {
			t.Errorf("%s says %v", name, says)
		}
		if name == "g1" && entries[serial] != ca.Superseded {
			t.Errorf("the expired certificate is not on it: %v", entries)
		}
	}
}

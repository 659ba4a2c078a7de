package crl

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

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

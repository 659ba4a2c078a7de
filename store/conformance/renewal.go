package conformance

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

// orderAsked: what an order asks for is kept with it.
func orderAsked(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	o, az := k.newOrder(a, "a.example")
	o.Profile, o.Replaces = "short", "AAAA.BBBB"
	k.must("create", k.ACME.CreateOrder(t.Context(), o, az, k.nonce()))
	if diff := cmp.Diff(o, k.readOrder(o)); diff != "" {
		t.Errorf("order:\n%s", diff)
	}
	k.validate(az)
	id := ca.RandomID(16)
	e := k.entry(Tenant, k.ACME.FinishOrder(Tenant, Endpoint, o.ID, id, a.Thumbprint))
	k.record(e)
	got, err := k.ACME.OrderByCertificate(t.Context(), Tenant, Endpoint, id)
	if err != nil || got.Profile != "short" || got.Replaces != "AAAA.BBBB" {
		t.Errorf("order by certificate: %+v, %v", got, err)
	}
}

// replace: one order replaces a certificate, in the commit of its own.
func replace(t T, open func() *Driver) {
	k := start(t, open)
	old := ca.NewSerial(k.now())
	until := k.now().Add(time.Hour)
	_, err := k.ACME.Replaced(t.Context(), Tenant, caID, old)
	k.kind("before", err, ca.NotFound)
	first := k.entry(Tenant, k.ACME.Strike(Tenant, k.nonce()), k.ACME.Replace(Tenant, caID, old, "order-1", until))
	k.record(first)
	n := k.nonce()
	second := k.entry(Tenant, k.ACME.Strike(Tenant, n), k.ACME.Replace(Tenant, caID, old, "order-2", until))
	_, err = k.Store.Record(t.Context(), second)
	k.lost(err, 0, 1)
	k.absent(second)
	k.record(k.entry(Tenant, k.ACME.Strike(Tenant, n))) // the nonce was not struck
	if got, err := k.ACME.Replaced(t.Context(), Tenant, caID, old); err != nil || got != "order-1" {
		t.Errorf("replaced by %q, %v", got, err)
	}
	for _, p := range [][2]string{{OtherTenant, caID}, {Tenant, "other"}} {
		_, err := k.ACME.Replaced(t.Context(), p[0], p[1], old)
		k.kind("elsewhere", err, ca.NotFound)
	}
	k.record(k.entry(OtherTenant, k.ACME.Replace(OtherTenant, caID, old, "order-3", until)))
	k.record(k.entry(Tenant, k.ACME.Replace(Tenant, "other", old, "order-4", until)))
	_, err = k.Store.Record(t.Context(), k.entry(OtherTenant, k.ACME.Replace(Tenant, caID, ca.NewSerial(k.now()), "order-5", until)))
	k.kind("another tenant's effect", err, ca.Internal)
}

// replaceRace: of many orders that replace a certificate at once one does.
func replaceRace(t T, open func() *Driver) {
	k := start(t, open)
	old := ca.NewSerial(k.now())
	k.race(12, func() *ca.Entry {
		return k.entry(Tenant, k.ACME.Replace(Tenant, caID, old, ca.RandomID(16), k.now().Add(time.Hour)))
	})
}

// upkeepRenewals: windows are set and set anew, one tenant's alone, with an audit
// row each time; they and what was replaced go with the certificates.
func upkeepRenewals(t T, open func() *Driver) {
	k := start(t, open)
	s := k.upkeep()
	base := k.now().UTC().Truncate(time.Second)
	var windows []ca.RenewalWindow
	for i := range 4 {
		windows = append(windows, ca.RenewalWindow{Tenant: upkeepTenant, CA: caID, Serial: ca.NewSerial(base), Start: base.Add(time.Minute), End: base.Add(time.Hour),
			Explanation: "https://why.example/", Expires: base.Add(time.Duration(i+1) * time.Hour)})
	}
	set := func(all ...ca.RenewalWindow) {
		k.Helper()
		k.must("set windows", s.SetRenewalWindows(t.Context(), upkeepTenant, all, ca.Audit{Tenant: upkeepTenant, Event: "renewal.asked", Actor: "operator:test", Trace: "T", Detail: []byte("{}"), At: base}))
	}
	same := func(want ca.RenewalWindow) {
		k.Helper()
		got, err := s.RenewalWindow(t.Context(), want.Tenant, want.CA, want.Serial)
		if diff := cmp.Diff(&want, got); err != nil || diff != "" {
			k.Errorf("window: %v\n%s", err, diff)
		}
	}
	set(windows...)
	for _, w := range windows {
		same(w)
	}
	changed := windows[3]
	changed.Start, changed.End, changed.Explanation = base.Add(2*time.Minute), base.Add(3*time.Minute), ""
	set(changed)
	same(changed)
	for _, p := range [][2]string{{upkeepOther, caID}, {upkeepTenant, "other"}} {
		_, err := s.RenewalWindow(t.Context(), p[0], p[1], changed.Serial)
		k.kind("a window elsewhere", err, ca.NotFound)
	}
	k.record(k.entry(upkeepTenant, k.ACME.Replace(upkeepTenant, caID, windows[0].Serial, "order", windows[0].Expires)))
	l := k.acquire("sweep", "one")
	k.changes("certificates that live", 0)(s.SweepRenewals(t.Context(), l, 10))
	k.Advance(2*time.Hour + time.Second)
	l = k.acquire("sweep", "one")
	k.changes("one of each", 2)(s.SweepRenewals(t.Context(), l, 1))
	k.changes("the other window", 1)(s.SweepRenewals(t.Context(), l, 10))
	k.changes("nothing left", 0)(s.SweepRenewals(t.Context(), l, 10))
	same(changed)
	_, err := s.RenewalWindow(t.Context(), upkeepTenant, caID, windows[0].Serial)
	k.kind("a swept window", err, ca.NotFound)
	_, err = k.ACME.Replaced(t.Context(), upkeepTenant, caID, windows[0].Serial)
	k.kind("a swept replacement", err, ca.NotFound)
	_, err = s.SweepRenewals(t.Context(), l, 0)
	k.kind("a step without bound", err, ca.Internal)
}

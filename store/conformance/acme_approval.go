package conformance

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// parkedOrder: an order that is ready waits, and ends one way or the other.
func parkedOrder(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	until := k.now().Add(14 * 24 * time.Hour).Truncate(time.Microsecond)
	waiting := func(o *state.Order, until time.Time) {
		k.park(k.parking(Tenant, newKey(), k.ACME.ParkOrder(Tenant, Endpoint, o.ID, a.Thumbprint, until)))
	}
	early, _ := k.order(a, "early.example")
	_, err := k.Store.Park(t.Context(), k.parking(Tenant, newKey(), k.ACME.ParkOrder(Tenant, Endpoint, early.ID, a.Thumbprint, until)))
	k.lost(err, 0, 0)
	done, az := k.order(a, "done.example")
	k.validate(az)
	unparked := k.entry(Tenant, k.ACME.FinishParkedOrder(Tenant, Endpoint, done.ID, "x"))
	_, err = k.Store.Record(t.Context(), unparked)
	k.lost(err, 0, 0)
	_, err = k.Store.Park(t.Context(), k.parking(Tenant, newKey(), k.ACME.ParkOrder(Tenant, Endpoint, done.ID, [32]byte{1}, until)))
	k.lost(err, 0, 0)
	waiting(done, until)
	refused, az := k.order(a, "refused.example")
	k.validate(az)
	waiting(refused, k.now())
	if got := k.readOrder(done); got.Status != state.Processing || !got.Expires.Equal(until) {
		t.Errorf("a parked order is %s until %s", got.Status, got.Expires)
	}
	if got := k.readOrder(refused); !got.Expires.Equal(refused.Expires) {
		t.Errorf("a parked order ends sooner, at %s", got.Expires)
	}
	k.Advance(8 * 24 * time.Hour) // its authorizations have expired
	k.record(k.entry(Tenant, k.ACME.FinishParkedOrder(Tenant, Endpoint, done.ID, "certificate-of-done")))
	if got := k.readOrder(done); got.Status != state.Valid || got.Certificate != "certificate-of-done" {
		t.Errorf("a finished order is %s, %q", got.Status, got.Certificate)
	}
	k.record(k.entry(Tenant, k.ACME.RejectOrder(Tenant, Endpoint, refused.ID, []byte(`{"type":"x"}`))))
	if got := k.readOrder(refused); got.Status != state.Invalid || string(got.Error) != `{"type":"x"}` {
		t.Errorf("a refused order is %s, %s", got.Status, got.Error)
	}
	_, err = k.Store.Record(t.Context(), k.entry(Tenant, k.ACME.RejectOrder(Tenant, Endpoint, done.ID, []byte("{}"))))
	k.lost(err, 0, 0)
	theirs, az := k.order(a, "theirs.example")
	k.validate(az)
	elsewhere := func(effect func(tenant, endpoint string) ca.Effect) {
		k.Helper()
		for _, p := range [][2]string{{OtherTenant, Endpoint}, {Tenant, "elsewhere"}} {
			_, err := k.Store.Record(t.Context(), k.entry(p[0], effect(p[0], p[1])))
			k.lost(err, 0, 0)
		}
	}
	elsewhere(func(tenant, endpoint string) ca.Effect {
		return k.ACME.ParkOrder(tenant, endpoint, theirs.ID, a.Thumbprint, until)
	})
	waiting(theirs, until)
	elsewhere(func(tenant, endpoint string) ca.Effect {
		return k.ACME.FinishParkedOrder(tenant, endpoint, theirs.ID, "x")
	})
	elsewhere(func(tenant, endpoint string) ca.Effect {
		return k.ACME.RejectOrder(tenant, endpoint, theirs.ID, []byte("{}"))
	})
}

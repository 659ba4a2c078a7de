package conformance

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// pendingTransaction: of the requests of a transaction the newest is found, whatever
// became of it, at its own endpoint.
func pendingTransaction(k *kit) {
	find := func(endpoint, transaction string) (*ca.PendingRequest, error) {
		return k.Store.PendingTransaction(k.Context(), Tenant, endpoint, transaction)
	}
	add := func(endpoint, transaction string) *ca.Parking {
		p := k.parking(Tenant, newKey())
		p.Request.Endpoint, p.Request.Transaction = endpoint, transaction
		k.park(p)
		k.Advance(time.Second)
		return p
	}
	found := func(what, endpoint, transaction string, want *ca.Parking) {
		k.Helper()
		got, err := find(endpoint, transaction)
		if err != nil || got.ID != want.Request.ID || got.Endpoint != endpoint || got.Transaction != transaction ||
			got.KeyHash != want.Request.KeyHash || string(got.Sealed) != string(want.Request.Sealed) {
			k.Errorf("%s: %+v, %v; want %s", what, got, err, want.Request.ID)
		}
	}
	first := add("scep", "T1")
	found("the only one", "scep", "T1", first)
	newest := add("scep", "T1")
	elsewhere := add("other", "T1")
	add("scep", "T2")
	add("scep", "")
	found("the newest", "scep", "T1", newest)
	found("of another endpoint", "other", "T1", elsewhere)
	k.settle(settlement(newest, ca.AwaitsApproval, ca.PendingDenied))
	found("the newest, denied", "scep", "T1", newest)
	for what, id := range map[string]string{"an unknown transaction": "T3", "no transaction": "", "part of one": "T", "another case": "t1"} {
		_, err := find("scep", id)
		k.kind(what, err, ca.NotFound)
	}
	_, err := find("nowhere", "T1")
	k.kind("an unknown endpoint", err, ca.NotFound)
}

func swapPendingTransaction(k *kit, _ *ca.Entry) {
	p := k.parking(Tenant, newKey())
	k.park(p)
	_, err := k.Store.PendingTransaction(k.Context(), OtherTenant, p.Request.Endpoint, p.Request.Transaction)
	k.kind("another tenant's transaction", err, ca.NotFound)
}

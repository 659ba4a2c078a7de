package conformance

import (
	"reflect"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// place is a tenant and an endpoint.
type place struct{ tenant, endpoint string }

// isolated tries each method of state.Store at a place that does not own the
// objects; it returns the error that must say not found (or conflict).
var isolated = map[string]func(k *kit, p place, a *state.Account, o *state.Order, az *state.Authorization) error{
	"Account": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		_, err := k.ACME.Account(k.Context(), p.tenant, p.endpoint, a.ID)
		return err
	},
	"AccountByKey": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		_, err := k.ACME.AccountByKey(k.Context(), p.tenant, p.endpoint, a.Thumbprint)
		return err
	},
	"UpdateAccount": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		moved := *a
		moved.Tenant, moved.Endpoint, moved.Status = p.tenant, p.endpoint, state.Deactivated
		return k.ACME.UpdateAccount(k.Context(), &moved, k.nonce())
	},
	"Order": func(k *kit, p place, _ *state.Account, o *state.Order, _ *state.Authorization) error {
		_, _, err := k.ACME.Order(k.Context(), p.tenant, p.endpoint, o.ID)
		return err
	},
	"OrderByCertificate": func(k *kit, p place, _ *state.Account, o *state.Order, _ *state.Authorization) error {
		_, err := k.ACME.OrderByCertificate(k.Context(), p.tenant, p.endpoint, o.Certificate)
		return err
	},
	"Authorization": func(k *kit, p place, _ *state.Account, _ *state.Order, az *state.Authorization) error {
		_, err := k.ACME.Authorization(k.Context(), p.tenant, p.endpoint, az.ID)
		return err
	},
	"ChangeChallenge": func(k *kit, p place, _ *state.Account, _ *state.Order, az *state.Authorization) error {
		before, after := *az, begun(az, k.now())
		before.Tenant, before.Endpoint = p.tenant, p.endpoint
		after.Tenant, after.Endpoint = p.tenant, p.endpoint
		return k.ACME.ChangeChallenge(k.Context(), &before, after, k.nonce())
	},
	"EndChallenge": func(k *kit, p place, _ *state.Account, _ *state.Order, az *state.Authorization) error {
		after := ended(az, k.now(), state.Valid)
		after.Tenant, after.Endpoint = p.tenant, p.endpoint
		return k.ACME.EndChallenge(k.Context(), after)
	},
	"DeactivateAuthorization": func(k *kit, p place, _ *state.Account, _ *state.Order, az *state.Authorization) error {
		return k.ACME.DeactivateAuthorization(k.Context(), p.tenant, p.endpoint, az.ID, k.nonce())
	},
	"ChangeKey": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		moved := rekeyed(a)
		moved.Tenant, moved.Endpoint = p.tenant, p.endpoint
		return k.ACME.ChangeKey(k.Context(), moved, a.Thumbprint, k.nonce())
	},
	"CreateAuthorization": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		moved := k.newPreauthorization(a, "x.example")
		moved.Tenant, moved.Endpoint = p.tenant, p.endpoint
		return k.ACME.CreateAuthorization(k.Context(), moved, k.nonce())
	},
	"Orders": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		ids, err := k.ACME.Orders(k.Context(), p.tenant, p.endpoint, a.ID, "", 10)
		return none(len(ids), err)
	},
	"Preauthorizations": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		all, err := k.ACME.Preauthorizations(k.Context(), p.tenant, p.endpoint, a.ID)
		return none(len(all), err)
	},
	"HeldAuthorizations": func(k *kit, p place, a *state.Account, _ *state.Order, _ *state.Authorization) error {
		all, err := k.ACME.HeldAuthorizations(k.Context(), p.tenant, p.endpoint, a.ID)
		return none(len(all), err)
	},
	"FinishOrder": nil,                                               // finishElsewhere
	"ParkOrder":   nil, "FinishParkedOrder": nil, "RejectOrder": nil, // parkedOrder
	"Strike":  nil,                  // strikeEffect: the same nonce in another tenant
	"Replace": nil, "Replaced": nil, // replace: the same serial in another tenant and CA
	// These make objects of their own; that ids and keys are taken for one place only is in their own cases.
	"CreateAccount": nil, "CreateOrder": nil,
}

// none makes the error that an empty list stands for.
func none(n int, err error) error {
	if err == nil && n == 0 {
		return ca.Errorf(ca.NotFound, "an empty list")
	}
	return err
}

// acmeIsolation: nothing of one tenant or endpoint is found or changed through another.
func acmeIsolation(t T, open func() *Driver) {
	of := reflect.TypeFor[state.Store]()
	for i := range of.NumMethod() {
		if _, ok := isolated[of.Method(i).Name]; !ok {
			t.Errorf("method %s is not classified: try it at another tenant and endpoint", of.Method(i).Name)
		}
	}
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	o, az := k.order(a, "a.example", "b.example")
	finished, _ := k.finishedOrder(a)
	alone := k.newPreauthorization(a, "alone.example")
	k.must("create", k.ACME.CreateAuthorization(t.Context(), alone, k.nonce()))
	k.validate([]*state.Authorization{alone})
	for _, p := range []place{{OtherTenant, Endpoint}, {Tenant, OtherEndpoint}, {OtherTenant, OtherEndpoint}} {
		for name, try := range isolated {
			if try == nil {
				continue
			}
			order := o
			if name == "OrderByCertificate" {
				order = finished
			}
			if err := try(k, p, a, order, az[0]); !ca.IsKind(err, ca.NotFound) && !ca.IsKind(err, ca.Conflict) {
				t.Errorf("%s at %v: got %v, want not found", name, p, err)
			}
		}
		finishElsewhere(k, p, o)
	}
	k.sameAuthorization(az[0])
	got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID)
	if err != nil || got.Status != state.Valid || got.Thumbprint != a.Thumbprint {
		t.Errorf("the account was changed from elsewhere: %v, %v", got, err)
	}
}

// finishElsewhere: a ready order is not finished through another place.
func finishElsewhere(k *kit, p place, _ *state.Order) {
	a := k.account(Tenant, Endpoint)
	o, az := k.order(a, "ready.example")
	k.validate(az)
	e := k.entryUntil(p.tenant, time.Now().AddDate(0, 1, 0), k.ACME.FinishOrder(p.tenant, p.endpoint, o.ID, ca.RandomID(16), a.Thumbprint))
	_, err := k.Store.Record(k.Context(), e)
	k.lost(err, 0, 0)
	if got := k.readOrder(o); got.Status != state.Pending {
		k.Errorf("an order was finished through %v", p)
	}
}

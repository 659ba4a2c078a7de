package conformance

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// Endpoints of the ACME suite.
const (
	Endpoint      = "acme/default/issuing/tls"
	OtherEndpoint = "acme/default/issuing/other"
)

var accountCases = []Case{
	{"Account", account},
	{"AccountUniqueKey", accountUniqueKey},
	{"AccountUpdate", accountUpdate},
	{"AccountRace", accountRace},
	{"Nonce", nonceOnce},
	{"StrikeEffect", strikeEffect},
	{"ACMEIsolation", acmeIsolation},
}

func (k *kit) nonce() state.Nonce {
	return state.Nonce{ID: [16]byte(randomBytes(16)), Expires: k.now().Add(time.Hour)}
}

func (k *kit) newAccount(tenant, endpoint string) *state.Account {
	return &state.Account{Tenant: tenant, Endpoint: endpoint, ID: ca.RandomID(16), Status: state.Valid,
		Key: []byte(`{"crv":"P-256"}`), Thumbprint: random32(), Contact: []string{"mailto:a@example.org", "mailto:b@example.org"},
		TermsAgreed: true, CreatedAt: k.now().UTC().Truncate(time.Microsecond)}
}

// account creates an account.
func (k *kit) account(tenant, endpoint string) *state.Account {
	k.Helper()
	a := k.newAccount(tenant, endpoint)
	k.must("create an account", k.ACME.CreateAccount(k.Context(), a, k.nonce()))
	return a
}

func (k *kit) must(what string, err error) {
	k.Helper()
	if err != nil {
		k.Fatalf("%s: %v", what, err)
	}
}

// struck fails unless err says that the nonce was used before.
func (k *kit) struck(what string, err error) {
	k.Helper()
	if !errors.Is(err, state.ErrNonce) {
		k.Errorf("%s: got %v, want %v", what, err, state.ErrNonce)
	}
}

func account(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	byID, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID)
	k.must("account", err)
	byKey, err := k.ACME.AccountByKey(t.Context(), Tenant, Endpoint, a.Thumbprint)
	k.must("account by key", err)
	for _, got := range []*state.Account{byID, byKey} {
		if diff := cmp.Diff(a, got); diff != "" {
			t.Errorf("account:\n%s", diff)
		}
	}
	bare := k.newAccount(Tenant, Endpoint)
	bare.Contact, bare.TermsAgreed = nil, false
	k.must("create", k.ACME.CreateAccount(t.Context(), bare, k.nonce()))
	got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, bare.ID)
	k.must("account", err)
	if diff := cmp.Diff(bare, got); diff != "" {
		t.Errorf("account without contacts:\n%s", diff)
	}
	_, err = k.ACME.Account(t.Context(), Tenant, Endpoint, "unknown")
	k.kind("an unknown account", err, ca.NotFound)
	_, err = k.ACME.AccountByKey(t.Context(), Tenant, Endpoint, random32())
	k.kind("an unknown key", err, ca.NotFound)
}

func accountUniqueKey(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	again := k.newAccount(Tenant, Endpoint)
	again.Thumbprint = a.Thumbprint
	k.kind("a key that has an account", k.ACME.CreateAccount(t.Context(), again, k.nonce()), ca.Conflict)
	_, err := k.ACME.Account(t.Context(), Tenant, Endpoint, again.ID)
	k.kind("the refused account", err, ca.NotFound)
	for _, at := range [][2]string{{Tenant, OtherEndpoint}, {OtherTenant, Endpoint}} {
		other := k.newAccount(at[0], at[1])
		other.Thumbprint = a.Thumbprint
		k.must("the same key elsewhere", k.ACME.CreateAccount(t.Context(), other, k.nonce()))
	}
	got, err := k.ACME.AccountByKey(t.Context(), Tenant, Endpoint, a.Thumbprint)
	if err != nil || got.ID != a.ID {
		t.Errorf("account by key: %v, %v", got, err)
	}
}

func accountUpdate(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	update := func(want *ca.Kind) {
		t.Helper()
		err := k.ACME.UpdateAccount(t.Context(), a, k.nonce())
		if want != nil {
			k.kind("update", err, *want)
			return
		}
		k.must("update", err)
		got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID)
		k.must("account", err)
		if diff := cmp.Diff(a, got); diff != "" {
			t.Errorf("account after update:\n%s", diff)
		}
	}
	a.Contact, a.TermsAgreed = []string{"mailto:new@example.org"}, false
	update(nil)
	a.Status = state.Deactivated
	update(nil)
	conflict := ca.Conflict
	a.Status = state.Valid // what ended stays ended (RFC 8555 section 7.1.6)
	update(&conflict)
	got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID)
	if err != nil || got.Status != state.Deactivated {
		t.Errorf("a deactivated account came back: %v, %v", got, err)
	}
}

// accountRace: two first requests with one key make one account.
func accountRace(t T, open func() *Driver) {
	k := start(t, open)
	key := random32()
	results := make([]error, 12)
	accounts := make([]*state.Account, 12)
	k.gathered(12, func(i int) {
		accounts[i] = k.newAccount(Tenant, Endpoint)
		accounts[i].Thumbprint = key
		results[i] = k.ACME.CreateAccount(t.Context(), accounts[i], k.nonce())
	})
	won := 0
	for i, err := range results {
		if err != nil {
			k.kind("a racing account", err, ca.Conflict)
			continue
		}
		won++
		got, err := k.ACME.AccountByKey(t.Context(), Tenant, Endpoint, key)
		if err != nil || got.ID != accounts[i].ID {
			t.Errorf("the key leads to %v, %v", got, err)
		}
	}
	if won != 1 {
		t.Errorf("%d accounts of one key", won)
	}
}

// nonceOnce: a struck nonce makes every method change nothing.
func nonceOnce(t T, open func() *Driver) {
	k := start(t, open)
	used := k.nonce()
	a := k.newAccount(Tenant, Endpoint)
	k.must("create", k.ACME.CreateAccount(t.Context(), a, used))

	second := k.newAccount(Tenant, Endpoint)
	k.struck("CreateAccount", k.ACME.CreateAccount(t.Context(), second, used))
	_, err := k.ACME.Account(t.Context(), Tenant, Endpoint, second.ID)
	k.kind("the refused account", err, ca.NotFound)

	changed := *a
	changed.Contact, changed.Status = nil, state.Deactivated
	k.struck("UpdateAccount", k.ACME.UpdateAccount(t.Context(), &changed, used))
	got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID)
	if diff := cmp.Diff(a, got); err != nil || diff != "" {
		t.Errorf("the account changed: %v\n%s", err, diff)
	}

	o, az := k.newOrder(a, "a.example")
	k.struck("CreateOrder", k.ACME.CreateOrder(t.Context(), o, az, used))
	_, _, err = k.ACME.Order(t.Context(), Tenant, Endpoint, o.ID)
	k.kind("the refused order", err, ca.NotFound)
	_, err = k.ACME.Authorization(t.Context(), Tenant, Endpoint, az[0].ID)
	k.kind("the refused order's authorization", err, ca.NotFound)

	k.must("create an order", k.ACME.CreateOrder(t.Context(), o, az, k.nonce()))
	k.struck("ChangeChallenge", k.ACME.ChangeChallenge(t.Context(), az[0], begun(az[0], k.now()), used))
	k.struck("DeactivateAuthorization", k.ACME.DeactivateAuthorization(t.Context(), Tenant, Endpoint, az[0].ID, used))
	k.sameAuthorization(az[0])

	won := make([]error, 8)
	shared := k.nonce()
	k.gathered(8, func(i int) {
		won[i] = k.ACME.CreateAccount(t.Context(), k.newAccount(Tenant, Endpoint), shared)
	})
	passed := 0
	for _, err := range won {
		if err == nil {
			passed++
		} else {
			k.struck("a shared nonce", err)
		}
	}
	if passed != 1 {
		t.Errorf("one nonce let %d of 8 requests through", passed)
	}
	k.must("the same nonce in another tenant", k.ACME.CreateAccount(t.Context(), k.newAccount(OtherTenant, Endpoint), used))
}

// strikeEffect: the same nonce table stands behind the effect.
func strikeEffect(t T, open func() *Driver) {
	k := start(t, open)
	n := k.nonce()
	k.record(k.entry(Tenant, k.ACME.Strike(Tenant, n)))
	e := k.entry(Tenant, k.ACME.Strike(Tenant, n))
	_, err := k.Store.Record(t.Context(), e)
	k.lost(err, 0, 0)
	k.absent(e)
	k.struck("a nonce struck by an effect", k.ACME.CreateAccount(t.Context(), k.newAccount(Tenant, Endpoint), n))
	cert := k.entry(Tenant)
	k.record(cert)
	r := revocation(cert, ca.Superseded)
	r.Effects = []ca.Effect{k.ACME.Strike(Tenant, n)}
	_, err = k.Store.Revoke(t.Context(), r)
	k.lost(err, 0, 0)
	k.record(k.entry(OtherTenant, k.ACME.Strike(OtherTenant, n)))
}

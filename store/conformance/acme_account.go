package conformance

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// These cases are about accounts beyond their making: what they are bound to,
// their key, their orders and what they proved.
var accountLifeCases = []Case{
	{"AccountBound", accountBound},
	{"AccountBurn", accountBurn},
	{"AccountBurnRace", accountBurnRace},
	{"ChangeKey", changeKey},
	{"ChangeKeyRace", changeKeyRace},
	{"Orders", ordersOfAccount},
	{"Preauthorization", preauthorization},
	{"HeldAuthorizations", heldAuthorizations},
}

func external(id string) *state.External {
	return &state.External{Binding: caller.Binding{Credential: id, Names: []string{"*.a.example"}}, JWS: []byte(`{"payload":"x"}`)}
}

func accountBound(t T, open func() *Driver) {
	k := start(t, open)
	a := k.newAccount(Tenant, Endpoint)
	a.External, a.Agreed = external("kid-1"), "https://pki.example/terms-1"
	k.must("create", k.ACME.CreateAccount(t.Context(), a, k.nonce()))
	same := func(what string) {
		t.Helper()
		got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID)
		k.must("account", err)
		if diff := cmp.Diff(a, got); diff != "" {
			t.Errorf("%s:\n%s", what, diff)
		}
	}
	same("a bound account")
	changed := *a
	changed.Agreed, changed.External = "https://pki.example/terms-2", nil // the binding does not change
	k.must("update", k.ACME.UpdateAccount(t.Context(), &changed, k.nonce()))
	a.Agreed = changed.Agreed
	same("after an update")
}

// accountBurn: account and use are one commit.
func accountBurn(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, 1)
	first := k.account(Tenant, Endpoint)
	taken := k.newAccount(Tenant, Endpoint)
	taken.Thumbprint = first.Thumbprint
	k.kind("a key that has an account", k.ACME.CreateAccount(t.Context(), taken, k.nonce(), k.Store.Burn(Tenant, id)), ca.Conflict)
	used := k.nonce()
	k.must("use a nonce", k.ACME.CreateAccount(t.Context(), k.newAccount(Tenant, Endpoint), used))
	k.struck("a used nonce", k.ACME.CreateAccount(t.Context(), k.newAccount(Tenant, Endpoint), used, k.Store.Burn(Tenant, id)))
	if n := k.usesLeft(Tenant, id); n != 1 {
		t.Errorf("%d uses left of 1, and no account was made", n)
	}
	k.must("create", k.ACME.CreateAccount(t.Context(), k.newAccount(Tenant, Endpoint), k.nonce(), k.Store.Burn(Tenant, id)))
	if n := k.usesLeft(Tenant, id); n != 0 {
		t.Errorf("%d uses left of 1 after one", n)
	}
	late := k.newAccount(Tenant, Endpoint)
	k.lost(k.ACME.CreateAccount(t.Context(), late, k.nonce(), k.Store.Burn(Tenant, id)), 0, 0)
	_, err := k.ACME.Account(t.Context(), Tenant, Endpoint, late.ID)
	k.kind("the refused account", err, ca.NotFound)
	k.kind("another tenant's effect", k.ACME.CreateAccount(t.Context(), k.newAccount(Tenant, Endpoint), k.nonce(), k.Store.Burn(OtherTenant, id)), ca.Internal)
}

func accountBurnRace(t T, open func() *Driver) {
	k := start(t, open)
	id := k.credential(Tenant, 3)
	results := make([]error, 12)
	k.gathered(len(results), func(i int) {
		results[i] = k.ACME.CreateAccount(t.Context(), k.newAccount(Tenant, Endpoint), k.nonce(), k.Store.Burn(Tenant, id))
	})
	made := 0
	for _, err := range results {
		if err == nil {
			made++
		} else {
			k.lost(err, 0, 0)
		}
	}
	if left := k.usesLeft(Tenant, id); made != 3 || left != 0 {
		t.Errorf("%d accounts by 3 uses, %d left", made, left)
	}
}

// rekeyed is the account with another key.
func rekeyed(a *state.Account) *state.Account {
	out := *a
	out.Key, out.Thumbprint = []byte(`{"crv":"P-384"}`), random32()
	out.Former = append([][32]byte{a.Thumbprint}, a.Former...)
	out.Former = out.Former[:min(len(out.Former), state.MaxFormer)]
	return &out
}

func changeKey(t T, open func() *Driver) {
	k := start(t, open)
	a, other := k.account(Tenant, Endpoint), k.account(Tenant, Endpoint)
	used := k.nonce()
	after := rekeyed(a)
	k.must("change", k.ACME.ChangeKey(t.Context(), after, a.Thumbprint, used))
	got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID)
	k.must("account", err)
	if diff := cmp.Diff(after, got); diff != "" {
		t.Errorf("account:\n%s", diff)
	}
	many := k.account(Tenant, Endpoint)
	for range state.MaxFormer + 2 {
		next := rekeyed(many)
		k.must("change often", k.ACME.ChangeKey(t.Context(), next, many.Thumbprint, k.nonce()))
		many = next
	}
	got, err = k.ACME.Account(t.Context(), Tenant, Endpoint, many.ID)
	k.must("account with many keys", err)
	if diff := cmp.Diff(many, got); diff != "" || len(got.Former) != state.MaxFormer {
		t.Errorf("former keys:\n%s", diff)
	}
	got, err = k.ACME.AccountByKey(t.Context(), Tenant, Endpoint, after.Thumbprint)
	if err != nil || got.ID != a.ID {
		t.Errorf("by the new key: %v, %v", got, err)
	}
	_, err = k.ACME.AccountByKey(t.Context(), Tenant, Endpoint, a.Thumbprint)
	k.kind("the old key", err, ca.NotFound)
	k.kind("from a key that it had before", k.ACME.ChangeKey(t.Context(), rekeyed(a), a.Thumbprint, k.nonce()), ca.Conflict)
	taken := rekeyed(after)
	taken.Thumbprint = other.Thumbprint
	k.kind("a key of another account", k.ACME.ChangeKey(t.Context(), taken, after.Thumbprint, k.nonce()), ca.Conflict)
	k.struck("a used nonce", k.ACME.ChangeKey(t.Context(), rekeyed(after), after.Thumbprint, used))
	elsewhere := k.account(Tenant, OtherEndpoint)
	same := rekeyed(elsewhere)
	same.Thumbprint = other.Thumbprint
	k.must("a key of another endpoint's account", k.ACME.ChangeKey(t.Context(), same, elsewhere.Thumbprint, k.nonce()))
	ended := *other
	ended.Status = state.Deactivated
	k.must("deactivate", k.ACME.UpdateAccount(t.Context(), &ended, k.nonce()))
	k.kind("an account that ended", k.ACME.ChangeKey(t.Context(), rekeyed(other), other.Thumbprint, k.nonce()), ca.Conflict)
}

// changeKeyRace: of several accounts that take one key at once, one gets it.
func changeKeyRace(t T, open func() *Driver) {
	k := start(t, open)
	key := random32()
	accounts := make([]*state.Account, 6)
	results := make([]error, len(accounts))
	for i := range accounts {
		accounts[i] = k.account(Tenant, Endpoint)
	}
	k.gathered(len(accounts), func(i int) {
		after := rekeyed(accounts[i])
		after.Thumbprint = key
		results[i] = k.ACME.ChangeKey(t.Context(), after, accounts[i].Thumbprint, k.nonce())
	})
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else {
			k.kind("a racing change", err, ca.Conflict)
		}
	}
	if won != 1 {
		t.Errorf("%d accounts took one key", won)
	}
}

func ordersOfAccount(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	done, _ := k.finishedOrder(a)
	want := []string{done.ID}
	for range 3 {
		o, _ := k.order(a, "a.example")
		want = append(want, o.ID)
	}
	slices.Sort(want)
	invalid, az := k.newOrder(a, "b.example")
	invalid.Status = state.Invalid
	k.must("create", k.ACME.CreateOrder(t.Context(), invalid, az, k.nonce()))
	k.order(k.account(Tenant, Endpoint), "c.example")
	list := func(after string, limit int) []string {
		t.Helper()
		ids, err := k.ACME.Orders(t.Context(), Tenant, Endpoint, a.ID, after, limit)
		k.must("orders", err)
		return ids
	}
	if got := list("", 10); !slices.Equal(got, want) {
		t.Errorf("orders %q, want %q", got, want)
	}
	if got := slices.Concat(list("", 3), list(want[2], 3)); !slices.Equal(got, want) {
		t.Errorf("pages %q, want %q", got, want)
	}
	k.Advance(25 * time.Hour)
	if got := list("", 10); !slices.Equal(got, []string{done.ID}) {
		t.Errorf("after all others expired: %q", got)
	}
}

func (k *kit) newPreauthorization(a *state.Account, name string) *state.Authorization {
	_, az := k.newOrder(a, name)
	return az[0]
}

func preauthorization(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	used := k.nonce()
	one := k.newPreauthorization(a, "a.example")
	k.must("create", k.ACME.CreateAuthorization(t.Context(), one, used))
	k.sameAuthorization(one)
	k.struck("a used nonce", k.ACME.CreateAuthorization(t.Context(), k.newPreauthorization(a, "b.example"), used))
	k.kind("an id that is taken", k.ACME.CreateAuthorization(t.Context(), one, k.nonce()), ca.Conflict)
	if got, err := k.ACME.Account(t.Context(), Tenant, Endpoint, a.ID); err != nil || !got.Preauthorized {
		t.Errorf("the account does not know that it has one: %v", err)
	}
	k.proofs("a pending one", a, k.ACME.Preauthorizations)
	valid := ended(one, k.now(), state.Valid)
	k.must("change", k.ACME.ChangeChallenge(t.Context(), one, valid, k.nonce()))
	two := k.newPreauthorization(a, "c.example")
	k.must("create", k.ACME.CreateAuthorization(t.Context(), two, k.nonce()))
	k.validate([]*state.Authorization{two})
	k.finishedOrder(a)
	k.proofs("two valid ones", a, k.ACME.Preauthorizations, "a.example", "c.example")
	got, err := k.ACME.Preauthorizations(t.Context(), Tenant, Endpoint, a.ID)
	k.must("list", err)
	if i := slices.IndexFunc(got, func(z *state.Authorization) bool { return z.ID == valid.ID }); i >= 0 {
		if diff := cmp.Diff(valid, got[i]); diff != "" {
			t.Errorf("authorization:\n%s", diff)
		}
	}
	k.must("deactivate", k.ACME.DeactivateAuthorization(t.Context(), Tenant, Endpoint, two.ID, k.nonce()))
	k.proofs("one deactivated", a, k.ACME.Preauthorizations, "a.example")
	k.Advance(13 * time.Hour)
	k.proofs("expired ones", a, k.ACME.Preauthorizations)
	ended := *a
	ended.Status = state.Deactivated
	k.must("deactivate", k.ACME.UpdateAccount(t.Context(), &ended, k.nonce()))
	k.kind("an account that ended", k.ACME.CreateAuthorization(t.Context(), k.newPreauthorization(a, "d.example"), k.nonce()), ca.Conflict)
}

func heldAuthorizations(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(Tenant, Endpoint)
	k.proofs("none", a, k.ACME.HeldAuthorizations)
	_, az := k.order(a, "a.example", "b.example", "c.example")
	k.validate(az[:2])
	alone := k.newPreauthorization(a, "d.example")
	k.must("create", k.ACME.CreateAuthorization(t.Context(), alone, k.nonce()))
	k.validate([]*state.Authorization{alone})
	_, others := k.order(k.account(Tenant, Endpoint), "e.example")
	k.validate(others)
	k.proofs("valid ones", a, k.ACME.HeldAuthorizations, "a.example", "b.example", "d.example")
	k.must("deactivate", k.ACME.DeactivateAuthorization(t.Context(), Tenant, Endpoint, az[0].ID, k.nonce()))
	k.proofs("one deactivated", a, k.ACME.HeldAuthorizations, "b.example", "d.example")
	k.Advance(13 * time.Hour)
	k.proofs("expired ones", a, k.ACME.HeldAuthorizations)
}

type authorizationList func(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error)

// proofs fails unless an account's authorizations are for these names.
func (k *kit) proofs(what string, a *state.Account, list authorizationList, names ...string) {
	k.Helper()
	all, err := list(k.Context(), a.Tenant, a.Endpoint, a.ID)
	k.must(what, err)
	var got []string
	for _, z := range all {
		got = append(got, z.Identifier.Value)
	}
	slices.Sort(got)
	if strings.Join(got, " ") != strings.Join(names, " ") {
		k.Errorf("%s: %q, want %q", what, got, names)
	}
}

// upkeepCredentials: what expired is removed, and nothing else.
func upkeepCredentials(t T, open func() *Driver) {
	k := start(t, open)
	const kept = 30 * 24 * time.Hour
	short, long := k.newCredential(upkeepTenant, "short", 1), k.newCredential(upkeepOther, "long", credential.Unlimited)
	long.Expires = long.Expires.AddDate(1, 0, 0)
	for _, r := range []*credential.Record{short, long} {
		k.must("add", k.Store.AddCredential(t.Context(), r, credentialAdded(r.Tenant)))
	}
	k.Advance(25 * time.Hour)
	l := k.acquire("sweep", "one")
	k.changes("one that is kept", 0)(k.upkeep().SweepCredentials(t.Context(), l, kept, 10))
	k.Advance(kept)
	l = k.acquire("sweep", "one")
	k.changes("one that expired", 1)(k.upkeep().SweepCredentials(t.Context(), l, kept, 10))
	_, err := k.Store.Credential(t.Context(), upkeepTenant, "short")
	k.kind("the removed one", err, ca.NotFound)
	if _, err := k.Store.Credential(t.Context(), upkeepOther, "long"); err != nil {
		t.Errorf("one that lives: %v", err)
	}
	_, err = k.upkeep().SweepCredentials(t.Context(), l, kept, 0)
	k.kind("a step without bound", err, ca.Internal)
}

func upkeepPreauthorizations(t T, open func() *Driver) {
	k := start(t, open)
	a := k.account(upkeepTenant, "web")
	_, ordered := k.order(a, "a.example")
	var alone []*state.Authorization
	for _, name := range []string{"b.example", "c.example", "d.example"} {
		z := k.newPreauthorization(a, name)
		k.must("create", k.ACME.CreateAuthorization(t.Context(), z, k.nonce()))
		alone = append(alone, z)
	}
	l := k.acquire("sweep", "one")
	k.changes("open ones", 0)(k.upkeep().RemovePreauthorizations(t.Context(), l, 10))
	k.Advance(13 * time.Hour)
	l = k.acquire("sweep", "one")
	k.changes("the first two", 2)(k.upkeep().RemovePreauthorizations(t.Context(), l, 2))
	k.changes("the last one", 1)(k.upkeep().RemovePreauthorizations(t.Context(), l, 2))
	for _, z := range alone {
		_, err := k.ACME.Authorization(t.Context(), z.Tenant, z.Endpoint, z.ID)
		k.kind("a removed one", err, ca.NotFound)
	}
	k.sameAuthorization(ordered[0])
	_, err := k.upkeep().RemovePreauthorizations(t.Context(), l, 0)
	k.kind("a step without bound", err, ca.Internal)
}

package broken

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/store/conformance"
)

// door is a state.Store with one flaw, named by what.
type door struct {
	state.Store
	ledger conformance.Store
	what   string
}

func (s *door) nonce(n state.Nonce) state.Nonce {
	if s.what == "nonces ignored" {
		rand.Read(n.ID[:]) // never fails (crypto/rand)
	}
	return n
}

func (s *door) CreateAccount(ctx context.Context, a *state.Account, n state.Nonce, effects ...ca.Effect) error {
	changed := *a
	switch s.what {
	case "account keys not unique":
		rand.Read(changed.Thumbprint[:])
		err := s.Store.CreateAccount(ctx, a, n)
		if ca.IsKind(err, ca.Conflict) {
			return s.Store.CreateAccount(ctx, &changed, n)
		}
		return err
	case "contacts lost":
		changed.Contact = nil
	case "binding lost":
		changed.External = nil
	case "effects ignored":
		effects = nil
	case "account keys unique everywhere":
		if a.Endpoint != conformance.Endpoint || a.Tenant != conformance.Tenant {
			return ca.Errorf(ca.Conflict, "the key has an account already")
		}
	}
	return s.Store.CreateAccount(ctx, &changed, s.nonce(n), effects...)
}

func (s *door) UpdateAccount(ctx context.Context, a *state.Account, n state.Nonce) error {
	err := s.Store.UpdateAccount(ctx, a, s.nonce(n))
	if s.what == "conflicts swallowed" && ca.IsKind(err, ca.Conflict) {
		return nil
	}
	return err
}

func (s *door) CreateOrder(ctx context.Context, o *state.Order, all []*state.Authorization, n state.Nonce) error {
	switch s.what {
	case "what an order asks for lost":
		changed := *o
		changed.Profile, changed.Replaces = "", ""
		return s.Store.CreateOrder(ctx, &changed, all, s.nonce(n))
	case "authorizations lost":
		return s.Store.CreateOrder(ctx, o, all[:0], n)
	case "order apart from its authorizations":
		if err := s.Store.CreateOrder(ctx, o, all, n); err != nil && !errors.Is(err, state.ErrNonce) {
			return errors.Join(err, s.Store.CreateOrder(ctx, o, all[:1], n))
		}
		return nil
	}
	return s.Store.CreateOrder(ctx, o, all, s.nonce(n))
}

func (s *door) ChangeChallenge(ctx context.Context, before, after *state.Authorization, n state.Nonce) error {
	n = s.nonce(n)
	if s.what == "status kept" {
		pending := *after
		pending.Status, after = before.Status, &pending
	}
	err := s.Store.ChangeChallenge(ctx, before, after, n)
	for s.what == "stored challenges ignored" && ca.IsKind(err, ca.Conflict) {
		now, unread := s.Store.Authorization(ctx, before.Tenant, before.Endpoint, before.ID)
		if unread != nil || now.Status != state.Pending {
			return err
		}
		err = s.Store.ChangeChallenge(ctx, now, after, n)
	}
	return err
}

func (s *door) EndChallenge(ctx context.Context, after *state.Authorization) error {
	err := s.Store.EndChallenge(ctx, after)
	if s.what == "conflicts swallowed" && ca.IsKind(err, ca.Conflict) {
		return nil
	}
	return err
}

func (s *door) DeactivateAuthorization(ctx context.Context, tenant, endpoint, id string, n state.Nonce) error {
	if s.what == "deactivation lost" {
		return nil
	}
	return s.Store.DeactivateAuthorization(ctx, tenant, endpoint, id, s.nonce(n))
}

func (s *door) FinishOrder(tenant, endpoint, order, certificate string, key [32]byte) ca.Effect {
	if s.what == "finish always holds" {
		return s.ledger.Post(tenant, "finished", []byte("1"))
	}
	return s.Store.FinishOrder(tenant, endpoint, order, certificate, key)
}

func (s *door) Replace(tenant, id string, serial ca.Serial, order string, expires time.Time) ca.Effect {
	switch s.what {
	case "replacement always holds":
		return s.ledger.Post(tenant, "replaced", []byte("1"))
	case "any order replaces":
		serial = ca.NewSerial(expires)
	}
	return s.Store.Replace(tenant, id, serial, order, expires)
}

func (s *door) Strike(tenant string, n state.Nonce) ca.Effect {
	return s.Store.Strike(tenant, s.nonce(n))
}

func (s *door) ChangeKey(ctx context.Context, a *state.Account, before [32]byte, n state.Nonce) error {
	err := s.Store.ChangeKey(ctx, a, before, s.nonce(n))
	if s.what == "conflicts swallowed" && ca.IsKind(err, ca.Conflict) {
		return nil
	}
	return err
}

func (s *door) Orders(ctx context.Context, tenant, endpoint, account, after string, limit int) ([]string, error) {
	if s.what == "pages repeated" {
		after = ""
	}
	return s.Store.Orders(ctx, tenant, endpoint, account, after, limit)
}

func (s *door) CreateAuthorization(ctx context.Context, a *state.Authorization, n state.Nonce) error {
	return s.Store.CreateAuthorization(ctx, a, s.nonce(n))
}

func (s *door) Preauthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	if s.what == "every proof is one without an order" {
		return s.Store.HeldAuthorizations(ctx, tenant, endpoint, account)
	}
	return s.Store.Preauthorizations(ctx, tenant, endpoint, account)
}

func (s *door) HeldAuthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	if s.what == "orders' proofs forgotten" {
		return s.Store.Preauthorizations(ctx, tenant, endpoint, account)
	}
	return s.Store.HeldAuthorizations(ctx, tenant, endpoint, account)
}

// elsewhere drops tenant and endpoint in one method.
type elsewhere struct {
	state.Store
	method string
}

func (s *elsewhere) place(method string, tenant, endpoint *string) {
	if s.method == method {
		*tenant, *endpoint = conformance.Tenant, conformance.Endpoint
	}
}

func (s *elsewhere) Account(ctx context.Context, tenant, endpoint, id string) (*state.Account, error) {
	s.place("Account", &tenant, &endpoint)
	return s.Store.Account(ctx, tenant, endpoint, id)
}

func (s *elsewhere) AccountByKey(ctx context.Context, tenant, endpoint string, key [32]byte) (*state.Account, error) {
	s.place("AccountByKey", &tenant, &endpoint)
	return s.Store.AccountByKey(ctx, tenant, endpoint, key)
}

func (s *elsewhere) UpdateAccount(ctx context.Context, a *state.Account, n state.Nonce) error {
	changed := *a
	s.place("UpdateAccount", &changed.Tenant, &changed.Endpoint)
	return s.Store.UpdateAccount(ctx, &changed, n)
}

func (s *elsewhere) Order(ctx context.Context, tenant, endpoint, id string) (*state.Order, []*state.Authorization, error) {
	s.place("Order", &tenant, &endpoint)
	return s.Store.Order(ctx, tenant, endpoint, id)
}

func (s *elsewhere) OrderByCertificate(ctx context.Context, tenant, endpoint, id string) (*state.Order, error) {
	s.place("OrderByCertificate", &tenant, &endpoint)
	return s.Store.OrderByCertificate(ctx, tenant, endpoint, id)
}

func (s *elsewhere) Authorization(ctx context.Context, tenant, endpoint, id string) (*state.Authorization, error) {
	s.place("Authorization", &tenant, &endpoint)
	return s.Store.Authorization(ctx, tenant, endpoint, id)
}

func (s *elsewhere) ChangeChallenge(ctx context.Context, before, after *state.Authorization, n state.Nonce) error {
	b, a := *before, *after
	s.place("ChangeChallenge", &b.Tenant, &b.Endpoint)
	s.place("ChangeChallenge", &a.Tenant, &a.Endpoint)
	return s.Store.ChangeChallenge(ctx, &b, &a, n)
}

func (s *elsewhere) EndChallenge(ctx context.Context, after *state.Authorization) error {
	a := *after
	s.place("EndChallenge", &a.Tenant, &a.Endpoint)
	return s.Store.EndChallenge(ctx, &a)
}

func (s *elsewhere) DeactivateAuthorization(ctx context.Context, tenant, endpoint, id string, n state.Nonce) error {
	s.place("DeactivateAuthorization", &tenant, &endpoint)
	return s.Store.DeactivateAuthorization(ctx, tenant, endpoint, id, n)
}

func (s *elsewhere) ChangeKey(ctx context.Context, a *state.Account, before [32]byte, n state.Nonce) error {
	changed := *a
	s.place("ChangeKey", &changed.Tenant, &changed.Endpoint)
	return s.Store.ChangeKey(ctx, &changed, before, n)
}

func (s *elsewhere) CreateAuthorization(ctx context.Context, a *state.Authorization, n state.Nonce) error {
	changed := *a
	s.place("CreateAuthorization", &changed.Tenant, &changed.Endpoint)
	return s.Store.CreateAuthorization(ctx, &changed, n)
}

func (s *elsewhere) Orders(ctx context.Context, tenant, endpoint, account, after string, limit int) ([]string, error) {
	s.place("Orders", &tenant, &endpoint)
	return s.Store.Orders(ctx, tenant, endpoint, account, after, limit)
}

func (s *elsewhere) Preauthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	s.place("Preauthorizations", &tenant, &endpoint)
	return s.Store.Preauthorizations(ctx, tenant, endpoint, account)
}

func (s *elsewhere) HeldAuthorizations(ctx context.Context, tenant, endpoint, account string) ([]*state.Authorization, error) {
	s.place("HeldAuthorizations", &tenant, &endpoint)
	return s.Store.HeldAuthorizations(ctx, tenant, endpoint, account)
}

func (s *elsewhere) FinishOrder(tenant, endpoint, order, certificate string, key [32]byte) ca.Effect {
	if s.method == "FinishOrder" && tenant == conformance.Tenant { // a tenant's other endpoint
		endpoint = conformance.Endpoint
	}
	return s.Store.FinishOrder(tenant, endpoint, order, certificate, key)
}

func acmeFlaws() (all []flaw) {
	for what, cases := range map[string][]string{
		"parked orders finish as others":      {"ParkedOrder"},
		"nonces ignored":                      {"Nonce", "StrikeEffect"},
		"account keys not unique":             {"AccountUniqueKey", "AccountRace"},
		"account keys unique everywhere":      {"AccountUniqueKey"},
		"contacts lost":                       {"Account"},
		"binding lost":                        {"AccountBound"},
		"effects ignored":                     {"AccountBurn", "AccountBurnRace"},
		"pages repeated":                      {"Orders"},
		"every proof is one without an order": {"Preauthorization"},
		"orders' proofs forgotten":            {"HeldAuthorizations"},
		"conflicts swallowed":                 {"AccountUpdate", "ChangeKey", "ChangeKeyRace", "Challenge", "Deactivate"},
		"authorizations lost":                 {"Order", "Finish"},
		"order apart from its authorizations": {"OrderWhole"},
		"stored challenges ignored":           {"Challenge", "ChallengeRace"},
		"status kept":                         {"ChallengeAtOnce"},
		"what an order asks for lost":         {"OrderAsked"},
		"replacement always holds":            {"Replace", "ReplaceRace"},
		"any order replaces":                  {"Replace", "ReplaceRace"},
		"deactivation lost":                   {"Deactivate"},
		"finish always holds":                 {"Finish", "FinishGuards", "FinishRace", "FinishRaceWithKey"},
	} {
		all = append(all, flaw{what, cases, func(d *conformance.Driver) { d.ACME = &door{d.ACME, d.Store, what} }})
	}
	for _, method := range []string{"Account", "AccountByKey", "UpdateAccount", "Order", "OrderByCertificate", "Authorization",
		"ChangeChallenge", "EndChallenge", "DeactivateAuthorization", "FinishOrder", "ChangeKey", "CreateAuthorization", "Orders",
		"Preauthorizations", "HeldAuthorizations"} {
		all = append(all, flaw{"place dropped in " + method, []string{"ACMEIsolation"},
			func(d *conformance.Driver) { d.ACME = &elsewhere{d.ACME, method} }})
	}
	return all
}

func (s *door) FinishParkedOrder(tenant, endpoint, order, certificate string) ca.Effect {
	if s.what == "parked orders finish as others" {
		return s.Store.FinishOrder(tenant, endpoint, order, certificate, [32]byte{})
	}
	return s.Store.FinishParkedOrder(tenant, endpoint, order, certificate)
}

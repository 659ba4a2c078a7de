package acme

import (
	"net/http"
	"net/mail"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// defaultContacts bounds the contact list of an account.
const defaultContacts = 10

// newAccount registers a key, or finds the account it has (RFC 8555 section 7.3).
func (d *Door) newAccount(w http.ResponseWriter, r *request) error {
	m, key, nonce, err := d.authenticateKey(r)
	if err != nil {
		return err
	}
	var in accountRequest
	if err := decode(m.Payload, &in); err != nil {
		return err
	}
	existing, err := d.Store.AccountByKey(r.Context(), r.endpoint.Tenant, r.endpoint.ID, key.Thumbprint)
	if err == nil {
		return d.existing(w, r, existing, in.TermsAgreed, nonce)
	}
	if !ca.IsKind(err, ca.NotFound) {
		return err
	}
	if in.OnlyReturnExisting {
		return fail(http.StatusBadRequest, typeAccountDoesNotExist, "there is no account with this key (RFC 8555 section 7.3.1)")
	}
	contact, err := d.checkContact(in.Contact)
	if err != nil {
		return err
	}
	if r.endpoint.terms != "" && !in.TermsAgreed {
		return r.endpoint.askAgreement(w, "an account agrees to the terms of service by \"termsOfServiceAgreed\"")
	}
	external, effects, err := d.bind(r, m, key, in.Binding)
	if err != nil {
		return err
	}
	if err := d.limitAccount(r); err != nil {
		return err
	}
	account := &state.Account{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, ID: ca.RandomID(20), Status: state.Valid,
		Key: key.Canonical, Thumbprint: key.Thumbprint, Contact: contact, TermsAgreed: in.TermsAgreed, CreatedAt: d.Now().UTC().Truncate(time.Microsecond), Agreed: r.endpoint.terms, External: external}
	err = d.Store.CreateAccount(r.Context(), account, nonce, effects...)
	if ca.IsKind(err, ca.Conflict) { // another replica registered the same key first
		if existing, err = d.Store.AccountByKey(r.Context(), r.endpoint.Tenant, r.endpoint.ID, key.Thumbprint); err != nil {
			return err
		}
		return d.answerAccount(w, r, http.StatusOK, existing)
	}
	if bindingLost(err) {
		return notLive(credential.Spent)
	}
	if err != nil {
		return err
	}
	return d.answerAccount(w, r, http.StatusCreated, account)
}

// existing answers newAccount with a key that has an account (section 7.3.1). Who
// agrees to the terms of service there agrees to those of now (section 7.3.3).
func (d *Door) existing(w http.ResponseWriter, r *request, a *state.Account, agreed bool, nonce state.Nonce) error {
	if agreed && a.Status == state.Valid && !r.endpoint.agreed(a) {
		updated := *a
		updated.TermsAgreed, updated.Agreed = true, r.endpoint.terms
		if err := d.Store.UpdateAccount(r.Context(), &updated, nonce); err != nil {
			return err
		}
		a = &updated
	}
	return d.answerAccount(w, r, http.StatusOK, a)
}

// account reads, updates or deactivates the caller's account (sections 7.3.2, 7.3.6).
func (d *Door) account(w http.ResponseWriter, r *request) error {
	s, err := d.authenticate(r)
	if err != nil {
		return err
	}
	if err := own(s, r.param("id")); err != nil {
		return err
	}
	if len(s.payload) == 0 {
		return d.answerAccount(w, r, http.StatusOK, s.account)
	}
	var in accountRequest
	if err := decode(s.payload, &in); err != nil {
		return err
	}
	updated := *s.account
	switch in.Status {
	case "", state.Valid:
	case state.Deactivated:
		updated.Status = state.Deactivated
	default:
		return fail(http.StatusBadRequest, typeMalformed, "an account's status can only be changed to \"deactivated\" (RFC 8555 section 7.3.6)")
	}
	if in.Contact != nil {
		if updated.Contact, err = d.checkContact(in.Contact); err != nil {
			return err
		}
	}
	if in.TermsAgreed {
		updated.TermsAgreed, updated.Agreed = true, r.endpoint.terms
	}
	if err := d.Store.UpdateAccount(r.Context(), &updated, s.nonce); err != nil {
		return err
	}
	return d.answerAccount(w, r, http.StatusOK, &updated)
}

func (d *Door) answerAccount(w http.ResponseWriter, r *request, status int, a *state.Account) error {
	if a.Status != state.Valid && r.param("id") == "" { // section 7.3.6: its key is spent
		return fail(http.StatusUnauthorized, typeUnauthorized, "the account of this key is %s", a.Status)
	}
	w.Header().Set("Location", r.endpoint.accountURL(a.ID))
	out := accountObject{Status: a.Status, Contact: a.Contact, Terms: a.TermsAgreed, Orders: r.endpoint.accountURL(a.ID) + "/orders"}
	if a.External != nil {
		out.Binding = a.External.JWS
	}
	return answer(w, status, out)
}

// checkContact accepts mailto URLs with one plain address each (RFC 8555
// section 7.3); no mail is ever sent to them.
func (d *Door) checkContact(contact *[]string) ([]string, error) {
	if contact == nil {
		return nil, nil
	}
	if len(*contact) > d.MaxContacts {
		return nil, fail(http.StatusBadRequest, typeInvalidContact, "at most %d contacts are kept", d.MaxContacts)
	}
	for _, c := range *contact {
		scheme, address, ok := strings.Cut(c, ":")
		if !ok || !strings.EqualFold(scheme, "mailto") {
			return nil, fail(http.StatusBadRequest, typeUnsupportedContact, "a contact must be a mailto: URL")
		}
		if len(address) > 320 || strings.ContainsAny(address, "?,") {
			return nil, fail(http.StatusBadRequest, typeInvalidContact, "a mailto: contact must hold exactly one address without header fields (RFC 8555 section 7.3)")
		}
		parsed, err := mail.ParseAddress(address)
		foreign := strings.ContainsFunc(address, func(r rune) bool { return r > '~' }) // a URL is ASCII (RFC 6068 section 2)
		if err != nil || foreign || parsed.Name != "" || parsed.Address != address {
			return nil, fail(http.StatusBadRequest, typeInvalidContact, "a contact is not a valid e-mail address")
		}
	}
	return *contact, nil
}

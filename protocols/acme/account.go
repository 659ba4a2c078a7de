package acme

import (
	"net/http"
	"net/mail"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// maxContacts bounds the contact list of an account.
const maxContacts = 10

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
		return d.answerAccount(w, r, http.StatusOK, existing) // section 7.3.1
	}
	if !ca.IsKind(err, ca.NotFound) {
		return err
	}
	if in.OnlyReturnExisting {
		return fail(http.StatusBadRequest, typeAccountDoesNotExist, "there is no account with this key (RFC 8555 section 7.3.1)")
	}
	contact, err := checkContact(in.Contact)
	if err != nil {
		return err
	}
	account := &state.Account{Tenant: r.endpoint.Tenant, Endpoint: r.endpoint.ID, ID: ca.RandomID(20), Status: state.Valid,
		Key: key.Canonical, Thumbprint: key.Thumbprint, Contact: contact, TermsAgreed: in.TermsAgreed, CreatedAt: d.Now()}
	err = d.Store.CreateAccount(r.Context(), account, nonce)
	if ca.IsKind(err, ca.Conflict) { // another replica registered the same key first
		if existing, err = d.Store.AccountByKey(r.Context(), r.endpoint.Tenant, r.endpoint.ID, key.Thumbprint); err != nil {
			return err
		}
		return d.answerAccount(w, r, http.StatusOK, existing)
	}
	if err != nil {
		return err
	}
	return d.answerAccount(w, r, http.StatusCreated, account)
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
		if updated.Contact, err = checkContact(in.Contact); err != nil {
			return err
		}
	}
	updated.TermsAgreed = updated.TermsAgreed || in.TermsAgreed
	if err := d.Store.UpdateAccount(r.Context(), &updated, s.nonce); err != nil {
		return err
	}
	return d.answerAccount(w, r, http.StatusOK, &updated)
}

func (d *Door) answerAccount(w http.ResponseWriter, r *request, status int, a *state.Account) error {
	if a.Status != state.Valid && status == http.StatusOK && r.param("id") == "" { // section 7.3.6: its key is spent
		return fail(http.StatusUnauthorized, typeUnauthorized, "the account of this key is %s", a.Status)
	}
	w.Header().Set("Location", r.endpoint.base+"/account/"+a.ID)
	return answer(w, status, accountObject{Status: a.Status, Contact: a.Contact, Terms: a.TermsAgreed})
}

// checkContact accepts mailto URLs with one plain address each (RFC 8555
// section 7.3); no mail is ever sent to them.
func checkContact(contact *[]string) ([]string, error) {
	if contact == nil {
		return nil, nil
	}
	if len(*contact) > maxContacts {
		return nil, fail(http.StatusBadRequest, typeInvalidContact, "at most %d contacts are kept", maxContacts)
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
		if err != nil || parsed.Name != "" || parsed.Address != address {
			return nil, fail(http.StatusBadRequest, typeInvalidContact, "a contact is not a valid e-mail address")
		}
	}
	return *contact, nil
}

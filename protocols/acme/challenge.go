package acme

import (
	"net/http"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// pollAfter is the Retry-After of an authorization whose validation runs.
const pollAfter = time.Second

// authorization reads an authorization, or deactivates it (RFC 8555 sections
// 7.5 and 7.5.2).
func (d *Door) authorization(w http.ResponseWriter, r *request) error {
	s, err := d.authenticate(r)
	if err != nil {
		return err
	}
	a, err := d.ownAuthorization(r, s)
	if err != nil {
		return err
	}
	if len(s.payload) != 0 {
		var in struct {
			Status state.Status `json:"status"`
		}
		if err := decode(s.payload, &in); err != nil {
			return err
		}
		if in.Status != state.Deactivated {
			return fail(http.StatusBadRequest, typeMalformed, "an authorization's status can only be changed to \"deactivated\" (RFC 8555 section 7.5.2)")
		}
		if err := d.Store.DeactivateAuthorization(r.Context(), a.Tenant, a.Endpoint, a.ID, s.nonce); err != nil {
			return err
		}
		a.Status = state.Deactivated
		return answer(w, http.StatusOK, r.endpoint.authorizationObject(a, d.Now()))
	}
	for i, c := range a.Challenges {
		if c.Status != state.Processing {
			continue
		}
		w.Header().Set("Retry-After", seconds(pollAfter))
		if d.Now().After(c.Deadline) { // its validator is gone: a replica that stopped
			if a, err = d.begin(r, s, a, i); err != nil {
				return err
			}
		}
	}
	return answer(w, http.StatusOK, r.endpoint.authorizationObject(a, d.Now()))
}

// challenge starts a validation (section 7.5.1); a challenge that was started
// before is only read.
func (d *Door) challenge(w http.ResponseWriter, r *request) error {
	s, err := d.authenticate(r)
	if err != nil {
		return err
	}
	a, err := d.ownAuthorization(r, s)
	if err != nil {
		return err
	}
	i := -1
	for n, c := range a.Challenges {
		if c.Type == r.param("type") {
			i = n
		}
	}
	if i < 0 {
		return fail(http.StatusNotFound, typeMalformed, "there is no such challenge")
	}
	// An empty payload only reads; clients start with {} (section 7.5.1).
	if len(s.payload) != 0 && a.Challenges[i].Status == state.Pending {
		if status := a.At(d.Now()); status != state.Pending {
			return fail(http.StatusForbidden, typeMalformed, "the authorization is %s, not pending", status)
		}
		if a, err = d.begin(r, s, a, i); err != nil {
			return err
		}
	}
	c := a.Challenges[i]
	if c.Status == state.Processing {
		w.Header().Set("Retry-After", seconds(pollAfter))
	}
	w.Header().Add("Link", "<"+r.endpoint.base+"/authorization/"+a.ID+`>;rel="up"`) // section 7.5.1
	return answer(w, http.StatusOK, r.endpoint.challengeObject(a, c))
}

func (d *Door) ownAuthorization(r *request, s *signed) (*state.Authorization, error) {
	a, err := d.Store.Authorization(r.Context(), r.endpoint.Tenant, r.endpoint.ID, r.param("id"))
	if err != nil {
		return nil, err
	}
	return a, own(s, a.Account)
}

// begin marks a challenge as processing, in one commit with the nonce, and
// hands it to the validators.
func (d *Door) begin(r *request, s *signed, before *state.Authorization, i int) (*state.Authorization, error) {
	slot, err := d.validations.reserve()
	if err != nil {
		return nil, err
	}
	defer slot.release()
	after := *before
	after.Challenges = append([]state.Challenge(nil), before.Challenges...)
	after.Challenges[i].Status = state.Processing
	after.Challenges[i].Deadline = d.Now().Add(d.validations.longest)
	err = d.Store.BeginChallenge(r.Context(), before, &after, s.nonce)
	if ca.IsKind(err, ca.Conflict) { // somebody else began it: read what became of it
		return d.ownAuthorization(r, s)
	}
	if err != nil {
		return nil, err
	}
	slot.start(validation{authorization: &after, challenge: i, thumbprint: s.account.Thumbprint, trace: r.trace})
	return &after, nil
}

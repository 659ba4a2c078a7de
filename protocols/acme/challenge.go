package acme

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// challengeType is a way to prove a name.
type challengeType struct {
	method   claim.Method
	wildcard bool // proves wildcard names too
}

// challengeTypes are all that the door knows, in the order they are offered in.
var challengeTypes = []challengeType{
	{claim.HTTP01, false},    // RFC 8555 section 8.3: one host, so no wildcard
	{claim.DNS01, true},      // RFC 8555 section 8.4
	{claim.TLSALPN01, false}, // RFC 8737 section 3

	{claim.DNSAccount01, true},    // draft-ietf-acme-dns-account-label
	{claim.DeviceAttest01, false}, // draft-ietf-acme-device-attest
	{claim.DNSPersist01, true},    // draft-ietf-acme-dns-persist: without a token, so behind all that have one
}

// proves tells whether names of a kind can be proven so.
func (c challengeType) proves(kind claim.Kind) bool {
	return claim.Permitted(caller.ACME, c.method, kind)
}

// checkValidators: each is of a type that is known.
func checkValidators(all map[claim.Method]Validator) error {
	for m, v := range all {
		if _, known := findChallenge(m); !known || v == nil {
			return fmt.Errorf("acme: %q is not a challenge type with a validator", m)
		}
	}
	return nil
}

func findChallenge(m claim.Method) (challengeType, bool) {
	for _, c := range challengeTypes {
		if c.method == m {
			return c, true
		}
	}
	return challengeType{}, false
}

// newChallenges makes the challenges of a new authorization, which may be one for
// the names below its identifier, too.
func newChallenges(offered []claim.Method, subdomains bool) []state.Challenge {
	var out []state.Challenge
	for _, m := range offered {
		out = append(out, state.Challenge{Type: string(m), Token: newToken(), Status: state.Pending, Subdomains: subdomains})
	}
	return out
}

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
	processing := func(c state.Challenge) bool { return c.Status == state.Processing }
	i := slices.IndexFunc(a.Challenges, processing)
	if i >= 0 && d.Now().After(a.Challenges[i].Deadline) { // its validator is gone: a replica that stopped
		if a, err = d.begin(r, s, a, i, nil); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(a.Challenges, processing) {
		w.Header().Set("Retry-After", seconds(pollAfter))
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
		if err := decode(s.payload, &struct{}{}); err != nil { // older clients put a keyAuthorization there
			return err
		}
		if status := a.At(d.Now()); status != state.Pending {
			return fail(http.StatusForbidden, typeMalformed, "the authorization is %s, not pending", status)
		}
		if a, err = d.begin(r, s, a, i, s.payload); err != nil {
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

// begin validates a challenge. An outcome that comes soon is stored in one
// commit with the nonce and answered; otherwise the challenge is marked as
// processing, with the nonce, and the validation goes on in the background. The
// response is what the client answered the challenge with, nil where that is gone.
func (d *Door) begin(r *request, s *signed, before *state.Authorization, i int, response []byte) (*state.Authorization, error) {
	if r.endpoint.validators[claim.Method(before.Challenges[i].Type)] == nil { // made under another configuration
		return nil, fail(http.StatusForbidden, typeMalformed, "challenges of type %s are not offered any more; open a new order", before.Challenges[i].Type)
	}
	slot, running, err := d.validations.reserve(before, i)
	if err != nil {
		return nil, err
	}
	processing := *before
	processing.Challenges = slices.Clone(before.Challenges)
	processing.Challenges[running].Status = state.Processing
	processing.Challenges[running].Deadline = d.Now().Add(d.validations.longest)
	if slot == nil { // its outcome is stored by the request that began it
		return &processing, nil
	}
	attempt := slot.start(validation{endpoint: r.endpoint, authorization: &processing, challenge: i, account: s.account, response: response, trace: r.trace})
	after, ended := attempt.await(r.Context(), d.Patience)
	switch {
	case ended && after == nil:
		attempt.end()
		return nil, ca.UnavailableError(errors.New("validations are closing"), 5*time.Second)
	case ended:
		err = attempt.store(r.Context(), after, func(ctx context.Context) error {
			return d.Store.ChangeChallenge(ctx, before, after, s.nonce)
		})
	default:
		after = &processing
		if err = d.Store.ChangeChallenge(context.WithoutCancel(r.Context()), before, after, s.nonce); err == nil {
			attempt.keep()
		} else {
			attempt.abandon()
		}
	}
	if ca.IsKind(err, ca.Conflict) { // somebody else was first: read what became of it
		return d.ownAuthorization(r, s)
	}
	return after, err
}

package acme

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
)

// accountObject is the wire form of an account (RFC 8555 section 7.1.2).
type accountObject struct {
	Status  state.Status `json:"status"`
	Contact []string     `json:"contact,omitempty"`
	Terms   bool         `json:"termsOfServiceAgreed,omitempty"`
	Orders  string       `json:"orders"`
	// Binding is the external account binding as the client sent it (section 7.3.4).
	Binding json.RawMessage `json:"externalAccountBinding,omitempty"`
}

// accountRequest is the payload of newAccount and of account updates
// (sections 7.3, 7.3.2, 7.3.6). Contact is nil where absent.
type accountRequest struct {
	Contact            *[]string       `json:"contact"`
	TermsAgreed        bool            `json:"termsOfServiceAgreed"`
	OnlyReturnExisting bool            `json:"onlyReturnExisting"`
	Status             state.Status    `json:"status"`
	Binding            json.RawMessage `json:"externalAccountBinding"` // of newAccount alone
}

// orderRequest is the payload of newOrder (section 7.4).
type orderRequest struct {
	Identifiers []orderedIdentifier `json:"identifiers"`
	NotBefore   string              `json:"notBefore"`
	NotAfter    string              `json:"notAfter"`
	Profile     string              `json:"profile"`  // draft-ietf-acme-profiles
	Replaces    string              `json:"replaces"` // RFC 9773 section 5
}

// orderedIdentifier is an identifier of newOrder.
type orderedIdentifier struct {
	state.Identifier
	Ancestor string `json:"ancestorDomain"` // RFC 9444 section 4.2
}

// orderObject is the wire form of an order (section 7.1.3).
type orderObject struct {
	Status         state.Status       `json:"status"`
	Expires        time.Time          `json:"expires"`
	Identifiers    []state.Identifier `json:"identifiers"`
	NotBefore      time.Time          `json:"notBefore,omitzero"`
	NotAfter       time.Time          `json:"notAfter,omitzero"`
	Error          json.RawMessage    `json:"error,omitempty"`
	Authorizations []string           `json:"authorizations"`
	Finalize       string             `json:"finalize"`
	Certificate    string             `json:"certificate,omitempty"`
	Profile        string             `json:"profile,omitempty"`
	Replaces       string             `json:"replaces,omitempty"`
}

// authorizationObject is the wire form of an authorization (section 7.1.4).
type authorizationObject struct {
	Identifier state.Identifier  `json:"identifier"`
	Status     state.Status      `json:"status"`
	Expires    time.Time         `json:"expires"`
	Challenges []challengeObject `json:"challenges"`
	Wildcard   bool              `json:"wildcard,omitempty"`
	Subdomains bool              `json:"subdomainAuthAllowed,omitempty"` // RFC 9444 section 4.1
}

// challengeObject is the wire form of a challenge (section 7.1.5).
type challengeObject struct {
	Type      string          `json:"type"`
	URL       string          `json:"url"`
	Status    state.Status    `json:"status"`
	Token     string          `json:"token,omitempty"`
	Validated time.Time       `json:"validated,omitzero"`
	Error     json.RawMessage `json:"error,omitempty"`

	// Of dns-persist-01, instead of a token: by the draft in force, and by draft 00.
	Issuers   []string `json:"issuerDomainNames,omitempty"`
	Issuers00 []string `json:"issuer-domain-names,omitempty"`
}

// finalizeRequest is the payload of finalize (section 7.4).
type finalizeRequest struct {
	CSR string `json:"csr"`
}

// revokeRequest is the payload of revokeCert (section 7.6). Reason is nil where absent.
type revokeRequest struct {
	Certificate string `json:"certificate"` // base64url DER
	Reason      *int   `json:"reason"`
}

func (e *endpoint) accountURL(id string) string { return e.base + "/account/" + id }

func (e *endpoint) orderURL(id string) string { return e.base + "/order/" + id }

func (e *endpoint) orderObject(o *state.Order, authorizations []*state.Authorization, now time.Time) orderObject {
	out := orderObject{Status: o.At(now, authorizations), Expires: o.Expires.UTC().Truncate(time.Second), Identifiers: o.Identifiers,
		NotBefore: o.NotBefore, NotAfter: o.NotAfter, Profile: o.Profile, Replaces: o.Replaces, Error: o.Error, Finalize: e.orderURL(o.ID) + "/finalize"}
	for _, id := range o.Authorizations {
		out.Authorizations = append(out.Authorizations, e.base+"/authorization/"+id)
	}
	if o.Certificate != "" {
		out.Certificate = e.base + "/certificate/" + o.Certificate
	}
	if out.Status == state.Invalid && out.Error == nil {
		out.Error = orderError(authorizations, now)
	}
	return out
}

// orderError says why an order is invalid, from its authorizations.
func orderError(authorizations []*state.Authorization, now time.Time) json.RawMessage {
	p := problem{Type: urn + typeUnauthorized, Detail: "the order has expired", Status: http.StatusForbidden}
	for _, a := range authorizations {
		if s := a.At(now); s != state.Valid && s != state.Pending {
			sub := problem{Type: urn + typeUnauthorized, Detail: "the authorization is " + string(s), Identifier: &a.Identifier}
			for _, c := range a.Challenges {
				if c.Status == state.Invalid && c.Error != nil {
					var cause problem
					if json.Unmarshal(c.Error, &cause) == nil {
						sub.Type, sub.Detail = cause.Type, cause.Detail
					}
				}
			}
			p.Detail, p.Subproblems = "an authorization of the order did not succeed", append(p.Subproblems, sub)
		}
	}
	out, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	return out
}

func (e *endpoint) authorizationObject(a *state.Authorization, now time.Time) authorizationObject {
	out := authorizationObject{Identifier: a.Identifier, Status: a.At(now), Expires: a.Expires.UTC().Truncate(time.Second),
		Wildcard: a.Wildcard, Subdomains: a.Subdomains(), Challenges: []challengeObject{}}
	for _, c := range a.Challenges {
		if a.Status == state.Valid && c.Status != state.Valid { // section 7.1.4: only what proved it
			continue
		}
		out.Challenges = append(out.Challenges, e.challengeObject(a, c))
	}
	return out
}

func (e *endpoint) challengeObject(a *state.Authorization, c state.Challenge) challengeObject {
	out := challengeObject{Type: c.Type, URL: e.base + "/challenge/" + a.ID + "/" + c.Type, Status: c.Status, Token: c.Token,
		Validated: c.Validated.UTC().Truncate(time.Second), Error: c.Error}
	if claim.Method(c.Type) == claim.DNSPersist01 {
		out.Token = ""
		if e.persist.Prefix == "" {
			out.Issuers00 = e.persist.Issuers
		} else {
			out.Issuers = e.persist.Issuers
		}
	}
	return out
}

// decode reads a JSON payload. Unknown members are ignored, as RFC 8555
// section 6.2 leaves room for extensions; trailing data is an error.
func decode(payload []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(payload))
	if err := dec.Decode(into); err != nil || bytes.TrimLeft(payload, jsonSpace)[0] != '{' { // null would decode
		return fail(http.StatusBadRequest, typeMalformed, "the payload is not the JSON object that this resource wants")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fail(http.StatusBadRequest, typeMalformed, "the payload holds more than one JSON value")
	}
	return nil
}

// answer writes a JSON reply.
func answer(w http.ResponseWriter, status int, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return ca.InternalError(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // an error means that the client is gone
	return nil
}

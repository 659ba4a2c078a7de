package acme

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
)

// Own is what an endpoint has of its own.
type Own struct {
	Validators map[claim.Method]Validator // instead of the door's; nil: those
	Profiles   []Profile                  // that an order may name
	CAA        CAAChecker                 // nil: CAA records are not looked at
	CAAIssuers []string                   // domain names that records allow this CA by: advertised
	Persist    Persist                    // of dns-persist-01: advertised
	Subdomains bool                       // authorizations for names below others (RFC 9444)
}

// Persist is what a directory says of dns-persist-01.
type Persist struct {
	Issuers []string // issuer domain names that TXT records name this CA by
	Prefix  string   // accountHashPrefix (draft-ietf-acme-dns-persist-02 section 4.1); empty: draft 00
}

// Profile is a profile that an order may name (draft-ietf-acme-profiles).
type Profile struct {
	Name        string
	Description string // for people
	Endpoint    string // id of the endpoint of the core through which it is issued: a variant of this one, or this one
}

// variant is one way through the core.
type variant struct {
	id     string
	offers map[claim.Kind][]claim.Method // challenge types by which names are proven there, in the order they are offered in
}

// directoryObject advertises what works, and only that (RFC 8555 section 7.1.1).
type directoryObject struct {
	NewNonce    string     `json:"newNonce"`
	NewAccount  string     `json:"newAccount"`
	NewOrder    string     `json:"newOrder"`
	NewAuthz    string     `json:"newAuthz"`
	RevokeCert  string     `json:"revokeCert"`
	KeyChange   string     `json:"keyChange"`
	RenewalInfo string     `json:"renewalInfo"` // RFC 9773 section 4
	Meta        metaObject `json:"meta,omitzero"`
}

// metaObject says what the directory wants of accounts, and what orders may name.
type metaObject struct {
	TermsOfService          string            `json:"termsOfService,omitempty"`
	ExternalAccountRequired bool              `json:"externalAccountRequired,omitempty"`
	CAAIdentities           []string          `json:"caaIdentities,omitempty"`
	Profiles                map[string]string `json:"profiles,omitempty"`             // draft-ietf-acme-profiles section 3
	SubdomainAuthAllowed    bool              `json:"subdomainAuthAllowed,omitempty"` // RFC 9444 section 4.3
	IssuerDomainNames       []string          `json:"issuerDomainNames,omitempty"`    // draft-ietf-acme-dns-persist-02 section 3.2
	AccountHashPrefix       string            `json:"accountHashPrefix,omitempty"`    // the same, section 4.1
}

// IsZero tells that there is nothing to say.
func (m metaObject) IsZero() bool {
	return m.TermsOfService == "" && !m.ExternalAccountRequired && !m.SubdomainAuthAllowed && len(m.CAAIdentities)+len(m.Profiles)+len(m.IssuerDomainNames) == 0
}

// newEndpoint builds everything about an endpoint that never changes.
func (d *Door) newEndpoint(e ca.Endpoint, base, terms string) (*endpoint, error) {
	own := d.Own[e.ID]
	out := &endpoint{Endpoint: e, base: base, validators: d.Validators, caa: own.CAA, bindings: bindingsOf(&e), terms: terms, variants: map[string]*variant{},
		persist: own.Persist, subdomains: own.Subdomains}
	if own.Validators != nil {
		out.validators = own.Validators
	}
	if err := checkValidators(out.validators); err != nil {
		return nil, err
	}
	if (own.CAA == nil) != (len(own.CAAIssuers) == 0) {
		return nil, fmt.Errorf("acme: endpoint %s has a check of CAA records, or the names that they allow it by, without the other", e.ID)
	}
	if (out.validators[claim.DNSPersist01] == nil) != (len(own.Persist.Issuers) == 0) {
		return nil, fmt.Errorf("acme: endpoint %s offers dns-persist-01, or has issuer domain names for it, without the other", e.ID)
	}
	out.standard = d.newVariant(e.ID, out.validators)
	object := directoryObject{NewNonce: base + "/new-nonce", NewAccount: base + "/new-account", NewOrder: base + "/new-order",
		NewAuthz: base + "/new-authz", RevokeCert: base + "/revoke-cert", KeyChange: base + "/key-change", RenewalInfo: base + "/renewal-info",
		Meta: metaObject{TermsOfService: terms, ExternalAccountRequired: out.bindings == bindingsRequired, CAAIdentities: own.CAAIssuers, Profiles: map[string]string{},
			SubdomainAuthAllowed: own.Subdomains}}
	if own.Persist.Prefix != "" {
		object.Meta.IssuerDomainNames, object.Meta.AccountHashPrefix = own.Persist.Issuers, own.Persist.Prefix
	}
	for _, p := range own.Profiles {
		if _, taken := out.variants[p.Name]; taken || p.Name == "" || p.Endpoint == "" {
			return nil, fmt.Errorf("acme: endpoint %s has two profiles of the name %q, or one that is incomplete", e.ID, p.Name)
		}
		out.variants[p.Name], object.Meta.Profiles[p.Name] = d.newVariant(p.Endpoint, out.validators), p.Description
	}
	directory, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	out.directory = directory
	return out, nil
}

// newVariant takes of the challenge types those that have a validator and count
// under the profile: what is offered can also be issued.
func (d *Door) newVariant(id string, validators map[claim.Method]Validator) *variant {
	v := &variant{id: id, offers: map[claim.Kind][]claim.Method{}}
	for _, kind := range claim.Kinds() {
		counts := map[claim.Method]bool{}
		for _, m := range d.Core.Methods(id, kind) {
			counts[m] = true
		}
		for _, c := range challengeTypes {
			if validators[c.method] != nil && counts[c.method] && c.proves(kind) {
				v.offers[kind] = append(v.offers[kind], c.method)
			}
		}
	}
	return v
}

// variantOf gives the way through the core of an order that names a profile.
func (e *endpoint) variantOf(profile string) (*variant, error) {
	if profile == "" {
		return e.standard, nil
	}
	if v, ok := e.variants[profile]; ok {
		return v, nil
	}
	return nil, unknownProfile(profile, maps.Keys(e.variants))
}

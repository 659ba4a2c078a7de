package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// Digest is SHA-256 over the policy: base URLs, tenants, CAs with their key
// URIs, OCSP, CRL and RA rules, foreign CAs, endpoints, profiles, settings of the doors, approvals and retention, whatever the order in the file.
// What may differ between replicas (listeners, the store's address, TLS files,
// logging) and every secret is left out, so that replicas with the same policy
// have the same digest.
func (c *Config) Digest() [32]byte {
	type authority struct {
		Tenant, ID, Key string
		OCSP            OCSP
		CRL             CRL
		RA              *RA `json:",omitempty"`
	}
	policy := struct {
		Format    int
		BaseURL   BaseURL
		Tenants   []Tenant
		CAs       []authority
		Foreign   []ForeignCA `json:",omitempty"`
		Endpoints []ca.Endpoint
		Profiles  map[string]string // id to hash; encoding/json sorts keys
		ACME      ACME
		ACMEOf    map[string]ACMEEndpoint // by endpoint
		EST       EST
		ESTOf     map[string]ESTEndpoint  // by endpoint
		SCEP      SCEP                    `json:",omitzero"`
		SCEPOf    map[string]SCEPEndpoint `json:",omitempty"` // by endpoint
		Retention int                     `json:",omitempty"` // months
		Approvals Approvals
	}{
		Format: 1, Approvals: c.Approvals, Retention: c.Retention.Certificates, BaseURL: c.BaseURL, Tenants: slices.Clone(c.Tenants), Endpoints: slices.Clone(c.Endpoints),
		Profiles: map[string]string{}, ACME: c.ACME, ACMEOf: c.ACMEOf, EST: c.EST, ESTOf: c.ESTOf, SCEP: c.SCEP,
		SCEPOf: maps.Clone(c.SCEPOf),
	}
	for id, own := range policy.SCEPOf {
		own.StaticSecret = keys.Secret{}
		policy.SCEPOf[id] = own
	}
	for _, a := range c.CAs {
		responder := a.OCSP
		responder.Key, responder.KeyPassword, responder.Store = "", keys.Secret{}, "" // each replica may have its own
		own := authority{a.Tenant, a.ID, a.Key, responder, a.CRL, nil}
		if a.RA.Enabled { // its key is the same for every replica, where it finds the password is not
			own.RA = &RA{Enabled: true, Key: a.RA.Key}
		}
		policy.CAs = append(policy.CAs, own)
	}
	for _, f := range c.Foreign {
		f.Certificate, f.OCSP.Certificate, f.OCSP.Key, f.OCSP.KeyPassword = "", "", "", keys.Secret{} // each replica may have its own files
		policy.Foreign = append(policy.Foreign, f)
	}
	for id, p := range c.Profiles {
		hash := p.Hash()
		policy.Profiles[id] = hex.EncodeToString(hash[:])
	}
	slices.SortFunc(policy.Tenants, func(a, b Tenant) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(policy.CAs, func(a, b authority) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(policy.Foreign, func(a, b ForeignCA) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(policy.Endpoints, func(a, b ca.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	text, err := json.Marshal(policy)
	if err != nil {
		panic("config: a policy of strings and numbers does not encode: " + err.Error())
	}
	return sha256.Sum256(text)
}

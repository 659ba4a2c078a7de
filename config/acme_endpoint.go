package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
)

const (
	maxNamedProfiles = 32
	maxCAAIssuers    = 16
)

// tlsalpn01 checks the port that tls-alpn-01 asks (RFC 8737 section 3).
func (c *checker) tlsalpn01(w writtenTLSALPN01) uint16 {
	const path = "acme.tlsalpn01.port"
	if w.Port == nil {
		return 443
	}
	if *w.Port < 1 || *w.Port > 65535 {
		c.problem(path, "a port is a number from 1 to 65535, not %d", *w.Port)
		return 443
	}
	if *w.Port != 443 && !c.dev {
		c.warn(path, "RFC 8737 section 3 asks port 443: whoever may open port %d on a host gets certificates for it", *w.Port)
	}
	return uint16(*w.Port)
}

// acmeEndpoint checks what only ACME endpoints have; false where something of
// it is on an endpoint of another protocol.
func (c *checker) acmeEndpoint(item string, w *writtenEndpoint, config *Config) (a ACMEEndpoint) {
	for _, key := range []string{"profiles", "resolvers", "caa", "drafts", "dns_persist_issuers", "attestation", "subdomains", "vantages", "quorum"} {
		if _, written := c.places[item+"."+key]; written && w.Protocol != string(caller.ACME) {
			c.problem(item+"."+key, "only an endpoint of protocol acme has this")
		}
	}
	if w.Protocol != string(caller.ACME) {
		return a
	}
	for name, profile := range w.Profiles {
		path := item + ".profiles." + name
		if !wellFormedID(name) {
			c.problem(path, "the name of a profile has 1 to %d characters of A-Z a-z 0-9 - _ ~", maxID)
			continue
		}
		if c.profileReference(path, profile, config.Profiles) {
			a.Profiles = append(a.Profiles, NamedProfile{name, profile})
		}
	}
	if len(w.Profiles) > maxNamedProfiles {
		c.problem(item+".profiles", "at most %d profiles can be named, and here are %d", maxNamedProfiles, len(w.Profiles))
	}
	slices.SortFunc(a.Profiles, func(x, y NamedProfile) int { return strings.Compare(x.Name, y.Name) })
	a.Resolvers = c.resolvers(item+".resolvers", w.Resolvers)
	a.CAA = c.caaIssuers(item+".caa", w.CAA)
	a.Drafts = c.drafts(item+".drafts", w.Drafts)
	a.PersistIssuers = c.persistIssuers(item, w, &a)
	a.Attestation = c.attestation(item+".attestation", w.Attestation)
	a.Subdomains = w.Subdomains
	a.Vantages, a.Quorum = c.vantages(item, w)
	return a
}

// caaIssuers checks issuer domain names (RFC 8659 section 4.2). A written list
// without any is an error: nobody would be allowed anything by it.
func (c *checker) caaIssuers(path string, written []string) (out []string) {
	if _, there := c.places[path]; there && len(written) == 0 && !c.bad[path] {
		c.problem(path, "the list is empty; name the domain that CAA records allow this CA by, or remove the key")
	}
	for i, text := range written {
		item := c.items[path][i]
		if !c.given(item, text) {
			continue
		}
		name := strings.ToLower(text)
		if err := claim.CheckDNSName(name); err != nil || strings.HasPrefix(name, "*.") {
			c.problem(item, "an issuer domain name is a DNS name such as ca.example")
			continue
		}
		if slices.Contains(out, name) {
			c.problem(item, "the issuer domain name %s stands here twice", strconv.Quote(name))
			continue
		}
		out = append(out, name)
	}
	if len(written) > maxCAAIssuers {
		c.problem(path, "at most %d issuer domain names are looked for, and here are %d", maxCAAIssuers, len(written))
	}
	return out
}

// Variants lists the endpoints through which an endpoint's named profiles are
// issued. Their ids hold a slash, which no id of a configuration does.
func (c *Config) Variants(e *ca.Endpoint) (out []ca.Endpoint) {
	for _, p := range c.ACMEOf[e.ID].Profiles {
		v := *e
		v.ID, v.Of, v.Profile = VariantID(e.ID, p.Name), e.ID, p.Profile
		out = append(out, v)
	}
	return out
}

// VariantID is the id of the variant of an endpoint that issues a named profile.
func VariantID(endpoint, name string) string { return endpoint + "/" + name }

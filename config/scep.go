package config

import (
	"net/netip"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// SCEP configures the SCEP door (RFC 8894).
type SCEP struct {
	NDES *NDES // nil: the addresses of NDES are not served
}

// NDES binds the addresses that Microsoft's server has (/certsrv/mscep/,
// /certsrv/mscep_admin/) to an endpoint.
type NDES struct {
	Endpoint string        // id of a SCEP endpoint that takes one-time secrets
	Lifetime time.Duration // of a secret that an administrator fetches
}

// SCEPEndpoint is what a SCEP endpoint has of its own.
type SCEPEndpoint struct {
	StaticSecret   keys.Secret    // the challengePassword of the method static-scep-secret; zero: none
	Addresses      []netip.Prefix // of the clients that may come without a secret, or with the static one; nil: the latter from everywhere
	CACertificates string         // what GetCACert has beside the RA's certificate: "full", "chain" or "issuer"
	Legacy         []string       // algorithms below the floor that messages may use, of LegacyAlgorithms, in their order
	Quirks         string         // one of QuirkSets, or empty
}

type writtenSCEP struct {
	NDES *writtenNDES `yaml:"ndes"`
}

type writtenNDES struct {
	Endpoint         string `yaml:"endpoint"`
	PasswordLifetime string `yaml:"password_lifetime"`
}

// LegacyAlgorithms are the values of endpoints[].legacy.
func LegacyAlgorithms() []string { return []string{"des3", "des", "sha1", "md5"} }

// QuirkSets are the values of endpoints[].quirks.
func QuirkSets() []string {
	return []string{"apple", "cisco-ios", "ilo", "juniper", "mikrotik", "strongswan"}
}

// CACertificates are the values of endpoints[].ca_certificates.
func CACertificates() []string { return []string{"full", "chain", "issuer"} }

// legacyRisks says what each legacy algorithm lets happen.
var legacyRisks = map[string]string{
	"des3": "keys of 112 bits and blocks of 64, which RFC 8894 keeps for old clients alone",
	"des":  "whoever records a request reads it, and its challenge password, within a day",
	"sha1": "collisions of its signatures can be bought",
	"md5":  "collisions of its signatures are made in seconds",
}

// scepEndpoint checks what only SCEP endpoints have.
func (c *checker) scepEndpoint(item string, w *writtenEndpoint, config *Config) (out SCEPEndpoint) {
	if w.Protocol != string(caller.SCEP) {
		for _, key := range []string{"static_secret", "addresses", "ca_certificates", "legacy", "quirks"} {
			if _, written := c.places[item+"."+key]; written {
				c.problem(item+"."+key, "only an endpoint of protocol scep has this")
			}
		}
		return out
	}
	if i := slices.IndexFunc(config.CAs, func(a CA) bool { return a.Tenant == w.Tenant && a.ID == w.CA }); i >= 0 && !config.CAs[i].RA.Enabled {
		c.problem(item+".ca", "clients of SCEP encrypt to the registration authority of their CA, and %q has none: write ra: {enabled: true} there", w.CA)
	}
	out.CACertificates = c.oneOf(item+".ca_certificates", w.CACertificates, "full", CACertificates())
	out.Quirks = c.oneOf(item+".quirks", w.Quirks, "", QuirkSets())
	out.Legacy = c.legacy(item+".legacy", w.Legacy)
	out.StaticSecret = c.secret(item+".static_secret", w.StaticSecret)
	names := func(m caller.Method) bool {
		return slices.ContainsFunc(w.Authentication, func(set []string) bool { return slices.Contains(set, string(m)) })
	}
	static, open := names(caller.StaticSCEPSecret), names(caller.Unauthenticated)
	_, secret := c.places[item+".static_secret"]
	_, addresses := c.places[item+".addresses"]
	switch {
	case static && !secret:
		c.problem(item+".static_secret", "the key is missing: the method %s is checked against it", caller.StaticSCEPSecret)
	case !static && secret:
		c.problem(item+".static_secret", "nothing uses this secret: authentication does not name the method %s", caller.StaticSCEPSecret)
	case static:
		c.warn(item+".authentication", "the static secret is shared by everybody who has it, and any of them gets what the profile allows; prefer the method %s, whose secrets are good once", caller.SCEPSecret)
	}
	out.Addresses = c.prefixes(item+".addresses", w.Addresses, func(at string) {
		if open {
			c.problem(at, "with this range everybody in the world would get a certificate; name the networks of the devices")
		} else {
			c.warn(at, "this range keeps nobody out")
		}
	})
	switch {
	case open && len(w.Addresses) == 0 && !c.bad[item+".addresses"]:
		c.problem(item+".addresses", "it is missing or empty: the method %s is nothing but an address that is let in", caller.Unauthenticated)
	case addresses && static && !open && len(w.Addresses) == 0 && !c.bad[item+".addresses"]:
		c.problem(item+".addresses", "the list is empty, which keeps nobody out; name the networks of the devices or remove it")
	case addresses && !open && !static:
		c.problem(item+".addresses", "nothing uses these addresses: authentication names neither the method %s nor %s", caller.Unauthenticated, caller.StaticSCEPSecret)
	case open:
		c.warn(item+".authentication", "ANYBODY AT THESE ADDRESSES GETS A CERTIFICATE: the method %s asks for no secret and no certificate", caller.Unauthenticated)
	}
	for i, set := range w.Authentication {
		at := c.items[item+".authentication"][i]
		if slices.Contains(set, string(caller.Unauthenticated)) && len(set) > 1 {
			c.problem(at, "the method %s holds for everybody at the addresses and adds nothing to others; make it an alternative of its own", caller.Unauthenticated)
		}
		if slices.Contains(set, string(caller.SCEPSecret)) && slices.Contains(set, string(caller.StaticSCEPSecret)) {
			c.problem(at, "a request has one challenge password, so that %s and %s never hold together; make them two alternatives", caller.SCEPSecret, caller.StaticSCEPSecret)
		}
	}
	return out
}

// legacy checks what is granted below the floor.
func (c *checker) legacy(path string, written []string) (out []string) {
	for i, text := range written {
		at := c.items[path][i]
		if c.oneOf(at, text, "", LegacyAlgorithms()) == "" {
			continue
		}
		if slices.Contains(out, text) {
			c.problem(at, "%s stands here twice", quote(text))
			continue
		}
		out = append(out, text)
		c.warn(at, "messages may use %s: %s", text, legacyRisks[text])
	}
	slices.SortFunc(out, func(a, b string) int {
		return slices.Index(LegacyAlgorithms(), a) - slices.Index(LegacyAlgorithms(), b)
	})
	return out
}

// scep checks the door's own settings.
func (c *checker) scep(w *writtenFile, config *Config) (out SCEP) {
	ndes := w.SCEP.NDES
	if ndes == nil { // not written, or not as a mapping: said already
		return out
	}
	if w.Listen.HTTPS == "" && !c.bad["listen.https"] {
		c.problem("scep.ndes", "the page that gives passwords is on https alone, and listen.https is missing")
	}
	lifetime := c.duration("scep.ndes.password_lifetime", ndes.PasswordLifetime, ndesTimes)
	const path = "scep.ndes.endpoint"
	if !c.required(path, ndes.Endpoint, "clients that know no other address enroll there") {
		return out
	}
	var known []string
	for i := range w.Endpoints {
		if e := &w.Endpoints[i]; e.Protocol == string(caller.SCEP) {
			known = append(known, e.ID)
		}
	}
	if !slices.Contains(known, ndes.Endpoint) {
		c.choose(path, known, "%s does not name an endpoint of protocol scep%s", quote(ndes.Endpoint), suggest(ndes.Endpoint, known))
		return out
	}
	i := slices.IndexFunc(config.Endpoints, func(e ca.Endpoint) bool { return e.Door == caller.SCEP && e.ID == ndes.Endpoint })
	if i < 0 { // one that is switched off has no second address either
		return out
	}
	if !slices.ContainsFunc(config.Endpoints[i].Policies, func(set []caller.Method) bool { return slices.Contains(set, caller.SCEPSecret) }) {
		c.problem(path, "the passwords that administrators fetch are one-time secrets, which endpoint %q does not take: its authentication must name %s", ndes.Endpoint, caller.SCEPSecret)
		return out
	}
	out.NDES = &NDES{Endpoint: ndes.Endpoint, Lifetime: lifetime}
	return out
}

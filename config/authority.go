package config

import (
	"net/url"
	"slices"
	"strings"
)

func (c *checker) tenants(written []writtenTenant) []Tenant {
	var out []Tenant
	var seen []string
	for i, w := range written {
		item := c.items["tenants"][i]
		if !enabled(w.Enabled) || c.bad[item] || !c.id(item, w.ID, true) {
			continue
		}
		if slices.Contains(seen, w.ID) {
			c.problem(item+".id", "a second tenant has the id %q; ids are unique", w.ID)
			continue
		}
		seen = append(seen, w.ID)
		name := w.ID
		if c.given(item+".name", w.Name) {
			name = w.Name
		}
		out = append(out, Tenant{w.ID, name})
	}
	if len(written) == 0 && !c.bad["tenants"] {
		c.problem("tenants", "at least one tenant is wanted; everything that is issued belongs to one")
	}
	return out
}

func (c *checker) authorities(written []writtenCA, tenants []Tenant) []CA {
	var out []CA
	for i, w := range written {
		item := c.items["cas"][i]
		if !enabled(w.Enabled) || c.bad[item] {
			continue
		}
		named := c.id(item, w.ID, true)
		owned := c.reference(item+".tenant", w.Tenant, "a tenant", tenantIDs(tenants))
		if c.required(item+".key", w.Key, "a CA signs with a key") {
			c.keyURI(item+".key", w.Key)
		}
		authority := CA{
			ID: w.ID, Tenant: w.Tenant, Key: w.Key,
			KeyPassword: c.secret(item+".key_password", w.KeyPassword),
			Certificate: c.absolute(item+".certificate", w.Certificate),
			CRL:         c.crl(item+".crl", w.CRL),
			OCSP:        c.ocsp(item+".ocsp", w.OCSP),
			RA:          c.ra(item+".ra", w.RA),
		}
		if !named || !owned {
			continue
		}
		if slices.Contains(authorityIDs(out, w.Tenant), w.ID) {
			c.problem(item+".id", "a second CA of tenant %q has the id %q; ids are unique within a tenant", w.Tenant, w.ID)
			continue
		}
		out = append(out, authority)
	}
	return out
}

func tenantIDs(tenants []Tenant) []string {
	out := make([]string, len(tenants))
	for i, t := range tenants {
		out[i] = t.ID
	}
	return out
}

// authorityIDs lists the ids of one tenant's CAs.
func authorityIDs(cas []CA, tenant string) []string {
	var out []string
	for _, a := range cas {
		if a.Tenant == tenant {
			out = append(out, a.ID)
		}
	}
	return out
}

// keyURI checks the form of a key URI. The text is never repeated, because a
// PIN may stand in it.
func (c *checker) keyURI(path, uri string) {
	scheme, rest, _ := strings.Cut(uri, ":")
	switch strings.ToLower(scheme) {
	case "file":
		name, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
		if err != nil || !strings.HasPrefix(name, "/") && !c.dev || name == "" || strings.HasSuffix(name, "/") || strings.ContainsAny(rest, "?#") {
			c.problem(path, "a file URI names one file by its absolute path: file:/etc/enrollgate/key.pem")
		}
	case "pkcs11":
		c.tokenKey(path, uri)
	default:
		c.choose(path, []string{"file:/absolute/path", "pkcs11:token=...;object=..."}, "this is not a key URI")
	}
}

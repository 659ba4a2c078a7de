package config

import (
	"slices"
	"strconv"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// door is what configuration knows of a protocol.
type door struct {
	protocol  caller.Door
	listeners []string // keys under listen that it is served on; one of them is needed, the first is told
	path      func(tenant, ca, profile string) string
}

// doors lists the protocols that endpoints can speak. A new door adds its row.
func doors() []door {
	return []door{
		{caller.ACME, []string{"https"}, func(tenant, ca, profile string) string {
			return "/acme/" + tenant + "/" + ca + "/" + profile + "/directory"
		}},
		{caller.EST, []string{"est"}, func(tenant, ca, profile string) string { return estPath + tenant + "/" + ca + "/" + profile }},
		// Messages of SCEP are signed and encrypted in themselves, and many clients speak plain http alone.
		{caller.SCEP, []string{"http", "https"}, func(tenant, ca, profile string) string {
			return "/scep/" + tenant + "/" + ca + "/" + profile + "/"
		}},
	}
}

func doorOf(protocol caller.Door) (door, bool) {
	for _, d := range doors() {
		if d.protocol == protocol {
			return d, true
		}
	}
	return door{}, false
}

func protocols() []string {
	var out []string
	for _, d := range doors() {
		out = append(out, string(d.protocol))
	}
	return out
}

// URL is what clients of an endpoint are told; it begins with the base URL,
// which is empty in dev as long as nobody has filled it in.
func (c *Config) URL(e *ca.Endpoint) string {
	d, _ := doorOf(e.Door) // an Endpoint of a Config has a door of the table
	at := d.listeners[0]
	for _, l := range slices.Backward(d.listeners) {
		if c.Listen.address(l) != "" {
			at = l
		}
	}
	base := map[string]string{"https": c.BaseURL.HTTPS, "http": c.BaseURL.HTTP, "est": c.BaseURL.EST}[at]
	return base + d.path(e.Tenant, e.CA, e.Profile)
}

func (c *checker) endpoints(written []writtenEndpoint, config *Config) []ca.Endpoint {
	var out []ca.Endpoint
	seen := map[string]bool{}
	type address struct{ protocol, tenant, ca, profile string }
	taken := map[address]string{}
	config.ACMEOf, config.ESTOf, config.SCEPOf = map[string]ACMEEndpoint{}, map[string]ESTEndpoint{}, map[string]SCEPEndpoint{}
	for i, w := range written {
		item := c.items["endpoints"][i]
		if !enabled(w.Enabled) || c.bad[item] {
			continue
		}
		good := c.id(item, w.ID, false)
		if good && seen[w.ID] {
			c.problem(item+".id", "a second endpoint has the id %q; ids are unique", w.ID)
		}
		seen[w.ID] = true
		known := c.required(item+".protocol", w.Protocol, "it says which door this is")
		if known && !slices.Contains(protocols(), w.Protocol) {
			c.choose(item+".protocol", protocols(), "there is no door %s in this version%s", quote(w.Protocol), suggest(w.Protocol, protocols()))
			known = false
		}
		good = c.reference(item+".tenant", w.Tenant, "a tenant", tenantIDs(config.Tenants)) && good
		// Without a tenant nobody can say which CAs there are.
		if slices.Contains(tenantIDs(config.Tenants), w.Tenant) {
			good = c.reference(item+".ca", w.CA, "a CA of tenant "+strconv.Quote(w.Tenant), authorityIDs(config.CAs, w.Tenant)) && good
		} else {
			good = c.required(item+".ca", w.CA, "it names a CA of the tenant") && good
		}
		good = c.profileReference(item+".profile", w.Profile, config.Profiles) && good
		own, ownEST, ownSCEP := c.acmeEndpoint(item, &w, config), c.estEndpoint(item, &w), c.scepEndpoint(item, &w, config)
		policies := c.authentication(item+".authentication", w.Authentication, caller.Door(w.Protocol), known)
		if !good || !known {
			continue
		}
		where := address{w.Protocol, w.Tenant, w.CA, w.Profile}
		if other, ok := taken[where]; ok {
			c.problem(item, "endpoint %q has the same protocol, tenant, CA and profile, and so the same URL", other)
			continue
		}
		taken[where] = w.ID
		switch caller.Door(w.Protocol) {
		case caller.ACME:
			config.ACMEOf[w.ID] = own
		case caller.EST:
			config.ESTOf[w.ID] = ownEST
		case caller.SCEP:
			config.SCEPOf[w.ID] = ownSCEP
		}
		out = append(out, ca.Endpoint{ID: w.ID, Door: caller.Door(w.Protocol), Tenant: w.Tenant, CA: w.CA, Profile: w.Profile, Policies: policies})
	}
	if len(out) == 0 && len(c.problems) == 0 {
		c.warn("endpoints", "there is no endpoint, so nothing is issued")
	}
	return out
}

// methodsOf lists the authentication methods that a door can verify.
func methodsOf(d caller.Door) []string {
	var out []string
	for method, at := range caller.Methods() {
		if slices.Contains(at, d) {
			out = append(out, string(method))
		}
	}
	slices.Sort(out)
	return out
}

// authentication checks the one policy of an endpoint. There is no default: an
// endpoint without a policy refuses to start.
func (c *checker) authentication(path string, written [][]string, d caller.Door, known bool) [][]caller.Method {
	var allowed []string
	if known {
		allowed = methodsOf(d)
	}
	if len(written) == 0 {
		if !c.bad[path] {
			c.choose(path, allowed, "an endpoint needs an authentication policy: a list of alternatives, each a list of methods that must all hold")
		}
		return nil
	}
	var out [][]caller.Method
	for i, set := range written {
		item := c.items[path][i]
		if len(set) == 0 && !c.bad[item] {
			c.choose(item, allowed, "an alternative without methods would let everybody in; write at least one")
			continue
		}
		var methods []caller.Method
		for k, method := range set {
			field := c.items[item][k]
			switch m := caller.Method(method); {
			case !c.given(field, method) || !known:
			case !slices.Contains(allowed, method):
				c.choose(field, allowed, "%s is not an authentication method of protocol %q%s", quote(method), d, suggest(method, allowed))
			case slices.Contains(methods, m):
				c.problem(field, "the method %q stands here twice", method)
			default:
				methods = append(methods, m)
			}
		}
		if slices.Contains(methods, caller.ExternalAccount) && !slices.Contains(methods, caller.ACMEAccount) {
			c.problem(item, "the method %q is held by accounts; write [%s, %s]", caller.ExternalAccount, caller.ACMEAccount, caller.ExternalAccount)
		}
		slices.Sort(methods)
		if slices.ContainsFunc(out, func(o []caller.Method) bool { return slices.Equal(o, methods) }) && len(methods) > 0 {
			c.problem(item, "this alternative stands here twice")
		}
		out = append(out, methods)
	}
	return out
}

package config

import (
	"net/url"

	"github.com/enrollgate/enrollgate/ca/caller"
)

const (
	defaultContacts = 10
	maxContacts     = 100
)

// accounts checks what the ACME door asks of accounts.
func (c *checker) accounts(w *writtenFile, a *ACME) {
	a.Terms = map[string]string{}
	everywhere := c.termsURL("acme.terms_of_service", w.ACME.TermsOfService)
	for i, e := range w.Endpoints {
		path := c.items["endpoints"][i] + ".terms_of_service"
		own := c.termsURL(path, e.TermsOfService)
		if own != "" && e.Protocol != string(caller.ACME) {
			c.problem(path, "terms of service are for endpoints of protocol %q", caller.ACME)
		}
		if own == "" {
			own = everywhere
		}
		if own != "" && e.Protocol == string(caller.ACME) && enabled(e.Enabled) {
			a.Terms[e.ID] = own
		}
	}
	a.RateLimits = c.rateLimits(w.ACME.RateLimits)
	a.MaxContacts = defaultContacts
	if n := w.ACME.MaxContacts; n != nil {
		if a.MaxContacts = *n; *n < 1 || *n > maxContacts {
			c.problem("acme.max_contacts", "1 to %d contacts are possible, not %d", maxContacts, *n)
		}
	}
}

// termsURL checks the address of a document that people read.
func (c *checker) termsURL(path, text string) string {
	if !c.given(path, text) {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || len(text) > 1024 || u.String() != text {
		c.problem(path, "the terms of service are named by a URL such as https://pki.example.com/terms-1")
		return ""
	}
	return text
}

package config

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
)

// tls checks the certificate of the https listeners. It is brought or issued,
// never both: nobody should have to guess which of two is shown.
func (c *checker) tls(w writtenTLS, config *Config) TLS {
	out := TLS{
		Certificate: c.absolute("tls.certificate", w.Certificate), Key: w.Key,
		KeyPassword: c.secret("tls.key_password", w.KeyPassword),
		Store:       c.absolute("tls.store", w.Store),
	}
	_, certificate := c.places["tls.certificate"]
	_, key := c.places["tls.key"]
	_, issue := c.places["tls.issue"]
	_, store := c.places["tls.store"]
	served := (config.Listen.HTTPS != "" || config.Listen.EST != "") && !c.dev
	switch {
	case issue && (certificate || key):
		c.problem("tls.issue", "the certificate is either brought (tls.certificate and tls.key) or issued by a CA of this gateway (tls.issue); remove one")
	case issue:
		out.Issue = c.tlsIssue(w.Issue, config)
		if !c.dev {
			c.required("tls.store", w.Store, "it keeps what tls.issue brought, so that a restart shows the same certificate")
		}
	case store && !certificate && !key:
		c.problem("tls.issue", "the key is missing: tls.store keeps what it brings")
	case served || certificate != key:
		c.required("tls.certificate", w.Certificate, "the https listeners show it; or have it issued by a CA of this gateway with tls.issue")
		c.required("tls.key", w.Key, "it belongs to tls.certificate")
	}
	if store && (certificate || key) && !issue {
		c.problem("tls.store", "this belongs to tls.issue, and tls.certificate is brought; remove it")
	}
	if w.Key != "" {
		c.keyURI("tls.key", w.Key)
	}
	return out
}

func (c *checker) tlsIssue(w *writtenTLSIssue, config *Config) *TLSIssue {
	if w == nil { // written, but not as a mapping: said already
		return nil
	}
	out := &TLSIssue{Tenant: w.Tenant, CA: w.CA}
	if c.reference("tls.issue.tenant", w.Tenant, "a tenant", tenantIDs(config.Tenants)) {
		c.reference("tls.issue.ca", w.CA, "a CA of that tenant", authorityIDs(config.CAs, w.Tenant))
	}
	for i, text := range w.Names {
		item := c.items["tls.issue.names"][i]
		if !c.given(item, text) {
			continue
		}
		if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
			text = ip.Unmap().String()
		} else if claim.CheckDNSName(text) != nil {
			c.problem(item, "a DNS name in lower case (A-labels) or an IP address is wanted here")
			continue
		}
		if slices.Contains(out.Names, text) {
			c.problem(item, "%s stands here twice", quote(text))
		}
		out.Names = append(out.Names, text)
	}
	if len(w.Names) == 0 && !c.bad["tls.issue.names"] {
		for _, text := range []string{config.BaseURL.HTTPS, config.BaseURL.EST} {
			base, err := url.Parse(text)
			if err != nil || base.Hostname() == "" {
				continue
			}
			if name := strings.TrimSuffix(base.Hostname(), "."); !slices.Contains(out.Names, name) {
				out.Names = append(out.Names, name)
			}
		}
		if len(out.Names) == 0 && !c.dev {
			c.problem("tls.issue.names", "no name is written, and base_url.https and base_url.est give none either")
		}
	}
	return out
}

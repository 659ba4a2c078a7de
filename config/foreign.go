package config

import (
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca/keys"
)

// ForeignCA is a CA that is not ours: its certificates' status is answered from
// the CRL that it publishes.
type ForeignCA struct {
	ID, Tenant  string
	Certificate string // absolute path of a PEM file
	CRL         ForeignCRL
	OCSP        ForeignOCSP
}

// ForeignCRL says where a foreign CA's list is. Either URL or File is set.
type ForeignCRL struct {
	URL     string // http or https
	File    string // absolute path
	Refresh time.Duration
	Warning time.Duration  // a list with less life left is worth a warning
	Allow   []netip.Prefix // what URL may lead to beside global addresses
}

// ForeignOCSP is the responder of a foreign CA.
type ForeignOCSP struct {
	Certificate   string // absolute path of a PEM file: the delegate that the CA issued, or the CA itself
	Key           string // key URI
	KeyPassword   keys.Secret
	ByName        bool
	NotListed     string // what is said of numbers that are not on the list: "good" or "unknown"
	Nonce         bool
	Lifetime      time.Duration
	MaxAge        time.Duration
	ArchiveCutoff bool
}

type writtenForeignCA struct {
	ID          string             `yaml:"id"`
	Tenant      string             `yaml:"tenant"`
	Certificate string             `yaml:"certificate"`
	CRL         writtenForeignCRL  `yaml:"crl"`
	OCSP        writtenForeignOCSP `yaml:"ocsp"`
	Enabled     *bool              `yaml:"enabled"`
}

type writtenForeignCRL struct {
	URL          string   `yaml:"url"`
	File         string   `yaml:"file"`
	Refresh      string   `yaml:"refresh"`
	Warning      string   `yaml:"warning"`
	AllowTargets []string `yaml:"allow_targets"`
}

type writtenForeignOCSP struct {
	Certificate   string `yaml:"certificate"`
	Key           string `yaml:"key"`
	KeyPassword   string `yaml:"key_password"`
	ResponderID   string `yaml:"responder_id"`
	NotListed     string `yaml:"not_listed"`
	Nonce         bool   `yaml:"nonce"`
	Lifetime      string `yaml:"lifetime"`
	MaxAge        string `yaml:"max_age"`
	ArchiveCutoff bool   `yaml:"archive_cutoff"`
}

var (
	foreignTimes    = span{10 * time.Minute, time.Second, 7 * day}
	foreignWarnings = span{4 * time.Hour, 0, 90 * day}
)

func (c *checker) foreignCAs(written []writtenForeignCA, known *Config) []ForeignCA {
	var out []ForeignCA
	for i, w := range written {
		item := c.items["foreign_cas"][i]
		if !enabled(w.Enabled) || c.bad[item] {
			continue
		}
		named := c.id(item, w.ID, true)
		owned := c.reference(item+".tenant", w.Tenant, "a tenant", tenantIDs(known.Tenants))
		if c.required(item+".certificate", w.Certificate, "the CA's certificate says which lists are its own") {
			c.absolute(item+".certificate", w.Certificate)
		}
		f := ForeignCA{ID: w.ID, Tenant: w.Tenant, Certificate: w.Certificate, CRL: c.foreignCRL(item+".crl", w.CRL), OCSP: c.foreignOCSP(item+".ocsp", w.OCSP)}
		if !named || !owned {
			continue
		}
		same := func(other ForeignCA) bool { return other.Tenant == f.Tenant && other.ID == f.ID }
		if slices.ContainsFunc(out, same) || slices.Contains(authorityIDs(known.CAs, w.Tenant), w.ID) {
			c.problem(item+".id", "a second CA of tenant %q has the id %q; ids are unique within a tenant", w.Tenant, w.ID)
			continue
		}
		if known.Listen.HTTP == "" && !c.dev {
			c.problem(item, "listen.http is not set, so nobody would reach the responder")
		}
		out = append(out, f)
	}
	return out
}

func (c *checker) foreignCRL(path string, w writtenForeignCRL) ForeignCRL {
	out := ForeignCRL{URL: w.URL, Refresh: c.duration(path+".refresh", w.Refresh, foreignTimes), Warning: c.duration(path+".warning", w.Warning, foreignWarnings),
		File: c.absolute(path+".file", w.File), Allow: c.targets(path+".allow_targets", w.AllowTargets)}
	if c.given(path+".url", w.URL) {
		u, err := url.Parse(w.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			c.problem(path+".url", "an http or https URL is wanted here, without user and fragment")
		}
	}
	switch {
	case w.URL == "" && w.File == "" && !c.bad[path+".url"] && !c.bad[path+".file"]:
		c.problem(path, "nothing says where the list is; write url or file")
	case w.URL != "" && w.File != "":
		c.problem(path+".file", "the list has one source: url or file; remove one")
	case w.File != "" && len(w.AllowTargets) > 0:
		c.problem(path+".allow_targets", "a file is not fetched; it belongs to url")
	}
	return out
}

func (c *checker) foreignOCSP(path string, w writtenForeignOCSP) ForeignOCSP {
	out := ForeignOCSP{
		Certificate:   w.Certificate,
		Key:           w.Key,
		KeyPassword:   c.secret(path+".key_password", w.KeyPassword),
		ByName:        c.responderID(path, w.ResponderID),
		NotListed:     c.oneOf(path+".not_listed", w.NotListed, "good", []string{"good", "unknown"}),
		Nonce:         w.Nonce,
		ArchiveCutoff: w.ArchiveCutoff,
	}
	out.Lifetime, out.MaxAge = c.ocspLife(path, w.Lifetime, w.MaxAge)
	if c.required(path+".certificate", w.Certificate, "answers are signed by who the foreign CA says may do so") {
		c.absolute(path+".certificate", w.Certificate)
	}
	if c.required(path+".key", w.Key, "it is the key of the responder's certificate") {
		c.keyURI(path+".key", w.Key)
	}
	return out
}

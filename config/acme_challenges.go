package config

import (
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca/claim"
)

const (
	maxVantages       = 8
	maxPersistIssuers = 10 // draft-ietf-acme-dns-persist-02 section 3.1
)

// drafts are the challenge types of Internet-Drafts with the revisions that can be
// spoken, the newest last. A type whose wire form is the same in several has all of
// them.
var drafts = map[claim.Method][]string{
	claim.DNSAccount01: {"draft-01", "draft-02", "draft-03"},
	claim.DNSPersist01: {"draft-00", "draft-02"},
}

// Drafts lists the challenge types with their revisions as an endpoint names them.
func Drafts() (all []string) {
	for method, revisions := range drafts {
		for _, r := range revisions {
			all = append(all, string(method)+"@"+r)
		}
	}
	slices.Sort(all)
	return all
}

// drafts checks the challenge types of drafts that an endpoint offers.
func (c *checker) drafts(path string, written []string) map[claim.Method]string {
	var out map[claim.Method]string
	for i, text := range written {
		item := c.items[path][i]
		if !c.given(item, text) {
			continue
		}
		name, revision, _ := strings.Cut(text, "@")
		method := claim.Method(name)
		switch {
		case !slices.Contains(drafts[method], revision):
			c.choose(item, Drafts(), "%s is not a challenge type with the revision of its draft that is spoken here", quote(text))
		case out[method] != "":
			c.problem(item, "the challenge type %s stands here twice", name)
		default:
			if out == nil {
				out = map[claim.Method]string{}
			}
			out[method] = revision
		}
	}
	return out
}

// persistIssuers checks the domain names by which records of dns-persist-01 name
// this CA: CAA's, unless others are written, which then must be among those.
func (c *checker) persistIssuers(item string, w *writtenEndpoint, a *ACMEEndpoint) []string {
	path := item + ".dns_persist_issuers"
	_, written := c.places[path]
	offered := a.Drafts[claim.DNSPersist01] != ""
	issuers := c.caaIssuers(path, w.DNSPersistIssuers)
	switch {
	case written && !offered:
		c.problem(path, "only an endpoint with dns-persist-01 in drafts has this")
	case offered && !written && len(a.CAA) == 0:
		c.problem(item+".drafts", "dns-persist-01 needs the domain names that records name this CA by: dns_persist_issuers, or caa")
	case offered && !written:
		issuers = a.CAA
	}
	if len(a.CAA) > 0 { // what a record names has to be what the directory says of CAA, section 3.2 of the draft
		for i, name := range issuers {
			if written && !slices.Contains(a.CAA, name) && len(issuers) == len(w.DNSPersistIssuers) {
				c.problem(c.items[path][i], "the name is not one of caa")
			}
		}
	}
	if len(issuers) > maxPersistIssuers {
		c.problem(path, "at most %d issuer domain names can be told to clients, and here are %d", maxPersistIssuers, len(issuers))
	}
	return issuers
}

// attestation checks the files of roots, by the format of attestations that they
// vouch for.
func (c *checker) attestation(path string, w writtenAttestation) map[string]string {
	var out map[string]string
	for format, file := range map[string]string{"apple": w.Apple, "tpm": w.TPM, "packed": w.Packed, "step": w.Step} {
		key := path + "." + format
		if _, written := c.places[key]; !written || c.bad[key] {
			continue
		}
		if !c.required(key, file, "it names the file of the roots") {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[format] = c.absolute(key, file)
	}
	return out
}

// vantages checks the vantage points of an endpoint, each a list of DNS servers, and
// how many must agree.
func (c *checker) vantages(item string, w *writtenEndpoint) (out [][]string, quorum int) {
	path := item + ".vantages"
	for i, servers := range w.Vantages {
		one := c.items[path][i]
		if len(servers) == 0 && !c.bad[one] {
			c.problem(one, "a vantage point has at least one DNS server")
		}
		out = append(out, c.resolvers(one, servers))
	}
	_, written := c.places[item+".quorum"]
	switch n := len(w.Vantages); {
	case n == 0 && written:
		c.problem(item+".quorum", "a quorum is of vantages, and there are none")
		return nil, 0
	case n == 0:
		return nil, 0
	case n < 2 || n > maxVantages:
		c.problem(path, "2 to %d vantage points can be asked, not %d", maxVantages, n)
	case len(w.Resolvers) > 0:
		c.problem(path, "an endpoint has resolvers or vantages, not both")
	}
	quorum = len(w.Vantages)
	if w.Quorum != nil {
		quorum = *w.Quorum
	}
	switch {
	case quorum < 1 || quorum > len(w.Vantages):
		c.problem(item+".quorum", "a quorum is 1 to %d here, the number of vantage points", len(w.Vantages))
	case 2*quorum <= len(w.Vantages):
		c.warn(item+".quorum", "%d of %d vantage points is no majority: as many can lie and be believed", quorum, len(w.Vantages))
	}
	return out, quorum
}

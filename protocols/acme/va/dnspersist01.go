package va

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DNSPersist01 validates dns-persist-01 challenges: a TXT record that stays in the
// zone names the CA and the account. It is safe for concurrent use; the fields are
// set once.
type DNSPersist01 struct {
	Resolver texter
	Issuers  []string // issuer domain names that mean this CA, in lower case
	Prefix   string   // accountHashPrefix of draft-ietf-acme-dns-persist-02; empty: draft 00, whose records name the account's URL
	Now      func() time.Time
}

const hashName = "sha-256/" // the one algorithm (draft 02 section 4.1, RFC 6920 section 9.4)

// Validate asks for the TXT records of _validation-persist.IDENTIFIER and succeeds
// when one of them names an issuer domain name of this CA and the account. Wildcard
// names and names below need policy=wildcard (section 5). Record.Until is what the
// record says itself. The error is a *Problem.
func (d DNSPersist01) Validate(ctx context.Context, q Question) (Record, error) {
	if q.Account == "" || d.Prefix != "" && len(q.Thumbprints) == 0 {
		return Record{}, &Problem{Type: TypeServerInternal, Detail: "there is no account that a record could name"}
	}
	domain := strings.ToLower(strings.TrimSuffix(q.Identifier, "."))
	record, texts, problem := lookTXT(ctx, d.Resolver, "_validation-persist."+domain)
	if problem != nil {
		return record, problem
	}
	accounts := d.accounts(domain, &q)
	problem = &Problem{Type: TypeUnauthorized, Retry: true,
		Detail: fmt.Sprintf("none of the %d TXT records of %s names %s as its issuer", len(texts), record.DNS.Name, strings.Join(d.Issuers, ", "))}
	for _, text := range texts { // section 4.3.2: any of them
		issuer, parameters, ok := parseIssue(text)
		if !ok || !slices.Contains(d.Issuers, strings.ToLower(issuer)) {
			continue
		}
		until, typ, why := d.judge(parameters, accounts, q.Wildcard || q.Subdomains)
		if why == "" {
			record.Until = until
			return record, nil
		}
		problem = &Problem{Type: typ, Retry: true, Detail: "the TXT record of " + record.DNS.Name + " that names this CA " + why}
	}
	return record, problem
}

// accounts lists the values of accounturi that mean the account (section 4.1).
func (d DNSPersist01) accounts(domain string, q *Question) (all []string) {
	if d.Prefix == "" {
		return []string{q.Account}
	}
	for _, thumbprint := range q.Thumbprints {
		for _, name := range []string{domain, "*"} {
			all = append(all, PersistURI(d.Prefix, name, thumbprint, q.Account))
		}
	}
	return all
}

// PersistURI gives the hashed URI of an account for a domain in lower case, or for
// "*", any domain (draft-ietf-acme-dns-persist-02 section 4.1). The thumbprint is the
// base64url one of a key (RFC 7638).
func PersistURI(prefix, domain, thumbprint, account string) string {
	h := sha256.New()
	h.Write([]byte{byte(len(domain))})
	h.Write([]byte(domain + thumbprint + account))
	return prefix + hashName + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// judge holds the parameters of a record against the account. It gives when the
// record ends, zero for never, or why it does not count.
func (d DNSPersist01) judge(parameters []parameter, accounts []string, wildcard bool) (until time.Time, typ, why string) {
	said := map[string]string{}
	for _, p := range parameters {
		if _, twice := said[p.tag]; twice {
			return until, TypeMalformed, "has the parameter " + known(p.tag) + " twice"
		}
		said[p.tag] = p.value // others than those below are ignored, section 4.1
	}
	account, named := said["accounturi"]
	if rest, ours := strings.CutPrefix(account, d.Prefix); d.Prefix != "" && ours && !strings.HasPrefix(rest, hashName) {
		return until, TypeMalformed, "has an account digest of another algorithm than sha-256"
	}
	switch {
	case !named:
		return until, TypeUnauthorized, "names no account (accounturi)"
	case !slices.Contains(accounts, account): // octet by octet, RFC 3986 section 6.2.1
		return until, TypeUnauthorized, "names another account (accounturi)"
	case wildcard && !strings.EqualFold(said["policy"], "wildcard"):
		return until, TypeUnauthorized, "holds for the one name alone: policy=wildcard is missing"
	}
	text, bounded := said["persistuntil"]
	if !bounded {
		return until, "", ""
	}
	seconds, err := strconv.ParseUint(text, 10, 40)
	if err != nil {
		return until, TypeMalformed, "has a persistUntil that is not a number of seconds"
	}
	if until = time.Unix(int64(seconds), 0).UTC(); !d.Now().Before(until) {
		return until, TypeUnauthorized, "has ended (persistUntil)"
	}
	return until, "", ""
}

// known gives the tag of a parameter that is looked at, and a word for others:
// what the zone says is not repeated.
func known(tag string) string {
	if slices.Contains([]string{"accounturi", "policy", "persistuntil"}, tag) {
		return tag
	}
	return "(one that is not looked at)"
}

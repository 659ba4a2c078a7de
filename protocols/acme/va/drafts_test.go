package va

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
)

// texts is a resolver that knows the TXT records of names.
type texts map[string][]string

func (t texts) LookupTXT(_ context.Context, name string) ([]string, error) {
	if found := t[name]; found != nil {
		return found, nil
	}
	return nil, &outbound.Error{Kind: outbound.DNS, Host: name, Reason: "it has no TXT record"}
}

// The example of draft-ietf-acme-dns-account-label: section 3.2.
func TestAccountLabel(t *testing.T) {
	if got := AccountLabel("https://example.com/acme/acct/ExampleAccount"); got != "_ujmmovf2vn55tgye" {
		t.Error(got)
	}
}

func TestDNSAccount01(t *testing.T) {
	const account = "https://ca.example/acct/1"
	q := Question{Identifier: "host.example.", Token: token, KeyAuthorization: keyAuth, Account: account}
	name := AccountLabel(account) + "._acme-challenge.host.example"
	record, err := DNSAccount01{texts{name: {"other", q.digest()}}}.Validate(t.Context(), q)
	if err != nil || record.DNS.Name != name || record.DNS.Texts != 2 {
		t.Errorf("%+v, %v", record.DNS, err)
	}
	for what, c := range map[string]struct {
		records texts
		change  func(*Question)
		typ     string
	}{
		"another digest":          {texts{name: {"x"}}, func(*Question) {}, TypeUnauthorized},
		"at the name of dns-01":   {texts{"_acme-challenge.host.example": {q.digest()}}, func(*Question) {}, TypeDNS},
		"another account's label": {texts{name: {q.digest()}}, func(q *Question) { q.Account += "2" }, TypeDNS},
		"no account":              {texts{name: {q.digest()}}, func(q *Question) { q.Account = "" }, TypeServerInternal},
		"no key authorization":    {texts{name: {q.digest()}}, func(q *Question) { q.KeyAuthorization = "" }, TypeServerInternal},
	} {
		asked := q
		c.change(&asked)
		var p *Problem
		if _, err := (DNSAccount01{c.records}).Validate(t.Context(), asked); !errors.As(err, &p) || p.Type != c.typ {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The computation of draft-ietf-acme-dns-persist-02 section 4.1, by hand: an octet
// of length, the name, the thumbprint and the URL.
func TestPersistURI(t *testing.T) {
	got := PersistURI("https://ca.example/h/", "example.com", strings.Repeat("A", 43), "https://ca.example/acct/1")
	if want := "https://ca.example/h/sha-256/" + b64sum("\x0bexample.com"+strings.Repeat("A", 43)+"https://ca.example/acct/1"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if PersistURI("p/", "*", "k", "u") != "p/sha-256/"+b64sum("\x01*ku") {
		t.Error("the form without a domain")
	}
}

func TestDNSPersist01(t *testing.T) {
	const account, prefix, name = "https://ca.example/acct/1", "https://ca.example/h/", "_validation-persist.host.example"
	now := time.Unix(1800000000, 0)
	uri := PersistURI(prefix, "host.example", "new", account)
	former, anywhere := PersistURI(prefix, "host.example", "old", account), PersistURI(prefix, "*", "new", account)
	one, below := Question{Identifier: "Host.example", Account: account, Thumbprints: []string{"new", "old"}}, Question{Identifier: "host.example", Account: account, Thumbprints: []string{"new"}, Subdomains: true}
	wild := below
	wild.Subdomains, wild.Wildcard = false, true
	for text, c := range map[string]struct {
		q     Question
		typ   string // "": proven
		until int64
	}{
		"ca.example; accounturi=" + uri:                                           {one, "", 0},
		"CA.example;accounturi=" + uri + ";unknown=1":                             {one, "", 0},
		"ca.example; accounturi=" + former:                                        {one, "", 0},
		"ca.example; accounturi=" + anywhere:                                      {one, "", 0},
		"ca.example; accounturi=" + uri + "; persistUntil=1800000001":             {one, "", 1800000001},
		"ca.example; accounturi=" + uri + "; persistUntil=1800000000":             {one, TypeUnauthorized, 0},
		"ca.example; accounturi=" + uri + "; persistUntil=soon":                   {one, TypeMalformed, 0},
		"ca.example; accounturi=" + uri + "; persistUntil=-1":                     {one, TypeMalformed, 0},
		"ca.example; accounturi=" + uri + "; policy=Wildcard":                     {wild, "", 0},
		"ca.example; accounturi=" + uri + "; policy=wildcard; x=1":                {below, "", 0},
		"ca.example; accounturi=" + anywhere + "; policy=other":                   {wild, TypeUnauthorized, 0},
		"ca.example; accounturi=" + uri + "; POLICY=x":                            {below, TypeUnauthorized, 0},
		"ca.example; accounturi=" + uri + "; accounturi=" + uri:                   {one, TypeMalformed, 0},
		"ca.example; accounturi=" + strings.ToUpper(uri):                          {one, TypeUnauthorized, 0},
		"ca.example; accounturi=" + strings.Replace(uri, "256", "512", 1):         {one, TypeMalformed, 0},
		"ca.example; accounturi=" + account:                                       {one, TypeUnauthorized, 0},
		"ca.example; accounturi=" + PersistURI(prefix, "example", "new", account): {one, TypeUnauthorized, 0},
		"ca.example":                       {one, TypeUnauthorized, 0},
		"other.example; accounturi=" + uri: {one, TypeUnauthorized, 0},
		"ca.example.; accounturi=" + uri:   {one, TypeUnauthorized, 0},
		"ca.example accounturi=" + uri:     {one, TypeUnauthorized, 0},
		";":                                {one, TypeUnauthorized, 0},
	} {
		v := DNSPersist01{Resolver: texts{name: {"unrelated", text}}, Issuers: []string{"ca.example"}, Prefix: prefix, Now: func() time.Time { return now }}
		record, err := v.Validate(t.Context(), c.q)
		var p *Problem
		switch {
		case c.typ == "" && (err != nil || record.DNS.Texts != 2 || c.until != 0 && record.Until.Unix() != c.until || c.until == 0 && !record.Until.IsZero()):
			t.Errorf("%s: %+v, %v", text, record, err)
		case c.typ != "" && (!errors.As(err, &p) || p.Type != c.typ || !p.Retry || strings.Contains(p.Detail, uri)):
			t.Errorf("%s: %v", text, err)
		}
	}
	old := DNSPersist01{Resolver: texts{name: {"ca.example; accounturi=" + account}}, Issuers: []string{"ca.example"}, Now: time.Now}
	if _, err := old.Validate(t.Context(), one); err != nil {
		t.Errorf("draft 00: %v", err)
	}
	var p *Problem
	for what, v := range map[string]DNSPersist01{
		"draft 00, another account": {Resolver: texts{name: {"ca.example; accounturi=" + account + "2"}}, Issuers: []string{"ca.example"}, Now: time.Now},
		"draft 00, a digest":        {Resolver: texts{name: {"ca.example; accounturi=" + uri}}, Issuers: []string{"ca.example"}, Now: time.Now},
		"nothing":                   {Resolver: texts{}, Issuers: []string{"ca.example"}, Prefix: prefix, Now: time.Now},
	} {
		if _, err := v.Validate(t.Context(), one); !errors.As(err, &p) || !p.Retry {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := old.Validate(t.Context(), Question{Identifier: "host.example"}); !errors.As(err, &p) || p.Type != TypeServerInternal {
		t.Errorf("without an account: %v", err)
	}
}

// FuzzPersistRecord: a record proves a name only where it holds the account.
func FuzzPersistRecord(f *testing.F) {
	const account, prefix = "https://ca.example/acct/1", "https://ca.example/h/"
	uri := PersistURI(prefix, "host.example", "new", account)
	f.Add("ca.example; accounturi=" + uri + "; policy=wildcard; persistUntil=1800000001")
	f.Add(";;=;")
	f.Fuzz(func(t *testing.T, text string) {
		v := DNSPersist01{Resolver: texts{"_validation-persist.host.example": {text}}, Issuers: []string{"ca.example"}, Prefix: prefix, Now: func() time.Time { return time.Unix(1800000000, 0) }}
		_, err := v.Validate(t.Context(), Question{Identifier: "host.example", Account: account, Thumbprints: []string{"new"}})
		if err == nil && !strings.Contains(text, uri) && !strings.Contains(text, PersistURI(prefix, "*", "new", account)) {
			t.Errorf("%q proves the name", text)
		}
	})
}

package va

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"

	"github.com/enrollgate/enrollgate/protocols/internal/outbound"
	"github.com/enrollgate/enrollgate/protocols/internal/outbound/dnstest"
)

const accountURL = "https://ca.example/acme/t/c/p/account/1"

func caaCheck(t *testing.T, servers ...string) CAA {
	t.Helper()
	r, err := outbound.NewResolver(outbound.ResolverConfig{Servers: servers, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	return CAA{Resolver: r, Issuers: []string{"ca.example", "second.example"}}
}

func TestCAA(t *testing.T) {
	server := dnstest.New(t,
		"none.example. 1 IN TXT x",
		`ours.example. 1 IN CAA 0 issue "ca.example"`,
		`host.ours.example. 1 IN TXT x`,
		`theirs.example. 1 IN CAA 0 issue "other.example"`,
		`own.theirs.example. 1 IN CAA 0 issue "CA.example"`,
		`alias.example. 1 IN CNAME theirs.example.`,
		`nobody.example. 1 IN CAA 0 issue ";"`,
		`either.example. 1 IN CAA 0 issue "other.example"`,
		`either.example. 1 IN CAA 0 issue "second.example; x=1"`,
		`report.example. 1 IN CAA 0 iodef "mailto:a@report.example"`,
		`critical.example. 1 IN CAA 128 tbs "unknown"`,
		`critical.example. 1 IN CAA 0 issue "ca.example"`,
		`odd.example. 1 IN CAA 0 tbs "unknown"`,
		`upper.example. 1 IN CAA 128 ISSUE "ca.example"`,
		`wild.example. 1 IN CAA 0 issue "ca.example"`,
		`wild.example. 1 IN CAA 0 issuewild ";"`,
		`onlywild.example. 1 IN CAA 0 issuewild "ca.example"`,
		`account.example. 1 IN CAA 0 issue "ca.example; accounturi=`+accountURL+`"`,
		`another.example. 1 IN CAA 0 issue "ca.example; accounturi=`+accountURL+`2"`,
		`accounts.example. 1 IN CAA 0 issue "ca.example; accounturi=`+accountURL+`; accounturi=x"`,
		`dns.example. 1 IN CAA 0 issue "ca.example ; validationmethods=dns-01,x-y ; accounturi=`+accountURL+`"`,
		`broken.example. 1 IN CAA 0 issue "ca.example; %%%"`,
		`circle.example. 1 IN CNAME circle.example.`,
	)
	check := caaCheck(t, server.Addr)
	for _, c := range []struct {
		q    CAAQuestion
		want string // part of the refusal; empty: allowed
	}{
		{CAAQuestion{Domain: "none.example"}, ""},
		{CAAQuestion{Domain: "nowhere.example"}, ""},
		{CAAQuestion{Domain: "ours.example"}, ""},
		{CAAQuestion{Domain: "host.ours.example"}, ""},
		{CAAQuestion{Domain: "deep.host.ours.example", Wildcard: true}, ""},
		{CAAQuestion{Domain: "theirs.example"}, "the CAA records of theirs.example do not allow this: they name other issuers than ca.example, second.example"},
		{CAAQuestion{Domain: "a.b.theirs.example"}, "records of theirs.example"},
		{CAAQuestion{Domain: "own.theirs.example"}, ""},
		{CAAQuestion{Domain: "alias.example"}, "other issuers"},
		{CAAQuestion{Domain: "nobody.example"}, "other issuers"},
		{CAAQuestion{Domain: "either.example"}, ""},
		{CAAQuestion{Domain: "report.example"}, ""},
		{CAAQuestion{Domain: "critical.example"}, "critical"},
		{CAAQuestion{Domain: "odd.example"}, ""},
		{CAAQuestion{Domain: "upper.example"}, ""},
		{CAAQuestion{Domain: "wild.example"}, ""},
		{CAAQuestion{Domain: "wild.example", Wildcard: true}, "other issuers"},
		{CAAQuestion{Domain: "onlywild.example"}, ""},
		{CAAQuestion{Domain: "onlywild.example", Wildcard: true}, ""},
		{CAAQuestion{Domain: "account.example"}, ""},
		{CAAQuestion{Domain: "another.example"}, "another account"},
		{CAAQuestion{Domain: "accounts.example"}, "another account"},
		{CAAQuestion{Domain: "dns.example", Method: "dns-01"}, ""},
		{CAAQuestion{Domain: "dns.example"}, "validation by http-01"},
		{CAAQuestion{Domain: "broken.example"}, "other issuers"},
	} {
		c.q.Account = accountURL
		if c.q.Method == "" {
			c.q.Method = "http-01"
		}
		err := check.Check(t.Context(), c.q)
		if c.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", c.q, err)
			}
			continue
		}
		wantProblem(t, err, TypeCAA, c.want, false)
	}
	if n := server.Asked("theirs.example", dns.TypeCAA); n != 2 { // named itself, and above a.b
		t.Errorf("theirs.example was asked %d times for 2 checks", n)
	}
	wantProblem(t, check.Check(t.Context(), CAAQuestion{Domain: "circle.example"}), TypeCAA, "aliases", true)
}

// TestCAAUnknown: a server that fails, or does not answer, is no permission; and
// once it answers again the next check sees that.
func TestCAAUnknown(t *testing.T) {
	var failing atomic.Bool
	failing.Store(true)
	server := dnstest.Serve(t, dns.HandlerFunc(func(w dns.ResponseWriter, ask *dns.Msg) {
		reply := new(dns.Msg).SetReply(ask)
		if failing.Load() && strings.HasPrefix(ask.Question[0].Name, "example") { // the parent alone
			reply.Rcode = dns.RcodeServerFailure
		}
		if err := w.WriteMsg(reply); err != nil {
			t.Error(err)
		}
	}))
	check := caaCheck(t, server)
	wantProblem(t, check.Check(t.Context(), CAAQuestion{Domain: "host.example"}), TypeCAA, "whether example allows this CA is not known", true)
	failing.Store(false)
	if err := check.Check(t.Context(), CAAQuestion{Domain: "host.example"}); err != nil {
		t.Error(err)
	}
}

func FuzzParseIssue(f *testing.F) {
	for _, text := range []string{"", ";", "ca.example", "ca.example; a=b", " ca.example ;accounturi=https://x/1; validationmethods=http-01,dns-01 ", "a b", "ca.example;=", "-a.b", "a..b", "a;b=\x7f"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		issuer, parameters, ok := parseIssue(text)
		if !ok && (issuer != "" || parameters != nil) {
			t.Errorf("%q is malformed and yet means %q", text, issuer)
		}
		if strings.ContainsAny(issuer, " \t;=") || len(issuer) > len(text) {
			t.Errorf("%q names the issuer %q", text, issuer)
		}
		for _, p := range parameters {
			if !isTag(p.tag, "-") || strings.ContainsAny(p.value, " ;") {
				t.Errorf("%q has the parameter %q", text, p)
			}
		}
	})
}

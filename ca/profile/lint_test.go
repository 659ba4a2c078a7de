package profile

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// findings is told of every finding, ignored ones too.
type findings struct{ all []string }

func (f *findings) LintFound(rule, action string) { f.all = append(f.all, rule+" "+action) }
func (f *findings) LintDepth(string)              {}

// linted gives every finding about a decision, and the refusal.
func linted(t *testing.T, p *Profile, r *ca.Request) (*findings, error) {
	t.Helper()
	d, issuer, seen := decided(t, p, r), facts(t), &findings{}
	l, err := lint.New(lint.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Observer: seen, Policies: map[string]ruleset.Policy{p.ID(): p.Lint()}})
	if err != nil {
		t.Fatal(err)
	}
	serial := ca.NewSerial(d.NotAfter)
	template := &pkix.Template{Serial: serial[:], Signature: issuer.Signature, Issuer: issuer.Subject, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		Subject: d.Subject, Key: r.Possession.Key(), Extensions: d.Extensions}
	tbs, err := template.MarshalTBS()
	if err != nil {
		t.Fatal(err)
	}
	return seen, l.Lint(tbs, template, p.ID())
}

// No built-in profile makes a certificate in which lint finds anything.
func TestBuiltinPassesLint(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		for _, key := range []string{"rsa-2048", "rsa-3072", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521"} {
			p := compiled(t, w)
			r := &ca.Request{Endpoint: "e", Operation: ca.Enroll, Possession: possession(t, key)}
			switch {
			case key == "ecdsa-p521" && !strings.HasPrefix(w.ID, "privatessl-"):
				continue // which it does not issue to
			case strings.HasPrefix(w.ID, "privatessl-"):
				r.Claims = []claim.Claim{proof(t, "www.example.com", claim.HTTP01), proof(t, "*.host_1.internal", claim.DNS01)}
			case !strings.HasPrefix(w.ID, "gateway-"):
				continue // TestCatalogueIssues has lint look at what they need
			case w.Kind == KindRA && !strings.HasPrefix(key, "rsa-"):
				continue // SCEP has RSA alone
			case w.Kind != KindResponder && w.Kind != KindRA:
				name, err := claim.FromServiceName(claim.NewVerifier(caller.System), claim.ServiceName{Owner: "service:tls", DNS: "localhost", At: now})
				if err != nil {
					t.Fatal(err)
				}
				r.Claims = []claim.Claim{name, serviceIP(t, "::1"), serviceIP(t, "127.0.0.1")}
			}
			if seen, err := linted(t, p, r); err != nil || len(seen.all) > 0 {
				t.Errorf("%s %s: %v, %v", w.ID, key, seen.all, err)
			}
		}
	}
}

// A profile's lint block reaches lint, and a slip in it is found.
func TestLintBlock(t *testing.T) {
	w, _, err := BuiltinByID("privatessl-tls-server")
	if err != nil {
		t.Fatal(err)
	}
	w.Extensions = []WrittenExtension{{OID: "2.5.29.18", Type: "hex", Value: "3000"}} // an issuerAltName that names nobody
	r := request(t, "www.example.com")
	for want, block := range map[string]*ruleset.Written{"e_ext_ian_no_entries refuse": nil, "e_ext_ian_no_entries log": {Log: []string{"e_ext_ian_no_entries"}},
		"e_ext_ian_no_entries ignore": {Error: "ignore"}} {
		w.Lint = block
		seen, err := linted(t, compiled(t, w), r)
		if strings.Join(seen.all, " ") != want || ca.IsKind(err, ca.Denied) != (block == nil) {
			t.Errorf("%v, %v, want %s", seen.all, err, want)
		}
		if e := ca.AsError(err); block == nil && (!strings.Contains(e.Public, "e_ext_ian_no_entries, RFC 5280: 4.2.1.7") || !strings.Contains(e.Public, "under lint")) {
			t.Errorf("the refusal says %q", e.Public)
		}
	}
	w.Lint = &ruleset.Written{Warn: "shout", Ignore: []string{"serial"}}
	_, err = Compile(w)
	if err == nil || !strings.Contains(err.Error(), `lint.warn: "shout" is not a choice; allowed: refuse, log, ignore`) || !strings.Contains(err.Error(), `lint.ignore.0: "serial" is no rule`) {
		t.Errorf("%v", err)
	}
}

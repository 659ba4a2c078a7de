package interop

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

var update = flag.Bool("update", false, "write the examples in docs anew")

type explained struct {
	Tenant      string
	Refusals    []struct{ Kind, Field, Rule, Text, Advice, Caller, Endpoint string }
	Certificate *struct {
		Serial, State, Operation, Transaction, Trace, Requester string
		Fields                                                  []struct{ Field, Value, Source, Note string }
		Unexplained                                             []string
		Revocation                                              *struct{ State, Reason string }
		DER                                                     []byte
	}
	Audit []struct {
		Event, Actor, Trace string
		Detail              map[string]string
	}
}

// fieldOf names the decision's field for each extension that certificates here
// can have; one that is missing in this table fails the test.
var fieldOf = map[string][]string{
	"2.5.29.14": {"subject_key_id"}, "2.5.29.15": {"key_usage"}, "2.5.29.17": {"san.dns", "san.ip"}, "2.5.29.19": {"basic_constraints"},
	"2.5.29.31": {"urls.crl"}, "2.5.29.32": {"policies", "extension.certificatePolicies"}, "2.5.29.35": {"authority_key_id"},
	"2.5.29.37": {"ext_key_usage"}, "1.3.6.1.5.5.7.1.1": {"urls.aia", "urls.ocsp"},
	"1.3.6.1.5.5.7.48.1.5": {"ocsp_no_check"},
}

// explainsEverything: each field of each certificate, read by another parser,
// is accounted for by a line with a source.
func (o *operator) explainsEverything() {
	o.Helper()
	for _, serial := range o.list() {
		var e explained
		o.ask(&e, "explain", serial)
		c := e.Certificate
		if c == nil || c.Serial != serial || len(c.Unexplained) != 0 || len(e.Audit) != 1 || e.Audit[0].Event != "certificate.issued" {
			o.Errorf("explain %s: %+v", serial, e)
			continue
		}
		cert, err := x509.ParseCertificate(c.DER)
		if err != nil {
			o.Fatal(err)
		}
		need := func(value string, names ...string) {
			o.Helper()
			for _, f := range c.Fields {
				if slices.Contains(names, f.Field) && f.Source != "" && (value == "" || f.Value == value) {
					return
				}
			}
			o.Errorf("%s: no line %v with value %q", serial, names, value)
		}
		need(serial, "serial")
		need("", "issuer")
		need("", "signature")
		need("", "key")
		need(cert.NotBefore.Format(time.RFC3339), "validity.not_before")
		need(cert.NotAfter.Format(time.RFC3339), "validity.not_after")
		for _, a := range cert.Subject.Names {
			if a.Type.String() != "2.5.4.3" {
				o.Errorf("%s: the test does not know the subject attribute %s", serial, a.Type)
			}
			if c.Requester == "service:ocsp" || c.Requester == "service:ra" { // a constant of its profile
				need("CN="+fmt.Sprint(a.Value), "subject")
				continue
			}
			need(fmt.Sprint(a.Value), "subject.CN")
		}
		for _, n := range cert.DNSNames {
			need("dns:"+n, "san.dns")
		}
		for _, ip := range cert.IPAddresses {
			need("ip:"+ip.String(), "san.ip")
		}
		for _, x := range cert.Extensions {
			if len(fieldOf[x.Id.String()]) == 0 {
				o.Errorf("%s: the test does not know the extension %s", serial, x.Id)
			}
			need("", fieldOf[x.Id.String()]...)
		}
		if c.Operation != "enroll" || (c.Transaction == "") != strings.HasPrefix(c.Requester, "service:") {
			o.Errorf("%s: operation %q, transaction %q of %s", serial, c.Operation, c.Transaction, c.Requester)
		}
		var again explained
		if o.ask(&again, "explain", strings.ToLower(c.Trace)); again.Certificate == nil || again.Certificate.Serial != serial {
			o.Errorf("explain %s does not find %s", c.Trace, serial)
		}
	}
}

var traceInText = regexp.MustCompile(`\[trace ([0-9A-Z]{10})\]`)

// explainsRefusal: the trace id that the client read leads to the rule.
// wantOperation asks what a certificate was issued as.
func (o *operator) wantOperation(c *x509.Certificate, operation string) {
	o.Helper()
	var e explained
	o.ask(&e, "explain", fmt.Sprintf("%032x", c.SerialNumber))
	if len(e.Audit) != 1 || e.Audit[0].Detail["operation"] != operation {
		o.Errorf("want the operation %s: %+v", operation, e.Audit)
	}
}

func (o *operator) explainsRefusal(s *site) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), 60*time.Second)
	defer cancel()
	_, err := s.account(o.T, ctx, "narrow").AuthorizeOrder(ctx, acme.DomainIDs("host.wide.example"))
	var problem *acme.Error
	if !errors.As(err, &problem) {
		o.Fatalf("a name outside of the profile: %v", err)
	}
	found := traceInText.FindStringSubmatch(problem.Error())
	if found == nil {
		o.Fatalf("no trace id in %v", problem)
	}
	for range 100 { // refusals are written by the second; up to 20 s, reached only if one is lost
		if out, err := exec.Command(o.binary, append([]string{"explain", found[1]}, o.where...)...).Output(); err == nil {
			if !strings.Contains(string(out), "was refused") {
				o.Errorf("explain %s:\n%s", found[1], out)
			}
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	var e explained
	o.ask(&e, "explain", found[1])
	if len(e.Refusals) != 1 || e.Certificate != nil || e.Tenant != "default" {
		o.Fatalf("explain %s: %+v", found[1], e)
	}
	r := e.Refusals[0]
	if r.Kind != "denied" || r.Field != "dns:host.wide.example" || !strings.Contains(r.Rule, "subject_alt_name.dns.allow") || r.Endpoint != "acme-narrow" ||
		!strings.HasPrefix(r.Caller, "acme-account:") || r.Text == "" || !strings.Contains(r.Advice, "profile show") {
		o.Errorf("refusal: %+v", r)
	}
	if _, stderr := o.run(1, "explain", found[1], "--tenant", "other"); !strings.Contains(stderr, "no audit row of tenant other") {
		o.Errorf("another tenant's trace: %q", stderr)
	}
}

// example holds the text of docs/issuance.md between its markers against what
// explain prints, with what differs from run to run replaced.
func (o *operator) example(serial string) {
	o.Helper()
	out, _ := o.run(0, "explain", serial)
	for _, r := range [][2]string{
		{serial[:4], "5fa1"}, {serial[4:], "3b07c2d9e8841f60a5b2c4d6e7f8"},
		{`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, "2026-03-01T12:00:00Z"}, {`\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`, "2026-03-01 12:00:00Z"},
		{`(acme-account:)[0-9A-Z]+`, "${1}3V7QK0T9XW"}, {`(authorization )[0-9A-Z]+`, "${1}8ZC4M1R6YN"}, {`(transaction"?:? *"?)[0-9A-Z]{12,}`, "${1}5H2D9B7KQF"},
		{`(trace +)[0-9A-Z]{10}`, "${1}7N3XK9A2QD"}, {`(3V7QK0T9XW +)[0-9A-Z]{10}`, "${1}7N3XK9A2QD"}, {`(SHA-256 )[0-9a-f]{64}`, "${1}9c41..."},
		{`\b[0-9a-f]{40}\b`, "e0a1...47"}, {`localhost:\d+`, "pki.example.com"},
	} {
		out = regexp.MustCompile(r[0]).ReplaceAllString(out, r[1])
	}
	out = aligned(out)
	file := filepath.Join(harness.ModuleRoot(o.T), "docs", "issuance.md")
	text := read(o.T, file)
	const begin, end = "<!-- explain -->\n```text\n", "```\n<!-- /explain -->"
	before, rest, ok := strings.Cut(text, begin)
	have, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		o.Errorf("%s has no place for the example", file)
	case have == out:
	case *update:
		if err := os.WriteFile(file, []byte(before+begin+out+end+after), 0o644); err != nil {
			o.Error(err)
		}
	default:
		o.Errorf("the example in docs/issuance.md is not what explain prints (go test ./test/interop -run TestOperators -update):\n%s", out)
	}
}

// aligned sets the columns of each paragraph anew.
func aligned(text string) string {
	var b strings.Builder
	gap := regexp.MustCompile(`(\S) {2,}`)
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for line := range strings.Lines(paragraph) {
			fmt.Fprintln(columns, gap.ReplaceAllString(strings.TrimRight(line, " \n"), "$1\t"))
		}
		columns.Flush() // into memory
	}
	return b.String()
}

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
)

type profileTestCmd struct {
	source
	Profile   string      `arg:"" help:"Id of the profile, a file with one, or FILE#ID."`
	CSR       string      `name:"csr" required:"" help:"Certificate request (PKCS#10, PEM or DER)." type:"path" placeholder:"FILE"`
	Claim     []string    `help:"What is supposed to be proven: KIND=VALUE, with KIND dns, ip, email, uri, upn, hardware, permanent, sid, serial, principal, directory or attested; METHOD:KIND=VALUE says how. Repeat it for more." placeholder:"KIND=VALUE" sep:"none"`
	Door      caller.Door `name:"asserted-by-door" help:"Door that the request comes in by: acme, est, scep, cmp, wstep, operator, system. Default: one whose callers may use every grant." enum:",acme,est,scep,cmp,wstep,operator,system" default:"" placeholder:"DOOR"`
	Operation string      `help:"enroll, renew, rekey or keygen." enum:"enroll,renew,rekey,keygen" default:"enroll" placeholder:"WHAT"`
	At        string      `help:"Time of the decision, RFC 3339. Default: now." placeholder:"TIME"`
	JSON      bool        `name:"json" help:"Print one JSON object."`
}

// tried is what `profile test` prints.
type tried struct {
	Profile string         `json:"profile"`
	Hash    string         `json:"hash"`
	At      time.Time      `json:"at"`
	Issued  bool           `json:"issued"` // it would be
	Refusal *triedRefusal  `json:"refusal,omitempty"`
	Steps   []profile.Step `json:"steps"`
	Fields  []ca.Field     `json:"fields"`
	Lint    []string       `json:"lint"` // rules that the certificate breaks, each with what becomes of it
}

type triedRefusal struct {
	Field string `json:"field"`
	Rule  string `json:"rule"`
	Text  string `json:"text"`
}

// Run decides a request offline, as a made-up CA would. It fails where the
// request is refused.
func (cmd *profileTestCmd) Run(c console) error {
	all, _, err := cmd.profiles()
	if err != nil {
		return err
	}
	p, err := findProfile(all, cmd.Profile)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	if cmd.At != "" {
		if now, err = time.Parse(time.RFC3339, cmd.At); err != nil {
			return fmt.Errorf("%w: --at is a time such as 2030-01-31T12:00:00Z (RFC 3339)", errUsage)
		}
	}
	t, err := cmd.trial(p, now)
	if err != nil {
		return err
	}
	out, err := try(p, t, now)
	if err != nil {
		return err
	}
	if cmd.JSON {
		err = printJSON(c.out, out)
	} else {
		err = out.print(c)
	}
	if err == nil && !out.Issued {
		return errSaid
	}
	return err
}

// trial reads the request and what is supposed about it.
func (cmd *profileTestCmd) trial(p *profile.Profile, now time.Time) (*profile.Trial, error) {
	der, err := readCSR(cmd.CSR)
	if err != nil {
		return nil, err
	}
	csr, possession, err := claim.VerifyCSR(der, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", printable(cmd.CSR), err)
	}
	r := &ca.Request{Operation: ca.Operation(cmd.Operation), Possession: possession,
		Asserted: ca.Asserted{Subject: csr.Subject, AltNames: csr.AltNames, Extensions: csr.Extensions}}
	for _, text := range cmd.Claim {
		one, err := supposedClaim(p, text, now)
		if err != nil {
			return nil, fmt.Errorf("%w: --claim %s: %v", errUsage, printable(text), err)
		}
		r.Claims = append(r.Claims, one)
	}
	issuer, err := madeUpIssuer(now)
	return &profile.Trial{Request: r, Issuer: issuer, Door: cmd.Door, Possession: possession.Method()}, err
}

// readCSR reads a request in PEM or DER.
func readCSR(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	data := make([]byte, 2*pkix.MaxCSR+1)
	n := 0
	for err == nil && n < len(data) {
		var more int
		more, err = f.Read(data[n:])
		n += more
	}
	if n == len(data) {
		return nil, fmt.Errorf("%s is too long for a certificate request", printable(name))
	}
	if block, _ := pem.Decode(data[:n]); block != nil {
		return block.Bytes, nil
	}
	return data[:n], nil
}

// supposedClaim reads KIND=VALUE or METHOD:KIND=VALUE. Without a method it is
// one that the profile takes for the kind.
func supposedClaim(p *profile.Profile, text string, now time.Time) (claim.Claim, error) {
	word, value, _ := strings.Cut(text, "=")
	method, kind, said := strings.Cut(word, ":")
	if !said {
		kind, method = word, string(p.MethodFor(claim.Kind(word), value))
	}
	return claim.FromOffline(claim.NewOfflineVerifier(), claim.Offline{Kind: claim.Kind(kind), Value: value, Method: claim.Method(method), At: now})
}

// madeUpIssuer gives a CA of the day of the decision, with every address that
// one can have.
func madeUpIssuer(now time.Time) (*ca.Facts, error) {
	signer, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := pkix.NewPublicKey(signer.Public())
	if err != nil {
		return nil, err
	}
	algorithm, err := pkix.SignatureFor(key)
	if err != nil {
		return nil, err
	}
	attribute, err := pkix.NewAttribute(pkix.OID{2, 5, 4, 3}, "Made-up CA")
	if err != nil {
		return nil, err
	}
	name, err := pkix.MarshalName([]pkix.RDN{{attribute}})
	if err != nil {
		return nil, err
	}
	return &ca.Facts{Tenant: "offline", CA: "made-up", Generation: 1, Subject: name, KeyID: key.KeyID(), Key: key, Signature: algorithm,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(10, 0, 0), CRLSign: true, AIA: []string{"http://ca.invalid/ca.cer"},
		CDP: []string{"http://ca.invalid/ca.crl"}, OCSP: []string{"http://ca.invalid/ocsp"}}, nil
}

// try decides and has lint look at what would be signed.
func try(p *profile.Profile, t *profile.Trial, now time.Time) (*tried, error) {
	a := p.Try(t, now)
	out := &tried{Profile: p.ID(), Hash: fmt.Sprintf("%x", p.Hash()), At: now, Steps: a.Steps, Fields: a.Decision.Fields, Lint: []string{}}
	err := ca.CheckKey(t.Request.Possession.Key())
	out.step("key, whatever the profile says", err)
	out.Steps = slices.Insert(out.Steps[:len(out.Steps)-1], 0, out.Steps[len(out.Steps)-1])
	if err == nil {
		err = a.Err
	}
	if err == nil {
		err = out.lint(p, t, a.Decision)
		out.step("lint", err)
	} else {
		out.Steps = append(out.Steps, profile.Step{Name: "lint", Verdict: profile.VerdictNotReached})
	}
	if err != nil {
		e := ca.AsError(err)
		if e.Kind == ca.Internal {
			return nil, err
		}
		out.Refusal = &triedRefusal{e.Field, e.Rule, e.Public}
	}
	out.Issued = err == nil
	return out, nil
}

func (out *tried) step(name string, err error) {
	verdict := profile.VerdictHolds
	if err != nil {
		verdict = profile.VerdictRefused
	}
	out.Steps = append(out.Steps, profile.Step{Name: name, Verdict: verdict})
}

// LintFound implements lint.Observer.
func (out *tried) LintFound(rule, action string) { out.Lint = append(out.Lint, rule+": "+action) }

// LintDepth implements lint.Observer.
func (out *tried) LintDepth(string) {}

func (out *tried) lint(p *profile.Profile, t *profile.Trial, d *ca.Decision) error {
	l, err := lint.New(lint.Options{Log: slog.New(slog.DiscardHandler), Observer: out, Policies: map[string]ruleset.Policy{p.ID(): p.Lint()}})
	if err != nil {
		return err
	}
	serial := ca.NewSerial(d.NotAfter)
	template := &pkix.Template{Serial: serial[:], Signature: t.Issuer.Signature, Issuer: t.Issuer.Subject, NotBefore: d.NotBefore,
		NotAfter: d.NotAfter, Subject: d.Subject, Key: t.Request.Possession.Key(), Extensions: d.Extensions}
	tbs, err := template.MarshalTBS()
	if err != nil {
		return ca.InternalError(err)
	}
	return l.Lint(tbs, template, p.ID())
}

func (out *tried) print(c console) error {
	if out.Issued {
		fmt.Fprintf(c.out, "A certificate would be issued under profile %s at %s\n", out.Profile, date(out.At))
	} else {
		fmt.Fprintf(c.out, "The request would be refused under profile %s at %s\n", out.Profile, date(out.At))
		t := newTable(c.out)
		for _, line := range [][2]string{{"field", out.Refusal.Field}, {"rule", out.Refusal.Rule}, {"text", out.Refusal.Text}} {
			t.row("  "+line[0], line[1])
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	t := newTable(c.out)
	fmt.Fprintln(t, "\nSTEP\tVERDICT")
	for _, s := range out.Steps {
		t.row(s.Name, s.Verdict)
	}
	for _, found := range out.Lint {
		rule, action, _ := strings.Cut(found, ": ")
		t.row("lint: "+rule, action)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	t = newTable(c.out)
	fmt.Fprintln(t, "\nFIELD\tVALUE\tSOURCE\tNOTE")
	for _, f := range out.Fields {
		note := f.Note
		if f.Denied {
			note = "refused: " + note
		}
		t.row(f.Name, f.Value, f.Source, note)
	}
	return t.Flush()
}

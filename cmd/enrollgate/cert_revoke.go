package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/config"
)

// certChange is what the commands share that change the status of certificates.
type certChange struct {
	source
	selection
	Serial  []string `arg:"" optional:"" help:"Serial numbers: 32 hexadecimal digits each."`
	Serials string   `help:"File of serial numbers, one a line; - is stdin." placeholder:"FILE"`
	DryRun  bool     `name:"dry-run" help:"Say how many certificates it would be, and change nothing."`
	Yes     bool     `help:"Do not ask. Needed where stdin is no terminal."`
	JSON    bool     `name:"json" help:"Print one JSON object."`
}

type certRevokeCmd struct {
	certChange
	Reason  string `help:"unspecified, keyCompromise (the key is refused from now on), cACompromise (of a CA certificate), affiliationChanged, superseded, cessationOfOperation, certificateHold (until it is revoked for good, or released with cert unhold) or privilegeWithdrawn (RFC 5280 section 5.3.1)." placeholder:"REASON"`
	Invalid string `name:"invalidity-date" help:"Since when the key must not be trusted: a day or an RFC 3339 time." placeholder:"TIME"`
	Proof   string `help:"Revoke every certificate of the key that signed this certificate request, whose common name says that the key is compromised, and refuse the key from now on." placeholder:"FILE"`
}

// Run revokes or holds certificates.
func (cmd *certRevokeCmd) Run(c console) error {
	var invalid time.Time
	var proof []byte
	if cmd.Proof != "" && cmd.Reason == "" {
		cmd.Reason = ca.KeyCompromise.String()
	}
	if cmd.Reason == "" {
		return fmt.Errorf("%w: give --reason, one of %s", errUsage, strings.Join(admin.Reasons(), ", "))
	}
	reason, err := admin.ParseReason(cmd.Reason)
	if err != nil {
		return badRequest(err)
	}
	if cmd.Invalid != "" {
		if invalid, err = admin.ParseTime(cmd.Invalid); err != nil {
			return badRequest(err)
		}
	}
	if cmd.Proof != "" {
		if proof, err = readProof(cmd.Proof); err != nil {
			return err
		}
	}
	return cmd.run(c, reason, invalid, proof)
}

type certUnholdCmd struct {
	certChange
}

// Run releases held certificates.
func (cmd *certUnholdCmd) Run(c console) error {
	return cmd.run(c, ca.RemoveFromCRL, time.Time{}, nil)
}

// run changes one certificate, or many.
func (cmd *certChange) run(c console, reason ca.Reason, invalid time.Time, proof []byte) error {
	for _, text := range cmd.Serial {
		if _, err := ca.ParseSerial(text); err != nil {
			return badRequest(err)
		}
	}
	if len(cmd.Serial) != 1 || cmd.Serials != "" || cmd.DryRun || cmd.many() || len(proof) > 0 {
		return cmd.sweep(c, verbsOf(reason), certSweepIn{Reason: reason.String(), Invalid: invalid, Proof: proof})
	}
	return cmd.one(c, reason, certRevokeIn{Tenant: cmd.Tenant, CA: cmd.CA, Serial: cmd.Serial[0], Reason: reason.String(), Invalid: invalid})
}

// certRevokeIn says what to revoke. Without a tenant every one is looked in,
// without a CA every one of the tenant.
type certRevokeIn struct {
	Tenant  string    `json:"tenant"`
	CA      string    `json:"ca"`
	Serial  string    `json:"serial"`
	Reason  string    `json:"reason"`
	Invalid time.Time `json:"invalidity_date,omitzero"`
}

// one changes a certificate through the daemon where one answers, else by this
// process as a replica of its own; in the name of whoever runs this process.
// Whoever sits at a terminal is asked first, with what this process reads in the
// store; what was confirmed is what is then named.
func (cmd *certChange) one(c console, reason ca.Reason, in certRevokeIn) (err error) {
	ctx := context.Background()
	if !cmd.Yes {
		if in.Tenant, in.CA, err = cmd.confirmed(ctx, c, reason); err != nil {
			return err
		}
	}
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	out := &admin.Revoked{}
	if answered, err := callDaemon(ctx, cfg, certRevokePath, in, out); err != nil {
		return badRequest(err)
	} else if !answered {
		if out, err = cmd.alone(ctx, c, in); err != nil {
			return badRequest(err)
		}
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	why := ": " + out.Reason
	if reason == ca.RemoveFromCRL || reason == ca.CertificateHold {
		why = "" // the verb says it
	}
	_, err = fmt.Fprintf(c.out, "%s %s of CA %s, tenant %s%s (trace %s)\n", verbsOf(reason).done, out.Serial, out.CA, out.Tenant, why, out.Trace)
	return err
}

// confirmed finds the certificate, has it confirmed, and says where it is.
func (cmd *certChange) confirmed(ctx context.Context, c console, reason ca.Reason) (tenant, id string, err error) {
	r, found, err := cmd.openCertificate(ctx, c, cmd.Tenant, cmd.CA, cmd.Serial[0])
	if err != nil {
		return "", "", err
	}
	err = confirm(c.err, os.Stdin, isTerminal(os.Stdin), found, reason)
	return found.Tenant, found.CA, errors.Join(err, r.store.Close())
}

// alone does it without a daemon.
func (cmd *certChange) alone(ctx context.Context, c console, in certRevokeIn) (out *admin.Revoked, err error) {
	r, err := cmd.openRecords(ctx, in.Tenant, c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	authority, err := r.revoker()
	if err != nil {
		return nil, err
	}
	return r.revoke(ctx, r.cfg, authority, in, localOperator)
}

// revoke carries out one change of status, for the daemon and without one.
func (d *daemon) revoke(ctx context.Context, cfg *config.Config, a admin.Revoker, in certRevokeIn, actor func(tenant string) (caller.Caller, error)) (*admin.Revoked, error) {
	tenants, err := tenantsOf(cfg, in.Tenant)
	if err != nil {
		return nil, err
	}
	reason, err := admin.ParseChange(in.Reason)
	if err != nil {
		return nil, err
	}
	serial, err := ca.ParseSerial(in.Serial)
	if err != nil {
		return nil, err
	}
	return admin.Revoke(ctx, d.store, a, admin.Revocation{Tenants: tenants, CA: in.CA, Serial: serial, Reason: reason, Invalid: in.Invalid, Actor: actor, Now: time.Now()})
}

// revoker is an authority that can revoke and nothing else: it has no endpoint
// and opens no key.
func (d *daemon) revoker() (*ca.Authority, error) {
	nothing, err := profile.NewEngine(nil)
	if err != nil {
		return nil, err
	}
	return ca.NewAuthority(ca.Parts{Policy: nothing, Linter: lint.Linter{}, Issuers: &issuer.Registry{}, Ledger: d.store, Log: d.log, Now: time.Now})
}

// isTerminal tells whether somebody may sit there; /dev/null looks alike and
// shows when it is read.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// verbs are the words for a change of status.
type verbs struct{ ask, reason, done string }

func verbsOf(reason ca.Reason) verbs {
	switch reason {
	case ca.CertificateHold:
		return verbs{"Hold", "until they are released", "held"}
	case ca.RemoveFromCRL:
		return verbs{"Release the hold of", "which makes them valid again", "released"}
	}
	return verbs{"Revoke", "for good, reason " + reason.String(), "revoked"}
}

// confirm asks whoever sits at the terminal about one certificate.
func confirm(out io.Writer, in io.Reader, terminal bool, c *ca.Certificate, reason ca.Reason) error {
	if !terminal {
		return errNobody
	}
	parsed, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	v := verbsOf(reason)
	return askYes(out, in, fmt.Sprintf("%s %s (%s, until %s) of CA %s, tenant %s, %s?", v.ask, c.Serial, printable(parsed.Subject.String()),
		c.NotAfter.Format(time.DateOnly), c.CA, c.Tenant, strings.ReplaceAll(strings.ReplaceAll(v.reason, "them", "it"), "they are", "it is")))
}

// errNobody: a change that nobody confirmed is not made.
var errNobody = fmt.Errorf("%w: stdin is no terminal, so nobody can be asked; give --yes", errUsage)

// askYes wants a yes, typed out.
func askYes(out io.Writer, in io.Reader, question string) error {
	fmt.Fprint(out, question, " Type yes: ")
	answer, err := bufio.NewReader(io.LimitReader(in, 16)).ReadString('\n')
	if errors.Is(err, io.EOF) && answer == "" {
		fmt.Fprintln(out)
		return errNobody
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("not confirmed; nothing was changed")
	}
	return nil
}

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

type certRevokeCmd struct {
	source
	Serial  string `arg:"" help:"Serial number: 32 hexadecimal digits."`
	Tenant  string `help:"Look in this tenant alone; default: every tenant of the configuration." placeholder:"ID"`
	CA      string `name:"ca" help:"Look in this CA alone." placeholder:"ID"`
	Reason  string `required:"" help:"unspecified, keyCompromise (the key is refused from now on), affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn (RFC 5280 section 5.3.1)." placeholder:"REASON"`
	Invalid string `name:"invalidity-date" help:"Since when the key must not be trusted: a day or an RFC 3339 time." placeholder:"TIME"`
	Yes     bool   `help:"Do not ask. Needed where stdin is no terminal."`
	JSON    bool   `name:"json" help:"Print one JSON object."`
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

// Run revokes a certificate through the daemon where one answers, else by this
// process as a replica of its own; in the name of whoever runs this process.
// Whoever sits at a terminal is asked first, with what this process reads in the
// store; what was confirmed is what is then named.
func (cmd *certRevokeCmd) Run(c console) (err error) {
	reason, err := admin.ParseReason(cmd.Reason)
	if err != nil {
		return badRequest(err)
	}
	in := certRevokeIn{Tenant: cmd.Tenant, CA: cmd.CA, Serial: cmd.Serial, Reason: cmd.Reason}
	if cmd.Invalid != "" {
		if in.Invalid, err = admin.ParseTime(cmd.Invalid); err != nil {
			return badRequest(err)
		}
	}
	if _, err := ca.ParseSerial(cmd.Serial); err != nil {
		return badRequest(err)
	}
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
	_, err = fmt.Fprintf(c.out, "revoked %s of CA %s, tenant %s: %s (trace %s)\n", out.Serial, out.CA, out.Tenant, out.Reason, out.Trace)
	return err
}

// confirmed finds the certificate, has it confirmed, and says where it is.
func (cmd *certRevokeCmd) confirmed(ctx context.Context, c console, reason ca.Reason) (tenant, id string, err error) {
	r, found, err := cmd.openCertificate(ctx, c, cmd.Tenant, cmd.CA, cmd.Serial)
	if err != nil {
		return "", "", err
	}
	err = confirm(c.err, os.Stdin, isTerminal(os.Stdin), found, reason)
	return found.Tenant, found.CA, errors.Join(err, r.store.Close())
}

// alone revokes without a daemon.
func (cmd *certRevokeCmd) alone(ctx context.Context, c console, in certRevokeIn) (out *admin.Revoked, err error) {
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

// revoke carries out one revocation, for the daemon and without one.
func (d *daemon) revoke(ctx context.Context, cfg *config.Config, a admin.Revoker, in certRevokeIn, actor func(tenant string) (caller.Caller, error)) (*admin.Revoked, error) {
	tenants, err := tenantsOf(cfg, in.Tenant)
	if err != nil {
		return nil, err
	}
	reason, err := admin.ParseReason(in.Reason)
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

// confirm asks whoever sits at the terminal.
func confirm(out io.Writer, in io.Reader, terminal bool, c *ca.Certificate, reason ca.Reason) error {
	nobody := fmt.Errorf("%w: stdin is no terminal, so nobody can be asked; give --yes", errUsage)
	if !terminal {
		return nobody
	}
	parsed, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Revoke %s (%s, until %s) of CA %s, tenant %s, for good, reason %s? Type yes: ", c.Serial, printable(parsed.Subject.String()),
		c.NotAfter.Format(time.DateOnly), c.CA, c.Tenant, reason)
	answer, err := bufio.NewReader(io.LimitReader(in, 16)).ReadString('\n')
	if errors.Is(err, io.EOF) && answer == "" {
		fmt.Fprintln(out)
		return nobody
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("not confirmed; nothing was revoked")
	}
	return nil
}

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
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
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

// revoked is what `cert revoke --json` prints.
type revoked struct {
	Tenant  string     `json:"tenant"`
	CA      string     `json:"ca"`
	Serial  string     `json:"serial"`
	State   ca.State   `json:"state"`
	Reason  string     `json:"reason"`
	Invalid *time.Time `json:"invalidity_date,omitempty"`
	At      time.Time  `json:"at"`
	Actor   string     `json:"actor"`
	Trace   string     `json:"trace"` // of the audit row
}

// Run revokes a certificate in the name of whoever runs this process.
func (cmd *certRevokeCmd) Run(c console) (err error) {
	reason, err := admin.ParseReason(cmd.Reason)
	if err != nil {
		return badRequest(err)
	}
	var invalid time.Time
	if cmd.Invalid != "" {
		if invalid, err = admin.ParseTime(cmd.Invalid); err != nil {
			return badRequest(err)
		}
	}
	ctx := context.Background()
	r, found, err := cmd.openCertificate(ctx, c, cmd.Tenant, cmd.CA, cmd.Serial)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	if !cmd.Yes {
		if err := confirm(c.err, os.Stdin, isTerminal(os.Stdin), found, reason); err != nil {
			return err
		}
	}
	authority, err := r.revoker()
	if err != nil {
		return err
	}
	actor, err := localOperator(found.Tenant)
	if err != nil {
		return err
	}
	status, trace, err := admin.Revoke(ctx, authority, admin.Revocation{Certificate: found, Reason: reason, Invalid: invalid, Actor: actor, Now: time.Now()})
	if err != nil {
		return badRequest(err)
	}
	out := revoked{Tenant: found.Tenant, CA: found.CA, Serial: found.Serial.String(), State: status.State, Reason: status.Reason.String(), At: status.At, Actor: actor.ID(), Trace: trace}
	if !invalid.IsZero() {
		out.Invalid = &invalid
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	_, err = fmt.Fprintf(c.out, "revoked %s of CA %s, tenant %s: %s (trace %s)\n", out.Serial, out.CA, out.Tenant, out.Reason, trace)
	return err
}

// revoker is an authority that can revoke and nothing else: it has no endpoint
// and opens no key.
func (r *records) revoker() (*ca.Authority, error) {
	nothing, err := profile.NewEngine(nil)
	if err != nil {
		return nil, err
	}
	return ca.NewAuthority(ca.Parts{Policy: nothing, Linter: lint.Linter{}, Issuers: &issuer.Registry{}, Ledger: r.store, Log: r.log, Now: time.Now})
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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/store/backup"
)

type restoreCmd struct {
	source
	File      string   `arg:"" help:"The backup; the configured store must be empty." type:"path"`
	LastCRL   []string `name:"last-crl" help:"A CRL that the lost store published: numbers go on above its own, and what it revokes is revoked again. May be repeated." type:"path" placeholder:"FILE"`
	CRLNumber int64    `name:"crl-number" help:"CRL numbers go on above this one, if it is higher than what the program takes by itself." placeholder:"N"`
	JSON      bool     `name:"json" help:"Print one JSON object."`
}

// restoredStore is what `restore --json` prints.
type restoredStore struct {
	*describedBackup
	CRLs     []backup.List     `json:"crls"`     // where numbers go on: the next list has a higher one
	Relisted []*admin.Relisted `json:"relisted"` // one for each --last-crl
	Warnings []string          `json:"warnings"`
}

// Run restores the store, and revokes again what the lost one had revoked since.
func (cmd *restoreCmd) Run(c console) (err error) {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	if cmd.CRLNumber < 0 || cmd.CRLNumber > 1<<62 {
		return fmt.Errorf("%w: --crl-number is 0 to 2^62", errUsage)
	}
	if cmd.Dev {
		if err := prepareDev(cmd.Data); err != nil {
			return err
		}
	}
	if socket := cfg.Admin.Socket; socket != "" {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close() // nothing was said on it
			return ca.Errorf(ca.Conflict, "a daemon runs on this configuration (it answers at %s): stop it first, and every other replica", socket)
		}
	}
	numbers := &backup.Numbers{Now: time.Now(), Least: cmd.CRLNumber}
	var lists []*pkix.CRL
	for _, name := range cmd.LastCRL {
		list, number, err := readLastCRL(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		lists, numbers.Least = append(lists, list), max(numbers.Least, number+backup.NumberGap)
	}
	progress, done := backupProgress(c.err)
	defer done()
	a, err := backup.Open(cmd.File, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	ctx := context.Background()
	d := &daemon{cfg: cfg, log: newLog(cfg.Log, c.err)}
	out := &restoredStore{describedBackup: describeBackup(cmd.File, a.SHA256, &a.Manifest), Warnings: []string{}, Relisted: []*admin.Relisted{}}
	warnings, err := d.restoreStore(ctx, a, numbers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.store.Close()) }()
	done()
	out.Warnings = append(out.Warnings, warnings...)
	for i := range a.Manifest.CRLs {
		l := a.Manifest.CRLs[i]
		l.Number = max(l.Number, numbers.After(&a.Manifest, &l))
		out.CRLs = append(out.CRLs, l)
	}
	tenants, err := tenantsOf(cfg, "")
	if err != nil {
		return err
	}
	for i, list := range lists {
		done, err := admin.Relist(ctx, d.store, tenants, list, func(tenant string) (caller.Caller, error) { return localOperator(tenant) })
		if err != nil {
			return fmt.Errorf("the store is restored, but what %s revokes was not revoked again: %w", cmd.LastCRL[i], err)
		}
		out.Relisted = append(out.Relisted, done)
	}
	if err := d.openSeal(ctx); err != nil {
		out.Warnings = append(out.Warnings, "the secrets in the restored store do not open: "+sentence(err))
	}
	if digest := cfg.Digest(); fmt.Sprintf("%x", digest) != a.Manifest.Config {
		out.Warnings = append(out.Warnings, "the configuration is not the one that was in force when the backup was made")
	}
	return out.print(c, cmd.JSON)
}

// readLastCRL reads a list of at most pkix.MaxCRL octets.
func readLastCRL(name string) (*pkix.CRL, int64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()                                           // only read from
	data, err := io.ReadAll(io.LimitReader(f, 2*pkix.MaxCRL)) // the parser has the exact bound
	if err != nil {
		return nil, 0, err
	}
	return admin.LastList(data)
}

func (r *restoredStore) print(c console, asJSON bool) error {
	for _, w := range r.Warnings {
		fmt.Fprintln(c.err, "enrollgate:", w)
	}
	if asJSON {
		return printJSON(c.out, r)
	}
	fmt.Fprintf(c.out, "the store is restored as it was at %s: %d rows in %d tables\n", r.Created.Format(time.RFC3339), r.Rows, r.Tables)
	for _, l := range r.CRLs {
		fmt.Fprintf(c.out, "CRL %s/%s/%s goes on after number %d\n", printable(l.Tenant), printable(l.CA), printable(l.Scope), l.Number)
	}
	for _, l := range r.Relisted {
		fmt.Fprintf(c.out, "CRL number %d of %s/%s: %d of %d entries were revoked again, and %d are of certificates that the store does not know\n",
			l.Number, printable(l.Tenant), printable(l.CA), l.Revoked, l.Entries, len(l.Unknown)+l.More)
	}
	_, err := fmt.Fprintln(c.out, "certificates that were issued after the backup are not in it: see docs/backup.md")
	return err
}

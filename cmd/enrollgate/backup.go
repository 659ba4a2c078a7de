package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/store/backup"
	"github.com/enrollgate/enrollgate/store/postgres"
	"github.com/enrollgate/enrollgate/store/sqlite"
)

type backupCmd struct {
	Create backupCreateCmd `cmd:"" help:"Write the store, as it is now, into one file; the daemon may be running."`
	Verify backupVerifyCmd `cmd:"" help:"Check that a backup is whole and could be restored; needs neither daemon nor database."`
}

type backupCreateCmd struct {
	source
	Out  string `required:"" help:"File to write; there must be none yet." type:"path" placeholder:"FILE"`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// describedBackup is how commands show a backup.
type describedBackup struct {
	File     string        `json:"file"`
	SHA256   string        `json:"sha256"`
	Store    string        `json:"store"`
	Schema   int64         `json:"schema"`
	Created  time.Time     `json:"created"`
	Program  string        `json:"program"`
	Tables   int           `json:"tables"`
	Rows     int64         `json:"rows"`
	Feed     int64         `json:"feed_position"`
	Config   string        `json:"config"`
	Separate []backup.Key  `json:"keys_not_included"`
	Trail    *audit.Report `json:"audit,omitempty"`
}

func describeBackup(file, digest string, m *backup.Manifest) *describedBackup {
	return &describedBackup{File: file, SHA256: digest, Store: m.Store, Schema: m.Schema, Created: m.Created, Program: m.Program, Tables: len(m.Tables),
		Rows: m.Rows(), Feed: m.Feed, Config: m.Config, Separate: m.Keys}
}

// Run writes the backup, and then an audit row with its digest into the store.
func (cmd *backupCreateCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, "", c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	progress, done := backupProgress(c.err)
	defer done()
	w, err := backup.Create(cmd.Out, progress)
	if err != nil {
		return err
	}
	defer w.Abandon()
	digest := r.cfg.Digest()
	w.Manifest.Program, w.Manifest.Config = programVersion(), hex.EncodeToString(digest[:])
	if w.Manifest.Keys, err = r.keysOutside(ctx); err != nil {
		return err
	}
	if err := r.store.Backup(ctx, w); err != nil {
		return err
	}
	sum, err := w.Finish()
	if err != nil {
		return err
	}
	if err := r.note(ctx, "backup.created", sum, &w.Manifest); err != nil {
		return fmt.Errorf("%s is whole, but the audit trail does not say that it was made: %w", cmd.Out, err)
	}
	done()
	out := describeBackup(cmd.Out, sum, &w.Manifest)
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	fmt.Fprintf(c.out, "%s: %d rows in %d tables, of %s\nSHA-256 %s\n", out.File, out.Rows, out.Tables, out.Created.Format(time.RFC3339), sum)
	return out.warn(c)
}

// warn says loudly what else must be kept.
func (d *describedBackup) warn(c console) error {
	fmt.Fprintln(c.err, "enrollgate: NO KEY IS IN THE BACKUP. Without these it cannot be used; keep them, in other places, too:")
	for _, k := range d.Separate {
		if _, err := fmt.Fprintf(c.err, "  %s: %s\n", printable(k.For), printable(k.At)); err != nil {
			return err
		}
	}
	return nil
}

// note appends the audit row of a backup or restore.
func (d *daemon) note(ctx context.Context, event, sum string, m *backup.Manifest) error {
	actor, err := localOperator(ca.Installation)
	if err != nil {
		return err
	}
	row, err := admin.BackupRow(event, sum, m.Schema, m.Created, actor)
	if err != nil {
		return err
	}
	return d.store.Append(ctx, row)
}

// keysOutside lists what a restore needs beside the store.
func (r *records) keysOutside(ctx context.Context) (all []backup.Key, err error) {
	if !r.cfg.Seal.IsZero() {
		all = append(all, backup.Key{For: "secrets in the store", At: "what seal.key names in the configuration"})
	}
	for _, tenant := range r.tenants {
		generations, err := r.store.Generations(ctx, tenant)
		if err != nil {
			return nil, err
		}
		for _, g := range generations {
			all = append(all, backup.Key{For: fmt.Sprintf("CA %s/%s, generation %d", g.Tenant, g.CA, g.Number), At: g.KeyURI})
		}
	}
	for _, c := range r.cfg.CAs {
		name := c.Tenant + "/" + c.ID
		if !c.KeyPassword.IsZero() {
			all = append(all, backup.Key{For: "password or PIN of the keys of CA " + name, At: "what cas[].key_password names in the configuration"})
		}
		if c.OCSP.Key != "" {
			all = append(all, backup.Key{For: "OCSP responder of CA " + name, At: c.OCSP.Key})
		}
	}
	if r.cfg.TLS.Key != "" {
		all = append(all, backup.Key{For: "the https listener's certificate", At: r.cfg.TLS.Key})
	}
	return append(all, backup.Key{For: "policy", At: "the configuration file"}), nil
}

type backupVerifyCmd struct {
	File string `arg:"" help:"The backup." type:"path"`
	Root string `help:"The public key that \"audit root\" printed, kept outside of the store." type:"path" placeholder:"PEM"`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// Run reads everything once more; a backup that could not be restored is exit code 1.
func (cmd *backupVerifyCmd) Run(c console) (err error) {
	var root []byte
	if cmd.Root != "" {
		data, err := readBounded(cmd.Root)
		if err != nil {
			return err
		}
		if root, err = audit.ParseRoot(data); err != nil {
			return err
		}
	}
	progress, done := backupProgress(c.err)
	defer done()
	a, err := backup.Open(cmd.File, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	report, err := verifyBackup(context.Background(), a, root)
	if err != nil {
		return err
	}
	done()
	out := describeBackup(cmd.File, a.SHA256, &a.Manifest)
	out.Trail = report
	if cmd.JSON {
		if err := printJSON(c.out, out); err != nil {
			return err
		}
	} else if report.Break == nil {
		fmt.Fprintf(c.out, "%s can be restored: a %s store of %s, %d rows in %d tables; its audit trail is whole: %d rows in %d batches of %s\nSHA-256 %s\n",
			out.File, out.Store, out.Created.Format(time.RFC3339), out.Rows, out.Tables, report.Rows, report.Batches, count(report.Chains, "chain"), out.SHA256)
	}
	if report.Break != nil {
		fmt.Fprintln(c.err, "enrollgate: the audit trail in the backup is broken:", report.Break)
		return errSaid
	}
	return nil
}

// verifyBackup has the driver read an archive. SQLite needs a copy for that; it
// goes where TMPDIR says.
func verifyBackup(ctx context.Context, a *backup.Archive, root []byte) (report *audit.Report, err error) {
	if a.Manifest.Store == backup.Postgres {
		return postgres.VerifyBackup(a, root)
	}
	dir, err := os.MkdirTemp("", "enrollgate-verify-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return sqlite.VerifyBackup(ctx, a, dir, root)
}

// restoreStore fills the configured store, which has no rows, and says so in its audit trail.
func (d *daemon) restoreStore(ctx context.Context, a *backup.Archive, n *backup.Numbers) (warnings []string, err error) {
	if d.cfg.Store.Engine == config.SQLite {
		actor, err := localOperator(ca.Installation)
		if err != nil {
			return nil, err
		}
		row, err := admin.BackupRow("store.restored", a.SHA256, a.Manifest.Schema, a.Manifest.Created, actor)
		if err != nil {
			return nil, err
		}
		if err := sqlite.Restore(ctx, d.cfg.Store.Path, a, n, row, slog.New(slog.DiscardHandler)); err != nil {
			return nil, err
		}
		return nil, d.openStore(ctx)
	}
	owner, runtime, err := roles(d.cfg.Store)
	if err != nil {
		return nil, err
	}
	if warnings, err = postgres.Restore(ctx, owner, runtime, a, n); err != nil {
		return nil, err
	}
	if err := d.openStore(ctx); err != nil {
		return nil, fmt.Errorf("the store is restored, but does not open: %w", err)
	}
	if err := d.note(ctx, "store.restored", a.SHA256, &a.Manifest); err != nil {
		return nil, errors.Join(fmt.Errorf("the store is restored, but its audit trail does not say so: %w", err), d.store.Close())
	}
	return warnings, nil
}

// backupProgress shows progress where w is a terminal; done ends the line.
func backupProgress(w io.Writer) (say backup.Progress, done func()) {
	f, ok := w.(*os.File)
	if !ok {
		return nil, func() {}
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil, func() {}
	}
	var last time.Time
	return func(part string, octets int64) {
		if time.Since(last) >= 200*time.Millisecond {
			last = time.Now()
			fmt.Fprintf(f, "\r\x1b[K%s: %d MiB", part, octets>>20)
		}
	}, func() { fmt.Fprint(f, "\r\x1b[K") }
}

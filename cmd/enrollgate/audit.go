package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	core "github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/caller"
)

type auditCmd struct {
	Verify     auditVerifyCmd     `cmd:"" help:"Check the whole audit trail: hashes, chains, checkpoints."`
	Checkpoint auditCheckpointCmd `cmd:"" help:"Sign where every chain stands now."`
	Root       auditRootCmd       `cmd:"" help:"Print the public key that checkpoints are signed with."`
}

type auditVerifyCmd struct {
	source
	Root string `help:"The public key that \"audit root\" printed, kept outside of the store." type:"existingfile" placeholder:"PEM"`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// auditReport is what `audit verify --json` prints.
type auditReport struct {
	OK   bool   `json:"ok"`
	Root string `json:"root"` // "given", or "store": then the trail is only checked against itself
	*audit.Report
}

// Run verifies the trail; a broken one is exit code 1.
func (cmd *auditVerifyCmd) Run(c console) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	ctx := context.Background()
	d := &daemon{cfg: cfg, log: newLog(cfg.Log, c.err)}
	if err := d.openStore(ctx); err != nil {
		return err
	}
	defer d.store.Close() // only read from
	root, from, err := cmd.root(ctx, d)
	if err != nil {
		return err
	}
	progress := progressOn(c.err)
	out := auditReport{Root: from}
	err = d.store.ReadTrail(ctx, func(t audit.Trail) (err error) {
		out.Report, err = audit.Verify(t, root, progress)
		return err
	})
	if progress != nil {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	out.OK = out.Break == nil
	return out.print(c, cmd.JSON)
}

// root reads the root of trust, from a file or, with a warning, from the store.
func (cmd *auditVerifyCmd) root(ctx context.Context, d *daemon) (public []byte, from string, err error) {
	if cmd.Root != "" {
		data, err := readBounded(cmd.Root)
		if err != nil {
			return nil, "", err
		}
		public, err = audit.ParseRoot(data)
		return public, "given", err
	}
	all, err := d.store.AuditKeys(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(all) == 0 {
		return nil, "", errors.New("the trail has no signing key yet: run `enrollgate audit checkpoint` first")
	}
	return all[len(all)-1].Public, "store", nil
}

// readBounded reads a small file.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	return io.ReadAll(io.LimitReader(f, 64<<10))
}

// progressOn shows progress where w is a terminal, else nil.
func progressOn(w io.Writer) func(*audit.Report) {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return func(r *audit.Report) { fmt.Fprintf(f, "\r\x1b[K%d batches, %d rows", r.Batches, r.Rows) }
}

func (r *auditReport) print(c console, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(c.out).Encode(r); err != nil {
			return err
		}
	} else if r.OK {
		fmt.Fprintf(c.out, "the audit trail is whole: %d rows in %d batches of %s, %s; %d rows came after the last one\n",
			r.Rows, r.Batches, count(r.Chains, "chain"), count(int(r.Checkpoints), "checkpoint"), r.Uncovered)
	}
	if r.Root == "store" {
		fmt.Fprintln(c.err, "enrollgate: the signing key was taken from the store itself; give --root with what `enrollgate audit root` printed when the installation was made")
	}
	if !r.OK {
		fmt.Fprintln(c.err, "enrollgate: the audit trail is broken:", r.Break)
		return errSaid
	}
	return nil
}

type auditCheckpointCmd struct {
	source
	JSON bool `name:"json" help:"Print JSON."`
}

// Run signs the trail through the daemon, or by itself.
func (cmd *auditCheckpointCmd) Run(c console) error {
	var out auditSignOut
	err := cmd.ask(c, auditSignPath, auditSignIn{}, &out, func(ctx context.Context, d *daemon, actor caller.Caller) (err error) {
		out.Checkpoints, err = core.SignTrail(ctx, d.store, d.signer, actor)
		return err
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return json.NewEncoder(c.out).Encode(out)
	}
	_, err = fmt.Fprintf(c.out, "%s signed\n", count(out.Checkpoints, "checkpoint"))
	return err
}

type auditRootCmd struct {
	source
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Run prints the root of trust of the audit trail.
func (cmd *auditRootCmd) Run(c console) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	return withStore(context.Background(), cfg, c, func(ctx context.Context, d *daemon, _ caller.Caller) error {
		root, err := d.signer.Root(ctx)
		if err == nil && cmd.JSON {
			return printJSON(c.out, map[string]string{"root": string(audit.EncodeRoot(root))})
		}
		if err == nil {
			_, err = c.out.Write(audit.EncodeRoot(root))
		}
		return err
	})
}

package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

type caCRLCmd struct {
	offline
	ceremony
	Certificate string   `required:"" help:"The root's certificate, PEM or DER." type:"path" placeholder:"FILE"`
	Previous    string   `required:"" help:"The root's last CRL, PEM or DER; what is on it stays on the next." type:"path" placeholder:"FILE"`
	Out         string   `required:"" help:"Write the next CRL to this file, which must not exist." type:"path" placeholder:"FILE"`
	DER         bool     `name:"der" help:"Write DER instead of PEM."`
	Revoke      []string `help:"Revoke the certificate in this file, PEM or DER; may be given often." type:"path" sep:"none" placeholder:"FILE"`
	Serial      []string `help:"Revoke the certificate with this serial number, in hexadecimal digits; may be given often." sep:"none" placeholder:"SERIAL"`
	Reason      string   `help:"Why they are revoked, as in cert revoke; removeFromCRL releases those that are on hold." placeholder:"REASON"`
	Date        string   `help:"Since when they are revoked: a day or an RFC 3339 time; default: since the list begins." placeholder:"TIME"`
	Invalid     string   `name:"invalidity-date" help:"Since when their keys must not be trusted: a day or an RFC 3339 time." placeholder:"TIME"`
	ThisUpdate  string   `name:"this-update" help:"When the list begins: a day or an RFC 3339 time, after the previous one began; default: a minute ago." placeholder:"TIME"`
	Days        int      `help:"How long the list is good." default:"365"`
	JSON        bool     `name:"json" help:"Print one JSON object."`
}

// Run signs the list after the last one of a root that stays offline: no
// configuration, no store, no network. The list goes into a new file and never
// over another one, which is the record of what the root has revoked.
func (cmd *caCRLCmd) Run(c console) error {
	in, err := cmd.update()
	if err != nil {
		return err
	}
	return cmd.record("ca crl", func(log *hierarchy.Log) error {
		if err := cmd.files(&in); err != nil {
			return err
		}
		key, ring, err := cmd.open("")
		if err != nil {
			return err
		}
		defer ring.Close()
		in.Root, in.Log = key, log
		der, err := hierarchy.NextList(context.Background(), ring, in)
		if err != nil {
			return err
		}
		content := der
		if !cmd.DER {
			content = []byte(pemBlock("X509 CRL", der))
		}
		if err := writeNew(cmd.Out, content, 0o644); err != nil {
			return err
		}
		return cmd.tell(c, der)
	})
}

// update reads the flags that need no file.
func (cmd *caCRLCmd) update() (in hierarchy.Update, err error) {
	in = hierarchy.Update{Days: cmd.Days, Now: time.Now()}
	var one hierarchy.Change
	for text, at := range map[*string]*time.Time{&cmd.Date: &one.At, &cmd.Invalid: &one.Invalid, &cmd.ThisUpdate: &in.ThisUpdate} {
		if *text == "" {
			continue
		}
		if *at, err = admin.ParseTime(*text); err != nil {
			return in, badRequest(err)
		}
	}
	change := len(cmd.Revoke)+len(cmd.Serial) > 0
	switch {
	case cmd.Days < 1 || cmd.Days > maxListDays:
		return in, fmt.Errorf("%w: --days is 1 to %d", errUsage, maxListDays)
	case change && cmd.Reason == "":
		return in, fmt.Errorf("%w: say with --reason why the certificates are revoked", errUsage)
	case !change && cmd.Reason+cmd.Date+cmd.Invalid != "":
		return in, fmt.Errorf("%w: --reason, --date and --invalidity-date are about the certificates of --revoke and --serial", errUsage)
	case change:
		if one.Reason, err = admin.ParseChange(cmd.Reason); err != nil {
			return in, badRequest(err)
		}
	}
	for range cmd.Revoke {
		in.Changes = append(in.Changes, one)
	}
	for _, text := range cmd.Serial {
		if one.Serial, err = hierarchy.ParseSerial(text); err != nil {
			return in, badRequest(err)
		}
		in.Changes = append(in.Changes, one)
	}
	if _, err := os.Lstat(cmd.Out); err == nil {
		return in, fmt.Errorf("%w: %s exists, and may be a list of this root; name another file with --out", errUsage, cmd.Out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return in, err
	}
	return in, nil
}

// files reads the certificates and the previous list.
func (cmd *caCRLCmd) files(in *hierarchy.Update) (err error) {
	if in.Certificate, err = readOne(cmd.Certificate, "CERTIFICATE"); err != nil {
		return err
	}
	if in.Previous, err = readOne(cmd.Previous, "X509 CRL"); err != nil {
		return err
	}
	for i, file := range cmd.Revoke {
		if in.Changes[i].Certificate, err = readOne(file, "CERTIFICATE"); err != nil {
			return err
		}
	}
	return nil
}

// tell says what was written.
func (cmd *caCRLCmd) tell(c console, der []byte) error {
	list, err := pkix.ParseCRL(der)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, map[string]any{"file": cmd.Out, "number": list.Number.Int64(), "entries": list.Count, "this_update": list.ThisUpdate,
			"next_update": list.NextUpdate, "sha256": fmt.Sprintf("%x", sha256.Sum256(der)), "crl": pemBlock("X509 CRL", der)})
	}
	_, err = fmt.Fprintf(c.out, "CRL number %v with %d entries, good until %s, is in %s; keep it for the next one\n", list.Number, list.Count,
		list.NextUpdate.Format(time.RFC3339), cmd.Out)
	return err
}

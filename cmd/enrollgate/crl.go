package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/admin"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
	socket "github.com/enrollgate/enrollgate/protocols/admin"
)

type crlCmd struct {
	List    crlListCmd    `cmd:"" help:"List the published certificate revocation lists."`
	Publish crlPublishCmd `cmd:"" help:"Make and publish new lists of a CA now."`
	Import  crlImportCmd  `cmd:"" help:"Take over the list of an offline CA above ours, and publish it."`
}

// describedCRL is how commands show a list.
type describedCRL struct {
	Tenant     string    `json:"tenant"`
	CA         string    `json:"ca"`
	List       string    `json:"list"` // last segment of its address, without ".crl"
	Number     int64     `json:"number"`
	Base       int64     `json:"base,omitempty"` // of a delta
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update"`
	Entries    int       `json:"entries"`
	Size       int       `json:"size"`
	SHA256     string    `json:"sha256"`
	Path       string    `json:"path,omitempty"`       // below base_url.http; a foreign CA's list is kept and not published
	RevokesCA  bool      `json:"revokes_ca,omitempty"` // an imported list has the certificate of this CA
}

func describeCRL(c *ca.CRL) describedCRL {
	name := listName(c)
	path := ca.CRLPath(c.Tenant, c.CA, name)
	if strings.HasPrefix(c.Scope, ca.ForeignCRLPrefix) {
		path = ""
	}
	return describedCRL{Tenant: c.Tenant, CA: c.CA, List: name, Number: c.Number, Base: c.Base, ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate,
		Entries: c.Entries, Size: c.Size, SHA256: hex.EncodeToString(c.SHA256[:]), Path: path}
}

func printCRLs(c console, asJSON bool, lists []describedCRL) error {
	if asJSON {
		return printJSON(c.out, lists)
	}
	out := newTable(c.out)
	out.row("TENANT", "CA", "LIST", "NUMBER", "ENTRIES", "OCTETS", "NEXT UPDATE")
	for _, l := range lists {
		out.row(l.Tenant, l.CA, l.List, strconv.FormatInt(l.Number, 10), strconv.Itoa(l.Entries), strconv.Itoa(l.Size), l.NextUpdate.Format(time.RFC3339))
	}
	for _, l := range lists {
		if l.RevokesCA {
			fmt.Fprintf(c.err, "warning: the list revokes the certificate of CA %s or of one above it\n", l.CA)
		}
	}
	return out.Flush()
}

type crlListCmd struct {
	source
	Tenant string `help:"Look in this tenant alone; default: every tenant of the configuration." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print one JSON list."`
}

// Run lists the newest lists of every scope.
func (cmd *crlListCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer r.store.Close()
	heads, err := r.store.CRLHeads(ctx)
	if err != nil {
		return err
	}
	lists := []describedCRL{}
	for _, tenant := range r.tenants {
		for _, h := range heads {
			for _, number := range []int64{h.Complete, h.Delta} {
				if h.Tenant != tenant || number == 0 {
					continue
				}
				l, err := r.store.CRL(ctx, h.Tenant, h.CA, h.Scope, number)
				if err != nil {
					return err
				}
				lists = append(lists, describeCRL(l))
			}
		}
	}
	return printCRLs(c, cmd.JSON, lists)
}

type crlPublishCmd struct {
	source
	Tenant string `required:"" help:"Tenant of the CA." placeholder:"ID"`
	CA     string `required:"" name:"ca" help:"Id of the CA." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print one JSON list."`
}

// What the socket's operation takes and gives.
type (
	crlPublishIn struct {
		Tenant string `json:"tenant"`
		CA     string `json:"ca"`
	}
	crlImportIn struct {
		Tenant string `json:"tenant"`
		CRL    []byte `json:"crl"`
	}
	crlOut struct {
		CRLs []describedCRL `json:"crls"`
	}
)

const (
	crlPublishPath = "/v1/crl/publish"
	crlImportPath  = "/v1/crl/import"
)

// Run has the daemon publish, or does it itself where none runs.
func (cmd *crlPublishCmd) Run(c console) error {
	var out crlOut
	err := cmd.ask(c, crlPublishPath, crlPublishIn{cmd.Tenant, cmd.CA}, &out, func(ctx context.Context, d *daemon, _ caller.Caller) error {
		if d.cfg.BaseURL.HTTP == "" {
			return ca.Errorf(ca.BadRequest, "base_url.http is not set, so a CRL would have no address; run this beside the daemon")
		}
		actor, err := localOperator(cmd.Tenant)
		if err != nil {
			return err
		}
		defer d.keyring().Close()
		if err := d.observe(); err != nil {
			return err
		}
		if err := d.openCAs(ctx); err != nil {
			return err
		}
		if err := d.newPublisher(); err != nil {
			return err
		}
		out, err = d.publishCRLs(ctx, crlPublishIn{cmd.Tenant, cmd.CA}, actor)
		return err
	})
	if err != nil {
		return err
	}
	return printCRLs(c, cmd.JSON, out.CRLs)
}

func (d *daemon) publishCRLs(ctx context.Context, in crlPublishIn, by caller.Caller) (out crlOut, err error) {
	if d.lists == nil {
		return out, ca.Errorf(ca.Conflict, "this daemon has no http listener, so it publishes no CRLs")
	}
	made, err := d.lists.Publish(ctx, in.Tenant, in.CA, by.ID())
	for _, l := range made {
		out.CRLs = append(out.CRLs, describeCRL(l))
	}
	return out, err
}

type crlImportCmd struct {
	source
	Tenant string `required:"" help:"Tenant whose CAs are below the list's issuer." placeholder:"ID"`
	File   string `required:"" help:"The list: DER or PEM; - for stdin." placeholder:"FILE"`
	JSON   bool   `name:"json" help:"Print one JSON list."`
}

// maxOverSocket is how long a list may be to fit an operation's body in base64.
const maxOverSocket = socket.MaxBody/4*3 - 1024

// Run hands the list to the daemon, or records it itself where none runs or the
// list is too long for the socket: replicas find it in the store.
func (cmd *crlImportCmd) Run(c console) error {
	data, err := cmd.read()
	if err != nil {
		return err
	}
	var out crlOut
	alone := func(ctx context.Context, d *daemon, _ caller.Caller) error {
		actor, err := localOperator(cmd.Tenant)
		if err != nil {
			return err
		}
		out, err = d.importCRL(ctx, crlImportIn{cmd.Tenant, data}, actor)
		return err
	}
	if len(data) > maxOverSocket {
		cfg, err := cmd.load()
		if err != nil {
			return err
		}
		err = withStore(context.Background(), cfg, c, alone)
		if err != nil {
			return err
		}
	} else if err := cmd.ask(c, crlImportPath, crlImportIn{cmd.Tenant, data}, &out, alone); err != nil {
		return err
	}
	return printCRLs(c, cmd.JSON, out.CRLs)
}

func (cmd *crlImportCmd) read() ([]byte, error) {
	in := os.Stdin
	if cmd.File != "-" {
		f, err := os.Open(cmd.File)
		if err != nil {
			return nil, err
		}
		defer f.Close() // only read from
		in = f
	}
	return io.ReadAll(io.LimitReader(in, 2*pkix.MaxCRL)) // the parser has the exact bound
}

func (d *daemon) importCRL(ctx context.Context, in crlImportIn, by caller.Caller) (out crlOut, err error) {
	done, err := admin.ImportCRL(ctx, d.store, in.Tenant, in.CRL, by, time.Now())
	for _, l := range done {
		described := describeCRL(l.CRL)
		described.RevokesCA = l.Revokes
		out.CRLs = append(out.CRLs, described)
	}
	return out, err
}

// crlOperations are the socket's operations on lists.
func (d *daemon) crlOperations() []socket.Operation {
	return []socket.Operation{
		socket.Op(crlPublishPath, func(ctx context.Context, by socket.Actor, in crlPublishIn) (crlOut, error) {
			actor, err := by.For(in.Tenant)
			if err != nil {
				return crlOut{}, err
			}
			return d.publishCRLs(ctx, in, actor)
		}),
		socket.Op(crlImportPath, func(ctx context.Context, by socket.Actor, in crlImportIn) (crlOut, error) {
			actor, err := by.For(in.Tenant)
			if err != nil {
				return crlOut{}, err
			}
			return d.importCRL(ctx, in, actor)
		}),
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	core "github.com/enrollgate/enrollgate/ca/admin"
)

type requestCmd struct {
	List    requestListCmd    `cmd:"" help:"List the requests that wait for an operator, or those in another state."`
	Show    requestShowCmd    `cmd:"" help:"Show one request: who asks for what, and what became of it."`
	Approve requestApproveCmd `cmd:"" help:"Have a request issued, if the profile as it is today still lets it."`
	Deny    requestDenyCmd    `cmd:"" help:"Refuse a request; whoever made it reads the reason."`
}

// inTenants says where a command looks.
type inTenants struct {
	Tenant string `help:"Look in this tenant alone; default: every tenant of the configuration." placeholder:"ID"`
}

type requestListCmd struct {
	source
	inTenants
	State string `help:"pending, approved, issued, denied, expired or rejected." default:"pending" placeholder:"STATE"`
	JSON  bool   `name:"json" help:"Print one JSON list."`
}

// listed bounds the requests of each tenant that are printed.
const listed = 500

// Run lists requests.
func (cmd *requestListCmd) Run(c console) (err error) {
	state := ca.PendingState(cmd.State)
	if !slices.Contains(ca.PendingStates(), state) {
		return fmt.Errorf("%w: --state is one of %v", errUsage, ca.PendingStates())
	}
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	all, more, err := core.ListParked(ctx, r.store, r.tenants, state, listed)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, all)
	}
	t := newTable(c.out)
	t.row("TENANT", "ID", "ASKED", "EXPIRES", "PROFILE", "REQUESTER", "NAMES")
	for _, p := range all {
		names := p.Names
		if len(names) == 0 {
			names = []string{p.Subject}
		}
		t.row(p.Tenant, p.ID, p.Asked.Format(time.DateTime), p.Expires.Format(time.DateTime), p.Profile, p.Requester, strings.Join(names, " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(c.err, "only the oldest %d of a tenant are listed\n", listed)
	}
	return nil
}

type requestShowCmd struct {
	source
	inTenants
	ID   string `arg:"" help:"Id of the request."`
	JSON bool   `name:"json" help:"Print one JSON object."`
}

// Run shows one request.
func (cmd *requestShowCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	found, err := core.FindParked(ctx, r.store, r.tenants, cmd.ID)
	if err != nil {
		return err
	}
	p := core.Parked(found)
	if cmd.JSON {
		return printJSON(c.out, p)
	}
	t := newTable(c.out)
	t.row("request", p.ID)
	t.row("tenant", p.Tenant)
	t.row("state", string(p.State))
	t.row("asks for", p.Operation+" under profile "+p.Profile+" of CA "+p.CA)
	t.row("subject", p.Subject)
	for _, n := range p.Names {
		t.row("name", n)
	}
	t.row("key", p.Key+", SHA-256 "+p.KeyHash)
	t.row("requester", p.Requester+" at endpoint "+p.Endpoint)
	t.row("transaction", p.Transaction)
	t.row("asked", p.Asked.Format(time.RFC3339))
	t.row("expires", p.Expires.Format(time.RFC3339))
	if p.DecidedBy != "" {
		t.row("decided", p.DecidedAt.Format(time.RFC3339)+" by "+p.DecidedBy)
	}
	if p.Reason != "" {
		t.row("reason", p.Reason)
	}
	if p.Serial != "" {
		t.row("certificate", p.Serial)
	}
	t.row("trace", p.Trace)
	return t.Flush()
}

// requestVerdict is what approve and deny share.
type requestVerdict struct {
	source
	inTenants
	ID     string `arg:"" help:"Id of the request."`
	Reason string `required:"" help:"Why: for the record, and for a requester who is denied." placeholder:"TEXT"`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

type requestApproveCmd struct{ requestVerdict }

// Run approves a request.
func (cmd *requestApproveCmd) Run(c console) error {
	return cmd.run(c, requestApprovePath, "approved %s of tenant %s: the daemon issues it within seconds (trace %s)\n")
}

type requestDenyCmd struct{ requestVerdict }

// Run denies a request.
func (cmd *requestDenyCmd) Run(c console) error {
	return cmd.run(c, requestDenyPath, "denied %s of tenant %s (trace %s)\n")
}

// run has the daemon decide where one answers, else it does so itself, as a
// replica of its own, in the name of whoever runs this process.
func (cmd *requestVerdict) run(c console, path, said string) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	ctx, in, out := context.Background(), requestIn{cmd.Tenant, cmd.ID, cmd.Reason}, &core.ParkedRequest{}
	if answered, err := callDaemon(ctx, cfg, path, in, out); err != nil {
		return badRequest(err)
	} else if !answered {
		if out, err = cmd.alone(ctx, c, in, path == requestApprovePath); err != nil {
			return badRequest(err)
		}
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	_, err = fmt.Fprintf(c.out, said, out.ID, out.Tenant, out.Trace)
	return err
}

func (cmd *requestVerdict) alone(ctx context.Context, c console, in requestIn, approve bool) (out *core.ParkedRequest, err error) {
	r, err := cmd.openRecords(ctx, in.Tenant, c)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r.ring != nil {
			err = errors.Join(err, r.ring.Close())
		}
		err = errors.Join(err, r.store.Close())
	}()
	if _, err := core.FindParked(ctx, r.store, r.tenants, in.ID); err != nil { // before any key is opened
		return nil, err
	}
	authority, err := r.decider(ctx)
	if err != nil {
		return nil, err
	}
	return r.decideRequest(ctx, r.cfg, authority, in, approve, localOperator)
}

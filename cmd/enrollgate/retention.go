package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/background"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/retention"
	"github.com/enrollgate/enrollgate/protocols/admin"
	"github.com/enrollgate/enrollgate/protocols/operations"
)

type retentionCmd struct {
	List retentionListCmd `cmd:"" help:"List the months in which certificates expire: which are kept, due, waiting for a CRL or dropped."`
	Drop retentionDropCmd `cmd:"" help:"Drop the certificates of a month that is due now, instead of when the daemon comes to it."`
}

type retentionListCmd struct {
	source
	JSON bool `name:"json" help:"Print one JSON list."`
}

// Run lists what the store knows of months.
func (cmd *retentionListCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, "", c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	keeper, err := r.keeper()
	if err != nil {
		return err
	}
	months, err := keeper.List(ctx)
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, months)
	}
	t := newTable(c.out)
	t.row("MONTH", "STATE", "DUE", "DROPPED", "CERTIFICATES", "WAITS FOR")
	for _, m := range months {
		count := ""
		if m.Certificates != nil {
			count = strconv.FormatInt(*m.Certificates, 10)
		}
		t.row(m.Month, m.State, dayOf(m.Due), dayOf(m.Dropped), count, m.Waits)
	}
	return t.Flush()
}

func dayOf(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

type retentionDropCmd struct {
	source
	Month string `arg:"" help:"The month in which the certificates expired: YYYY-MM."`
	Yes   bool   `help:"Do it: what is dropped does not come back."`
	JSON  bool   `name:"json" help:"Print one JSON object."`
}

const retentionDropPath = "/v1/retention/drop"

type retentionDropIn struct {
	Month string `json:"month"`
}

// Run has the daemon drop a month, or does it itself where none runs.
func (cmd *retentionDropCmd) Run(c console) error {
	if _, err := retention.ParseMonth(cmd.Month); err != nil {
		return badRequest(err)
	}
	if !cmd.Yes {
		return fmt.Errorf("%w: what is dropped does not come back; `enrollgate retention list` shows what there is, and --yes does it", errUsage)
	}
	var out retention.Dropped
	err := cmd.ask(c, retentionDropPath, retentionDropIn{cmd.Month}, &out, func(ctx context.Context, d *daemon, by caller.Caller) (err error) {
		if d.retention, err = d.keeper(); err == nil {
			out, err = d.dropMonth(ctx, retentionDropIn{cmd.Month}, by)
		}
		return err
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, out)
	}
	_, err = fmt.Fprintf(c.out, "%d certificates that expired in %s were dropped\n", out.Certificates, out.Month)
	return err
}

func (d *daemon) dropMonth(ctx context.Context, in retentionDropIn, by caller.Caller) (out retention.Dropped, err error) {
	m, err := retention.ParseMonth(in.Month)
	if err != nil {
		return out, err
	}
	done, err := d.retention.Drop(ctx, m, by.ID())
	if err != nil {
		return out, err
	}
	return *done, nil
}

// keeper makes what drops months under the configuration.
func (d *daemon) keeper() (*retention.Keeper, error) {
	return retention.New(retention.Options{Store: d.store, Keep: d.cfg.Retention.Certificates, Log: d.log})
}

// retentionJob drops what is due; without a setting it only finishes what was begun.
func (d *daemon) retentionJob() background.Job {
	return background.Job{Name: "retention", Every: retention.Every, Run: d.retention.Run}
}

// retentionOperation is the socket's.
func (d *daemon) retentionOperation() admin.Operation {
	return admin.Op(retentionDropPath, func(ctx context.Context, by admin.Actor, in retentionDropIn) (retention.Dropped, error) {
		actor, err := by.For(ca.Installation)
		if err != nil {
			return retention.Dropped{}, err
		}
		return d.dropMonth(ctx, in, actor)
	})
}

// archiveSince makes the function that OCSP answers take their archive cutoff
// from. A month that was dropped when less was kept counts for ever.
func (d *daemon) archiveSince(ctx context.Context) (func(time.Time) time.Time, error) {
	months, err := d.store.Months(ctx)
	if err != nil {
		return nil, err
	}
	var dropped time.Time
	for _, m := range months {
		if _, end, ends := m.Month.Range(); ends && !m.Dropped.IsZero() && end.After(dropped) {
			dropped = end
		}
	}
	keep := d.cfg.Retention.Certificates
	return func(now time.Time) time.Time {
		if since := retention.ArchiveSince(now, keep); since.After(dropped) {
			return since
		}
		return dropped
	}, nil
}

// retentionCounters are read at a scrape.
func (d *daemon) retentionCounters() operations.RetentionCounters {
	if d.retention == nil {
		return operations.RetentionCounters{}
	}
	return operations.RetentionCounters(d.retention.Counters())
}

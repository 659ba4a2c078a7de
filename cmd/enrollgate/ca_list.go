package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/enrollgate/enrollgate/ca/admin"
)

type caListCmd struct {
	source
	Tenant string `help:"Only of this tenant; default: every tenant of the configuration." placeholder:"ID"`
	JSON   bool   `name:"json" help:"Print a JSON array."`
}

// Run lists every generation of every CA; the current one of each signs.
func (cmd *caListCmd) Run(c console) (err error) {
	ctx := context.Background()
	r, err := cmd.openRecords(ctx, cmd.Tenant, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	all, err := admin.Authorities(ctx, r.store, r.tenants, time.Now())
	if err != nil {
		return err
	}
	if cmd.JSON {
		return printJSON(c.out, all)
	}
	t := newTable(c.out)
	fmt.Fprintln(t, "TENANT\tCA\tGENERATION\tEXPIRES\tDAYS LEFT\tRA DAYS LEFT\tALGORITHM\tSUBJECT\tKEY")
	for _, a := range all {
		generation := strconv.Itoa(a.Generation)
		if a.Current {
			generation += " (current)"
		}
		ra := "-"
		if a.RA != nil {
			ra = strconv.Itoa(a.RA.DaysLeft)
		}
		t.row(a.Tenant, a.CA, generation, a.NotAfter.Format(time.DateOnly), strconv.Itoa(a.DaysLeft), ra, a.KeyAlgorithm, a.Subject, a.Key)
	}
	return t.Flush()
}

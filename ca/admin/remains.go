package admin

import (
	"context"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Remains is what is known of a certificate whose month was dropped.
type Remains struct {
	Serial     string    `json:"serial"`
	CA         string    `json:"ca"`
	Month      string    `json:"month"`                // in which it expired: YYYY-MM
	At         time.Time `json:"at"`                   // when the month was dropped
	Revocation *Change   `json:"revocation,omitempty"` // where the status ever changed: that is never dropped
}

// remainsIn looks for what is left of a dropped certificate in every CA of the
// tenants; nil where nothing is, and where its month is kept.
func remainsIn(ctx context.Context, r Records, tenants []string, serial ca.Serial) (*Explanation, error) {
	for _, tenant := range tenants {
		cas, err := authorityIDs(ctx, r, tenant)
		if err != nil {
			return nil, err
		}
		for _, each := range cas {
			if left, err := remains(ctx, r, tenant, each, serial, false); left != nil || err != nil {
				return left, err
			}
		}
	}
	return nil, nil
}

// remains gives what is left of a dropped certificate of a CA; nil where its
// month is kept. Unless it is known to have been issued also where nothing is left.
func remains(ctx context.Context, r Records, tenant, issuer string, serial ca.Serial, issued bool) (*Explanation, error) {
	m, err := r.Month(ctx, serial.Month())
	if ca.IsKind(err, ca.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &Remains{Serial: serial.String(), CA: issuer, Month: m.Month.String(), At: m.Dropped}
	if out.Revocation, err = changeOf(ctx, r, tenant, issuer, serial); err != nil {
		return nil, err
	}
	rows, err := r.AuditOf(ctx, tenant, serial)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Tenant: tenant, Dropped: out, Audit: []AuditLine{}}
	for _, row := range rows {
		e.Audit = append(e.Audit, lineOf(row))
	}
	if !issued && out.Revocation == nil {
		return nil, nil
	}
	return e, nil
}

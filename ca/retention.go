package ca

import (
	"context"
	"time"
)

// MonthRecord says where an expiry month stands. A month is dropped in two
// steps. The first decides: from its commit on the month counts as dropped,
// whatever is still read of it. The second takes the rows away, as often as it
// has to try.
type MonthRecord struct {
	Month        Month
	Dropped      time.Time // when that was decided; zero: the month is kept
	Cleared      time.Time // since when no row of it is left; zero before
	Certificates int64     // how many a dropped month had
}

// MonthCount is how many certificates of a CA expire in a month.
type MonthCount struct {
	Tenant, CA   string
	Certificates int64
}

// MissingCRL is a list that must be published before a month can be dropped.
type MissingCRL struct {
	Tenant, CA string
	Scope      string    // empty: the CA never published any
	ThisUpdate time.Time // of the newest complete list of the scope
}

// Abandoned is how long after the end of a scope's newest list nobody waits for
// another one: its generation ended, or its CA was taken away.
const Abandoned = 90 * 24 * time.Hour

// Months drops what expired long ago: certificates with their names and
// decisions. What was revoked, the status feed, blocked keys and the audit
// trail stay for ever. A month holds certificates of every tenant, so it
// belongs to none of them.
//
// A lease may be nil, for an operator's order: each step is a guard-and-set
// that two cannot both win.
type Months interface {
	// Months lists the months that hold certificates or had room made for them,
	// and those that were dropped, by month.
	Months(ctx context.Context) ([]MonthRecord, error)
	// Month gives the record of a dropped month; NotFound where it was not dropped.
	Month(ctx context.Context, m Month) (*MonthRecord, error)
	// CountMonth counts a month's certificates by tenant and CA. It reads all of them.
	CountMonth(ctx context.Context, m Month) ([]MonthCount, error)
	// MonthWaits lists the CRLs that a month waits for: each CA that has
	// certificates in it must have published a complete list of every scope
	// whose thisUpdate is not before the month's end (RFC 5280 section 3.3: a
	// revoked certificate stays on the CRL until one that was issued after its
	// expiry had it). A scope whose newest list ended longer than Abandoned ago
	// is not waited for.
	MonthWaits(ctx context.Context, m Month) ([]MissingCRL, error)
	// DropMonth decides to drop a month, together with its audit rows, and notes
	// how many certificates it had. Conflict, and nothing is recorded, where the
	// month has not ended, waits for a CRL, or was dropped already, and where the
	// lease is lost.
	DropMonth(ctx context.Context, l *Lease, m Month, certificates int64, audit ...Audit) error
	// ClearMonth takes rows of a dropped month away, at most those of limit
	// certificates where they go one by one. It tells whether any are left; once
	// none are, nothing is ever recorded into the month again.
	// Unavailable where others use the tables right now: to be tried again.
	// Conflict where the month was not dropped or the lease is lost.
	ClearMonth(ctx context.Context, l *Lease, m Month, limit int) (left bool, err error)
}

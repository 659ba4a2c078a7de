package retention

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Store is what is needed of the ledger.
type Store interface {
	ca.Months
	Now(ctx context.Context) (time.Time, error)
}

// Options are what a Keeper is made of; Store and Log are needed.
type Options struct {
	Store Store
	Keep  int // whole months that certificates are kept after the one they expire in; 0: for ever
	Log   *slog.Logger
}

// Keeper drops months that are due.
type Keeper struct {
	Options
	mu       sync.Mutex
	counters Counters
}

// Counters are what a Keeper did since it was made.
type Counters struct {
	Months       int64 // dropped
	Certificates int64 // in them
	Waiting      int   // months that were due at the last run and wait for a CRL
}

// New checks the parts.
func New(o Options) (*Keeper, error) {
	if o.Store == nil || o.Log == nil || o.Keep < 0 {
		return nil, errors.New("retention: a part is missing")
	}
	return &Keeper{Options: o}, nil
}

// Counters gives what was done so far.
func (k *Keeper) Counters() Counters {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.counters
}

// Every is how often months are looked at.
const Every = 6 * time.Hour

// actor is who drops months without being told to.
const actor = "service:retention"

// Due is when a month may be dropped: ok is false for certificates that never
// expire and where everything is kept for ever.
func Due(m ca.Month, keep int) (at time.Time, ok bool) {
	_, end, ends := m.Range()
	if !ends || keep < 1 {
		return time.Time{}, false
	}
	return end.AddDate(0, keep, 0), true
}

// ArchiveSince is since when every expired certificate is still answered for:
// the zero time where everything is kept.
func ArchiveSince(now time.Time, keep int) time.Time {
	if keep < 1 {
		return time.Time{}
	}
	begin, _, _ := ca.MonthOf(now).Range()
	return begin.AddDate(0, -keep, 0)
}

// Run drops what is due while the lease is held. A month that waits for a list
// is no failure: it is logged, counted and looked at again.
func (k *Keeper) Run(ctx context.Context, l *ca.Lease) error {
	all, err := k.Store.Months(ctx)
	if err != nil {
		return err
	}
	now, err := k.Store.Now(ctx)
	if err != nil {
		return err
	}
	waiting := 0
	for i := range all {
		r := &all[i]
		due, ok := Due(r.Month, k.Keep)
		var err error
		switch {
		case !r.Cleared.IsZero():
		case !r.Dropped.IsZero(): // decided, and not all done
			err = k.clear(ctx, l, r.Month)
		case ok && !now.Before(due):
			_, err = k.drop(ctx, l, r.Month, actor)
		}
		if ca.IsKind(err, ca.Pending) {
			waiting++
			k.Log.Warn("retention.waits", "month", r.Month.String(), "why", err)
		} else if err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counters.Waiting = waiting
	return nil
}

// Dropped says what a month had.
type Dropped struct {
	Month        string          `json:"month"` // YYYY-MM
	Certificates int64           `json:"certificates"`
	CAs          []ca.MonthCount `json:"-"`
}

// Drop drops one month now, for an operator. Errors: NotFound where nothing ever
// expired in it, Conflict where it is not due or gone, Pending where it waits for a CRL, Unavailable where the tables
// are in use: the month counts as dropped then, and the rest is done later.
func (k *Keeper) Drop(ctx context.Context, m ca.Month, actor string) (*Dropped, error) {
	now, err := k.Store.Now(ctx)
	if err != nil {
		return nil, err
	}
	due, ok := Due(m, k.Keep)
	switch {
	case k.Keep == 0:
		return nil, ca.Errorf(ca.Conflict, "retention.certificates is not set, so every certificate is kept for ever")
	case !ok || now.Before(due):
		return nil, ca.Errorf(ca.Conflict, "the certificates of %s are kept until %s (retention.certificates)", m, due.Format(time.DateOnly))
	}
	if err := k.known(ctx, m); err != nil {
		return nil, err
	}
	switch r, err := k.Store.Month(ctx, m); {
	case ca.IsKind(err, ca.NotFound):
	case err != nil:
		return nil, err
	case !r.Cleared.IsZero():
		return nil, ca.Errorf(ca.Conflict, "the month %s was dropped at %s", m, r.Dropped.Format(time.RFC3339))
	default:
		return &Dropped{Month: m.String(), Certificates: r.Certificates}, k.clear(ctx, nil, m)
	}
	return k.drop(ctx, nil, m, actor)
}

// known refuses a month that never held a certificate, as NotFound: it may be a slip.
func (k *Keeper) known(ctx context.Context, m ca.Month) error {
	all, err := k.Store.Months(ctx)
	if err == nil && !slices.ContainsFunc(all, func(r ca.MonthRecord) bool { return r.Month == m }) {
		return ca.Errorf(ca.NotFound, "no certificate ever expired in %s; `enrollgate retention list` shows the months that there are", m)
	}
	return err
}

// drop decides and clears.
func (k *Keeper) drop(ctx context.Context, l *ca.Lease, m ca.Month, actor string) (*Dropped, error) {
	waits, err := k.Store.MonthWaits(ctx, m)
	if err != nil {
		return nil, err
	}
	if len(waits) > 0 {
		return nil, ca.Errorf(ca.Pending, "the month %s waits for %s (RFC 5280 section 3.3)", m, WaitsFor(waits))
	}
	out := &Dropped{Month: m.String()}
	if out.CAs, err = k.Store.CountMonth(ctx, m); err != nil {
		return nil, err
	}
	for _, n := range out.CAs {
		out.Certificates += n.Certificates
	}
	rows, err := k.audit(out, actor)
	if err != nil {
		return nil, err
	}
	if err := k.Store.DropMonth(ctx, l, m, out.Certificates, rows...); err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.counters.Months++
	k.counters.Certificates += out.Certificates
	k.mu.Unlock()
	k.Log.Info("retention.dropped", "month", out.Month, "certificates", out.Certificates, "actor", actor)
	return out, k.clear(ctx, l, m)
}

// audit makes a row of the installation and one for each CA that had certificates.
func (k *Keeper) audit(d *Dropped, actor string) (rows []ca.Audit, err error) {
	trace := ca.NewTrace()
	add := func(tenant string, what map[string]any) {
		what["month"], what["kept_months"] = d.Month, k.Keep
		detail, failed := json.Marshal(what)
		err = errors.Join(err, failed)
		rows = append(rows, ca.Audit{Tenant: tenant, Event: "month.dropped", Actor: actor, Trace: trace, Detail: detail})
	}
	add(ca.Installation, map[string]any{"certificates": d.Certificates})
	for _, n := range d.CAs {
		add(n.Tenant, map[string]any{"ca": n.CA, "certificates": n.Certificates})
	}
	if err != nil {
		return nil, ca.InternalError(err)
	}
	return rows, nil
}

const (
	clearAtOnce = 500 // certificates a step, where they go one by one
	clearTries  = 10  // before the tables are left to those who use them, until the next run
)

// clear takes the rows of a dropped month away. Where others use the tables it
// stands back and tries again.
func (k *Keeper) clear(ctx context.Context, l *ca.Lease, m ca.Month) error {
	for try := 0; ; {
		left, err := k.Store.ClearMonth(ctx, l, m, clearAtOnce)
		switch {
		case err == nil && !left:
			k.Log.Info("retention.cleared", "month", m.String())
			return nil
		case err == nil:
			try = 0
			continue
		case !ca.IsKind(err, ca.Unavailable) || try == clearTries:
			return err
		}
		wait := 50 * time.Millisecond << try
		if try++; !sleep(ctx, wait/2+rand.N(wait)) {
			return ca.UnavailableError(ctx.Err(), time.Second)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// WaitsFor says in words which lists are missing.
func WaitsFor(missing []ca.MissingCRL) string {
	const named = 3
	var parts []string
	for _, l := range missing[:min(len(missing), named)] {
		if l.Scope == "" {
			parts = append(parts, fmt.Sprintf("a first CRL of CA %s of tenant %s", l.CA, l.Tenant))
			continue
		}
		parts = append(parts, fmt.Sprintf("a CRL %s of CA %s of tenant %s later than that of %s", l.Scope, l.CA, l.Tenant, l.ThisUpdate.Format(time.RFC3339)))
	}
	if more := len(missing) - named; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}

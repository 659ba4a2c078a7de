// Package conformance tests store drivers: one suite for the ledger and what
// belongs to it, one for the ACME door's objects. Every driver must pass both
// alike; package broken shows that each case fails against a store that is
// wrong on purpose.
package conformance

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/store/trail"
)

// Store is everything the core asks of a driver.
type Store interface {
	ca.Ledger
	ca.Leases
	ca.Outbox
	ca.Generations
	ca.Statuses
	ca.CRLs
	ca.ServiceCertificates
	seal.Store
	credential.Store
	ca.PendingStore
	ca.SupersededStore
	ca.KeptReplies
	Close() error
}

// Driver is one empty store and what the suite must do to it from outside.
type Driver struct {
	Store Store
	Audit audit.Store // the same store as the audit trail sees it; nil where the driver keeps none
	ACME  state.Store // the same store as the ACME door sees it; nil where the driver has none

	Archive ca.Archive // the same store as operators ask it; nil where the driver has none

	// Advance moves the store's clock forward.
	Advance func(time.Duration)
	// AltNames reads the names recorded with a certificate, in their order.
	AltNames func(ctx context.Context, tenant, ca string, s ca.Serial) ([]pkix.GeneralName, error)
	// Trail reads the whole audit trail: batches by chain and number, rows in order.
	Trail func(ctx context.Context) ([]trail.Batch, error)
	// Counters tells how many batches were committed with how many members.
	Counters func() (batches, members int64)
	// Hold keeps every commit waiting until release is called; writes gather meanwhile.
	Hold func() (release func())
	// TryDelete deletes all rows of a table, as the runtime role would. Tables:
	// certificates, sans, decisions, revocations, audit, batches, status_feed.
	// nil where nothing but the driver's own methods reaches the data.
	TryDelete func(table string) error

	// TryChange sets columns of every row of the table of revocations, as the
	// runtime role would: "state = 'issued'". Columns: state, reason.
	TryChange func(set string) error
	// Tamper does what the owner of the schema could do to the audit trail.
	// nil where nothing but the driver's own methods reaches the data.
	Tamper func(Tampering) error
	// Reopen closes the store and opens the same data again; nil where a store forgets.
	Reopen func() (Store, error)
}

// T is what a case needs of *testing.T. Fatalf does not return.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// Case is one property of a store. Run calls open for each empty store it
// needs; who runs it closes them.
type Case struct {
	Name string
	Run  func(t T, open func() *Driver)
}

// Ledger runs the ledger suite, each case on an empty store of its own.
func Ledger(t *testing.T, open func(t *testing.T) *Driver) { run(t, LedgerCases(), open) }

// Audit runs the suite of the signed audit trail.
func Audit(t *testing.T, open func(t *testing.T) *Driver) { run(t, AuditCases(), open) }

// ACME runs the suite of the ACME door's objects.
func ACME(t *testing.T, open func(t *testing.T) *Driver) { run(t, ACMECases(), open) }

// Archive runs the suite of what operators ask.
func Archive(t *testing.T, open func(t *testing.T) *Driver) { run(t, ArchiveCases(), open) }

func run(t *testing.T, cases []Case, open func(t *testing.T) *Driver) {
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			c.Run(t, func() *Driver { return open(t) })
		})
	}
}

// LedgerCases lists the ledger suite.
func LedgerCases() []Case {
	var all []Case
	for _, part := range [][]Case{recordCases, effectCases, credentialCases, idempotencyCases, statusCases, crlCases, serviceCases, backgroundCases, sealCases, auditCases, tenantCases(), batchCases, approvalCases, replyCases} {
		all = append(all, part...)
	}
	return all
}

// ACMECases lists the suite of the ACME door's objects.
func ACMECases() []Case {
	return slices.Concat(accountCases, accountLifeCases, orderCases)
}

// ArchiveCases lists the suite of what operators ask.
func ArchiveCases() []Case { return append([]Case{}, archiveCases...) }

// Failures runs one case and tells what it found, for the test that breaks
// stores on purpose.
func Failures(ctx context.Context, c Case, open func() *Driver) []string {
	r := &recorder{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(r, open)
	}()
	<-done
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found
}

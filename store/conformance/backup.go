package conformance

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/audit"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/backup"
)

// BackedUp is what the backup suite must be able to do with a driver.
type BackedUp struct {
	Open   func(t *testing.T) *Driver // an empty store
	Backup func(ctx context.Context, s Store, w *backup.Writer) error
	Verify func(ctx context.Context, a *backup.Archive) (*audit.Report, error)
	// Restore restores into an empty place and opens what is there.
	Restore func(t *testing.T, a *backup.Archive, n *backup.Numbers) *Driver
	// Over restores into the place of a store that has rows.
	Over func(ctx context.Context, s Store, a *backup.Archive, n *backup.Numbers) error
}

// changed lists the tables that a restore changes, of either driver.
var changed = []string{"audit", "batches", "chains", "crl_heads", "data_keys", "feed_position", "leases"}

// Backups: a backup that is made while certificates are issued is of one
// moment, and what is restored from it is that, past the gap.
func Backups(t *testing.T, b BackedUp) {
	k := start(t, func() *Driver { return b.Open(t) })
	entries := make([]*ca.Entry, 6)
	for i := range entries {
		entries[i] = k.entryUntil([]string{Tenant, OtherTenant}[i%2], time.Now().AddDate(0, i, 0))
		k.record(entries[i])
	}
	k.revoke(revocation(entries[0], ca.Superseded))
	k.revoke(revocation(entries[1], ca.CertificateHold))
	k.publish(list(Tenant, "g1", 1000, 0, 1))
	k.publish(list(Tenant, "g1", 1001, 1000, 2))
	imported := list(Tenant, "issuer-00ff", 77, 0, 0)
	k.publish(imported)
	ring := k.keyring(1)
	row, err := ring.Seal(t.Context(), seal.Audit, Tenant, "row", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Keys(t.Context(), seal.Nonce); err != nil {
		t.Fatal(err)
	}
	lease, err := k.Store.Acquire(t.Context(), "crl", "lost", time.Hour)
	if err != nil {
		t.Fatal(err)
	}

	archive := k.whileIssuing(t, b)
	m := &archive.Manifest
	report, err := b.Verify(t.Context(), archive)
	if err != nil || report.Break != nil || report.Rows != m.Table("audit").Rows {
		t.Fatalf("verify: %+v, %v", report, err)
	}
	if n := m.Table("certificates").Rows; n < 6 || m.Table("decisions").Rows != n || m.Table("sans").Rows != 4*n || report.Rows < n {
		t.Errorf("not of one moment: %d certificates, %d decisions, %d names, %d audit rows", n, m.Table("decisions").Rows, m.Table("sans").Rows, report.Rows)
	}
	if want := []backup.List{{Tenant: Tenant, CA: caID, Scope: "g1", Number: 1001, Complete: 1000, Delta: 1001},
		{Tenant: Tenant, CA: caID, Scope: "issuer-00ff", Number: 77, Complete: 77}}; !cmp.Equal(want, m.CRLs) || m.Feed != 2 {
		t.Errorf("the manifest has feed position %d and the lists %+v", m.Feed, m.CRLs)
	}

	numbers := &backup.Numbers{Now: time.Now(), Seen: map[string]int64{Tenant + "/" + caID: time.Now().Unix() + 1000}}
	if err := b.Over(t.Context(), k.Store, archive, numbers); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("a restore over a store with rows: %v", err)
	}
	r := &kit{T: t, Driver: b.Restore(t, archive, numbers), profile: k.profile}
	for i, want := range []ca.State{ca.Revoked, ca.Held, ca.Issued, ca.Issued, ca.Issued, ca.Issued} {
		if got := r.state(entries[i]); got != want || !r.stored(entries[i]) {
			t.Errorf("certificate %d is %s after the restore, want %s", i, got, want)
		}
	}
	r.pastTheGap(numbers.Seen[Tenant+"/"+caID]+backup.NumberGap, m.Feed, entries[2], lease)
	r.reads(imported)
	r.publish(list(Tenant, "issuer-00ff", 78, 0, 0)) // its CA's own numbers go on as they are
	keys, err := r.Store.DataKeys(t.Context())
	if err != nil || slices.ContainsFunc(keys, func(k seal.WrappedKey) bool { return k.Purpose == seal.Nonce }) {
		t.Errorf("nonces from before the restore are still good: %v", err)
	}
	if plain, err := r.keyring(1).Open(t.Context(), seal.Audit, Tenant, "row", row); err != nil || string(plain) != "secret" {
		t.Errorf("what was sealed before: %q, %v", plain, err)
	}
	if err := r.Audit.ReadTrail(t.Context(), func(trail audit.Trail) error {
		report, err = backup.VerifyTrail(trail, nil, nil)
		return err
	}); err != nil || report.Break != nil {
		t.Errorf("the restored trail: %+v, %v", report, err)
	}
}

// whileIssuing makes a backup while another goroutine records certificates.
func (k *kit) whileIssuing(t *testing.T, b BackedUp) *backup.Archive {
	t.Helper()
	first, done, issued := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		for n := 0; ; n++ {
			_, err := k.Store.Record(context.WithoutCancel(t.Context()), k.entry(Tenant))
			if n == 0 {
				close(first)
			}
			select {
			case <-done:
				issued <- err
				return
			default:
			}
			if err != nil {
				<-done
				issued <- err
				return
			}
		}
	}()
	<-first
	path := filepath.Join(t.TempDir(), "store.backup")
	archive := k.backUp(t, b, path)
	close(done)
	if err := <-issued; err != nil {
		t.Errorf("issuing during the backup: %v", err)
	}
	before := archive.Manifest

	// The same rows are restored that were backed up: a backup of the restored
	// store has them, but for what a restore changes.
	again := &kit{T: t, Driver: b.Restore(t, archive, &backup.Numbers{Now: time.Now()}), profile: k.profile}
	after := again.backUp(t, b, path+".2").Manifest
	for i, table := range before.Tables {
		if got := after.Tables[i]; !slices.Contains(changed, table.Name) && !cmp.Equal(table, got) {
			t.Errorf("table %s was %+v and is %+v", table.Name, table, got)
		}
	}
	return archive
}

func (k *kit) backUp(t *testing.T, b BackedUp, path string) *backup.Archive {
	t.Helper()
	w, err := backup.Create(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abandon()
	if err := b.Backup(t.Context(), k.Store, w); err != nil {
		t.Fatalf("backup: %v", err)
	}
	digest, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	a, err := backup.Open(path, nil)
	if err != nil || a.SHA256 != digest {
		t.Fatalf("open the backup: %v", err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// pastTheGap: no number and no position is used again that the lost store may
// have used, and nobody waits for its leases.
func (k *kit) pastTheGap(least, feed int64, e *ca.Entry, old *ca.Lease) {
	k.Helper()
	for _, h := range k.heads() {
		if h.Scope == "g1" && (h.Number < least || h.Complete != 1000 || h.Delta != 1001) {
			k.Errorf("the scope stands at %+v, want a number from %d on", h, least)
		}
	}
	st := k.revoke(revocation(e, ca.KeyCompromise))
	if st.Position <= feed+backup.FeedGap {
		k.Errorf("position %d is not past the gap after %d", st.Position, feed)
	}
	k.refuses("a list with a number of the gap", nil, list(Tenant, "g1", least-1, 0, st.Position), ca.Conflict)
	k.publish(list(Tenant, "g1", least+1, 0, st.Position))
	l, err := k.Store.Acquire(k.Context(), old.Name, "next", time.Minute)
	if err != nil || l.Fence <= old.Fence {
		k.Errorf("a lease after the restore: %+v, %v", l, err)
	}
}

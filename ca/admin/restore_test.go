package admin

import (
	"crypto/sha256"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/store/memory"
)

func TestLastList(t *testing.T) {
	o := newOffline(t)
	ended := o.list(func(l *x509.RevocationList) { l.NextUpdate = now.Add(-time.Minute) })
	if _, number, err := LastList(ended); err != nil || number != 5 {
		t.Errorf("a list that has ended: %d, %v", number, err)
	}
	huge := o.list(func(l *x509.RevocationList) { l.Number = new(big.Int).Lsh(big.NewInt(1), 100) })
	for name, data := range map[string][]byte{"no list": []byte("x"), "a number that is not ours": huge} {
		if _, _, err := LastList(data); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRelist: what the lost store revoked is revoked again, once.
func TestRelist(t *testing.T) {
	o, ctx := newOffline(t), t.Context()
	store := memory.New(memory.Options{Clock: func() time.Time { return now }})
	t.Cleanup(func() { store.Close() })
	hash := sha256.Sum256([]byte("id: x\n"))
	if err := store.KeepProfile(ctx, hash, []byte("id: x\n")); err != nil {
		t.Fatal(err)
	}
	var serials []ca.Serial
	for range 4 {
		serial := ca.NewSerial(now.AddDate(0, 3, 0))
		leaf := o.ca.Raw // any certificate without cRLDistributionPoints
		if _, err := store.Record(ctx, &ca.Entry{Certificate: ca.Certificate{Tenant: "default", CA: "issuing", Serial: serial, DER: leaf, NotAfter: now.AddDate(0, 3, 0)},
			KeyHash: sha256.Sum256(serial[:]), ProfileHash: hash, Decision: []byte("[]"), Audit: ca.Audit{Tenant: "default", Event: "certificate.issued"}}); err != nil {
			t.Fatal(err)
		}
		serials = append(serials, serial)
	}
	revoke := func(serial ca.Serial, reason ca.Reason) {
		if _, err := store.Revoke(ctx, &ca.Revocation{Tenant: "default", CA: "issuing", Serial: serial, Reason: reason, Audit: ca.Audit{Tenant: "default", Event: "certificate.revoked"}}); err != nil {
			t.Fatal(err)
		}
	}
	revoke(serials[0], ca.Superseded)
	revoke(serials[1], ca.CertificateHold)
	unknown := ca.NewSerial(now.AddDate(0, 3, 0))
	entry := func(serial []byte, reason ca.Reason) x509.RevocationListEntry {
		return x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(serial), RevocationTime: now.Add(-time.Hour), ReasonCode: int(reason)}
	}
	list, _, err := LastList(o.list(func(l *x509.RevocationList) {
		l.RevokedCertificateEntries = []x509.RevocationListEntry{entry(serials[0][:], ca.Superseded), entry(serials[1][:], ca.CessationOfOperation),
			entry(serials[2][:], ca.CertificateHold), entry(unknown[:], ca.Superseded), entry([]byte{7}, ca.Superseded)}
	}))
	if err != nil {
		t.Fatal(err)
	}
	actor := func(tenant string) (caller.Caller, error) { return importerOf(t, tenant), nil }
	if _, err := Relist(ctx, store, []string{"default"}, list, actor); !ca.IsKind(err, ca.NotFound) {
		t.Errorf("a list of nobody here: %v", err)
	}
	g := &ca.Generation{Tenant: "default", CA: "issuing", Number: 1, KeyURI: "file:/k", DER: o.root.Raw, Root: o.root.Raw}
	if err := store.AddGeneration(ctx, g, ca.Audit{Tenant: "default", Event: "ca.created"}); err != nil {
		t.Fatal(err)
	}
	for _, revoked := range []int{2, 0} {
		got, err := Relist(ctx, store, []string{"other", "default"}, list, actor)
		want := &Relisted{Tenant: "default", CA: "issuing", Number: 5, Entries: 5, Revoked: revoked, Unknown: []string{unknown.String(), "07"}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	for i, want := range []ca.State{ca.Revoked, ca.Revoked, ca.Held, ca.Issued} {
		if c, err := store.Certificate(ctx, "default", "issuing", serials[i]); err != nil || c.State != want {
			t.Errorf("certificate %d is %v, %v; want %s", i, c, err, want)
		}
	}
}

func TestBackupRow(t *testing.T) {
	if _, err := BackupRow("backup.created", "00", 60, now, importerOf(t, "default")); !ca.IsKind(err, ca.BadProof) {
		t.Errorf("an operator of one tenant: %v", err)
	}
	row, err := BackupRow("backup.created", "00", 60, now, importerOf(t, ca.Installation))
	if err != nil || row.Tenant != ca.Installation || len(row.Detail) == 0 || row.Trace == "" {
		t.Errorf("%+v, %v", row, err)
	}
}

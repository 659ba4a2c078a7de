package foreign

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"math/big"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/store/memory"
)

var birth = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// authority is a foreign CA, made with the standard library.
type authority struct {
	testing.TB
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	issuer *pkix.Certificate
}

func newAuthority(t testing.TB, name string, usage x509.KeyUsage) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: name}, NotBefore: birth.AddDate(-1, 0, 0), NotAfter: birth.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: usage}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{TB: t, key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if a.issuer, err = pkix.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// list signs a list; change, where it is not nil, changes it first.
func (a *authority) list(number int64, this time.Time, change func(*x509.RevocationList), serials ...int64) []byte {
	a.Helper()
	l := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: this, NextUpdate: this.Add(24 * time.Hour)}
	for _, s := range serials {
		l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(s), RevocationTime: birth.AddDate(0, 0, -1), ReasonCode: 4})
	}
	if change != nil {
		change(l)
	}
	signer := *a.cert
	signer.KeyUsage = x509.KeyUsageCRLSign // so that the standard library signs for one that may not
	der, err := x509.CreateRevocationList(rand.Reader, l, &signer, a.key)
	if err != nil {
		a.Fatal(err)
	}
	return der
}

// extension adds one to a list.
func extension(id pkix.OID, critical bool, value string) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, stdpkix.Extension{Id: asn1.ObjectIdentifier(id), Critical: critical, Value: []byte(value)})
	}
}

// outlet is a source that tests fill.
type outlet struct {
	data    []byte
	version string
	err     error
	asked   []string // versions
}

func (o *outlet) Fetch(_ context.Context, have string) ([]byte, string, error) {
	o.asked = append(o.asked, have)
	if o.err != nil {
		return nil, "", o.err
	}
	if have != "" && have == o.version {
		return nil, have, nil
	}
	return o.data, o.version, nil
}

// world is a store with one foreign CA, an importer and a reader.
type world struct {
	*authority
	store    *memory.Store
	feed     *Feed
	outlet   *outlet
	importer *Importer
	shelf    *Shelf
	at       time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{authority: newAuthority(t, "Partner", x509.KeyUsageCRLSign), outlet: &outlet{}, at: birth}
	w.store = memory.New(memory.Options{Clock: func() time.Time { return w.at }})
	t.Cleanup(func() { w.store.Close() })
	log := slog.New(slog.DiscardHandler)
	w.feed = &Feed{CA: &CA{Tenant: "t", ID: "partner", Issuer: w.issuer}, Source: w.outlet, Refresh: 10 * time.Minute}
	w.importer = w.newImporter()
	w.shelf = &Shelf{Store: w.store, CAs: []*CA{w.feed.CA}, Log: log}
	return w
}

func (w *world) newImporter() *Importer {
	return &Importer{Store: w.store, Feeds: []*Feed{w.feed}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.at }}
}

func (w *world) lease(holder string) *ca.Lease {
	w.Helper()
	l, err := w.store.Acquire(w.Context(), "foreign", holder, 24*time.Hour)
	if err != nil {
		w.Fatal(err)
	}
	return l
}

// run has an importer look once, and the reader after it.
func (w *world) run(m *Importer, holder string) Counts {
	w.Helper()
	if err := m.Run(w.Context(), w.lease(holder)); err != nil {
		w.Fatal(err)
	}
	if err := w.shelf.Look(w.Context()); err != nil {
		w.Fatal(err)
	}
	return m.Counts(w.feed)
}

package foreign

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

func TestRead(t *testing.T) {
	a := newAuthority(t, "Partner", x509.KeyUsageCRLSign)
	twin, mute := newAuthority(t, "Partner", x509.KeyUsageCRLSign), newAuthority(t, "Mute", x509.KeyUsageCertSign)
	good := a.list(7, birth, nil, 3, 2, 300)
	for name, data := range map[string][]byte{"DER": good, "PEM": pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: good})} {
		l, der, err := Read(data, a.issuer)
		if err != nil || !bytes.Equal(der, good) || l.Len() != 3 || l.Number.Int64() != 7 || !l.This.Equal(birth) || !l.Next.Equal(birth.Add(24*time.Hour)) {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	point := "0\x10\xa0\x0e\xa0\x0c\x86\x0ahttp://a/b"
	for name, c := range map[string]struct {
		data   []byte
		issuer *pkix.Certificate
		want   string
	}{
		"nothing":                {nil, a.issuer, "not a DER CertificateList"},
		"another PEM block":      {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good}), a.issuer, "no X509 CRL"},
		"something behind":       {append(bytes.Clone(good), 0), a.issuer, "not a DER CertificateList"},
		"another bit":            {broken, a.issuer, ""},
		"another key, same name": {twin.list(7, birth, nil), a.issuer, "another key of its issuer"},
		"another name":           {mute.list(7, birth, nil), a.issuer, "its issuer is"},
		"no right to sign lists": {mute.list(7, birth, nil), mute.issuer, "cRLSign is missing"},
		"a delta":                {a.list(7, birth, extension(pkix.OIDDeltaCRLIndicator, true, "\x02\x01\x05")), a.issuer, "delta CRL"},
		"one distribution point": {a.list(7, birth, extension(pkix.OIDIssuingDistPoint, true, point)), a.issuer, "one distribution point alone"},
		"users' certificates":    {a.list(7, birth, extension(pkix.OIDIssuingDistPoint, true, "0\x03\x81\x01\xff")), a.issuer, "only some kinds of certificates"},
		"CAs' certificates":      {a.list(7, birth, extension(pkix.OIDIssuingDistPoint, true, "0\x03\x82\x01\xff")), a.issuer, "only some kinds of certificates"},
		"only some reasons":      {a.list(7, birth, extension(pkix.OIDIssuingDistPoint, true, "0\x04\x83\x02\x06\x40")), a.issuer, "only some kinds of certificates"},
		"an indirect list":       {a.list(7, birth, extension(pkix.OIDIssuingDistPoint, true, "0\x03\x84\x01\xff")), a.issuer, "only some kinds of certificates"},
		"a critical unknown":     {a.list(7, birth, extension(pkix.OID{1, 2, 3}, true, "\x05\x00")), a.issuer, "not understood"},
		"removed from the list":  {a.list(7, birth, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 8 }, 5), a.issuer, "only a delta CRL does"},
	} {
		l, _, err := Read(c.data, c.issuer)
		if err == nil || l != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Find is held against the entries as they were written, in any order and length.
func TestFind(t *testing.T) {
	a := newAuthority(t, "Partner", x509.KeyUsageCRLSign)
	var want []x509.RevocationListEntry
	for i := range 500 {
		octets := make([]byte, 1+i%20)
		rand.Read(octets)
		e := x509.RevocationListEntry{SerialNumber: new(big.Int).SetBytes(octets), RevocationTime: birth.Add(time.Duration(i) * time.Second), ReasonCode: []int{0, 1, 3, 4, 5, 6, 9, 10}[i%8]}
		if i%3 == 0 {
			e.ExtraExtensions = append(e.ExtraExtensions, stdpkix.Extension{Id: []int{2, 5, 29, 24}, Value: []byte("\x18\x0f20260101000000Z")})
		}
		if len(octets) > 4 {
			want = append(want, e) // short ones may be twice
		}
	}
	l, _, err := Read(a.list(1, birth, func(l *x509.RevocationList) { l.RevokedCertificateEntries = want }), a.issuer)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range want {
		serial := e.SerialNumber.Bytes()
		if serial[0] >= 0x80 {
			serial = append([]byte{0}, serial...)
		}
		for _, written := range [][]byte{serial, append([]byte{0}, serial...)} {
			got, listed := l.Find(written)
			if invalid := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); !listed || !got.Revoked.Equal(e.RevocationTime) || int(got.Reason) != e.ReasonCode ||
				got.Invalid.Equal(invalid) != (len(e.ExtraExtensions) > 0) || !bytes.Equal(got.Serial, serial) {
				t.Fatalf("entry %d, %x: %+v, want %+v", i, written, got, e)
			}
		}
		serial[len(serial)-1] ^= 1
		if _, listed := l.Find(serial); listed {
			t.Errorf("%x is listed", serial)
		}
	}
	for _, serial := range [][]byte{nil, {}, {0}, bytes.Repeat([]byte{0xff}, 300)} {
		if _, listed := l.Find(serial); listed {
			t.Errorf("%x is listed", serial)
		}
	}
	// Sized for a million: 9 octets for each entry beside length, number and place.
	if octets := len(l.records) + 4*len(l.order); octets > l.Len()*(21+9+1+4) {
		t.Errorf("%d octets for %d entries", octets, l.Len())
	}
}

func TestImport(t *testing.T) {
	w := newWorld(t)
	first := w.list(10, w.at.Add(-time.Hour), nil, 5)
	w.outlet.data, w.outlet.version = first, "one"
	if n := w.run(w.importer, "a"); n.Taken != 1 || w.feed.List() == nil || w.feed.List().Len() != 1 {
		t.Fatalf("the first list: %+v, %v", n, w.feed.List())
	}
	if n := w.run(w.importer, "a"); n.Taken+n.Unchanged+n.Failed != 1 {
		t.Errorf("asked before it is time: %+v", n)
	}
	w.at = w.at.Add(10 * time.Minute)
	if n := w.run(w.importer, "a"); n.Unchanged != 1 || w.outlet.asked[1] != "one" {
		t.Errorf("nothing new: %+v, asked with %q", n, w.outlet.asked)
	}
	// The bytes are what counts, whatever the source says of them.
	w.at, w.outlet.version = w.at.Add(10*time.Minute), "touched"
	if n := w.run(w.importer, "a"); n.Unchanged != 2 {
		t.Errorf("the same bytes again: %+v", n)
	}
	w.at = w.at.Add(10 * time.Minute)
	w.outlet.data, w.outlet.version = w.list(11, w.at, nil, 5, 6), "two"
	if n := w.run(w.importer, "a"); n.Taken != 2 || w.feed.List().Len() != 2 || !n.Last.Equal(w.at) {
		t.Errorf("a newer list: %+v, %d entries", n, w.feed.List().Len())
	}
	// Another replica takes over: it asks for all and knows what was taken.
	w.at = w.at.Add(10 * time.Minute)
	if err := w.store.Release(t.Context(), w.lease("a")); err != nil {
		t.Fatal(err)
	}
	w.outlet.data, w.outlet.asked = first, nil
	if n := w.run(w.newImporter(), "b"); n.Failed != 1 || n.Taken != 0 || w.outlet.asked[0] != "" || w.feed.List().Len() != 2 {
		t.Errorf("an old list for another replica: %+v, asked with %q", n, w.outlet.asked)
	}
}

func TestRefusedLists(t *testing.T) {
	w := newWorld(t)
	w.outlet.data = w.list(10, w.at.Add(-time.Hour), nil, 5)
	w.run(w.importer, "a")
	other := newAuthority(t, "Partner", x509.KeyUsageCRLSign)
	var failed int64
	for name, data := range map[string][]byte{
		"an older one":             w.list(11, w.at.Add(-2*time.Hour), nil),
		"another of the same time": w.list(11, w.at.Add(-time.Hour), nil),
		"the same number":          w.list(10, w.at.Add(-time.Minute), nil),
		"a lower number":           w.list(9, w.at.Add(-time.Minute), nil),
		"one that begins later":    w.list(11, w.at.Add(time.Hour), nil),
		"one that has ended":       w.list(11, w.at.Add(-time.Minute), func(l *x509.RevocationList) { l.NextUpdate = w.at }),
		"another key's":            other.list(11, w.at.Add(-time.Minute), nil),
		"none":                     []byte("<html>"),
	} {
		w.importer.of(w.feed).due = w.at
		w.outlet.data = data
		failed++
		if n := w.run(w.importer, "a"); n.Failed != failed || n.Taken != 1 || w.feed.List().Len() != 1 {
			t.Errorf("%s: %+v, %d entries", name, n, w.feed.List().Len())
		}
	}
	if due := w.importer.of(w.feed).due; !due.Equal(w.at.Add(retryWait)) {
		t.Errorf("tried again at %v", due)
	}
	w.importer.of(w.feed).due = w.at
	w.outlet.err = errors.New("gone")
	if n := w.run(w.importer, "a"); n.Failed != failed+1 {
		t.Errorf("a source that fails: %+v", n)
	}
}

// Who lost the lease records nothing.
func TestLostLease(t *testing.T) {
	w := newWorld(t)
	w.outlet.data = w.list(10, w.at, nil, 5)
	lost := w.lease("a")
	w.at = w.at.Add(25 * time.Hour)
	w.lease("b")
	if err := w.importer.Run(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	if err := w.shelf.Look(t.Context()); err != nil || w.feed.List() != nil || w.importer.Counts(w.feed).Failed != 1 {
		t.Errorf("%v, list %v, %+v", err, w.feed.List(), w.importer.Counts(w.feed))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.importer.Run(ctx, w.lease("b")); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
}

// A CA whose key is another has lists of its own, and none of its forerunner's.
func TestAnotherKey(t *testing.T) {
	w := newWorld(t)
	w.outlet.data = w.list(10, w.at, nil, 5)
	w.run(w.importer, "a")
	other := newAuthority(t, "Partner", x509.KeyUsageCRLSign)
	w.feed.CA = &CA{Tenant: "t", ID: "partner", Issuer: other.issuer}
	w.shelf.CAs = []*CA{w.feed.CA}
	w.outlet.data = other.list(1, w.at, nil)
	if n := w.run(w.newImporter(), "a"); n.Taken != 1 || w.feed.List().Len() != 0 {
		t.Errorf("%+v, %v", n, w.feed.List())
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crl")
	if _, _, err := (File{path}).Fetch(t.Context(), ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	data, version, err := (File{path}).Fetch(t.Context(), "")
	if err != nil || string(data) != "one" || version == "" {
		t.Fatalf("%q, %q, %v", data, version, err)
	}
	if data, again, err := (File{path}).Fetch(t.Context(), version); err != nil || data != nil || again != version {
		t.Errorf("again: %q, %q, %v", data, again, err)
	}
	if err := os.WriteFile(path, []byte("three"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, _, err := (File{path}).Fetch(t.Context(), version); err != nil || string(data) != "three" {
		t.Errorf("another: %q, %v", data, err)
	}
	if err := os.Truncate(path, MaxList+1); err != nil {
		t.Fatal(err)
	}
	if data, _, err := (File{path}).Fetch(t.Context(), ""); err == nil || data != nil && len(data) <= MaxList {
		t.Errorf("a huge file: %d octets, %v", len(data), err)
	}
	if _, _, err := (File{t.TempDir()}).Fetch(t.Context(), ""); err == nil {
		t.Error("a folder")
	}
}

// FuzzList: whatever can be parsed can be packed, and every entry is found.
func FuzzList(f *testing.F) {
	a := newAuthority(f, "Partner", x509.KeyUsageCRLSign)
	f.Add(a.list(7, birth, nil, 1, 128, 300, 300))
	f.Add(a.list(7, birth, nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := pkix.ParseCRL(der)
		if err != nil {
			return
		}
		l, err := newList(c, [32]byte{})
		if errors.Is(err, errRemoves) {
			return
		}
		if err != nil || l.Len() != c.Count {
			t.Fatalf("%d of %d entries, %v", l.Len(), c.Count, err)
		}
		for e := range c.Entries() {
			if got, listed := l.Find(e.Serial); !listed || !bytes.Equal(got.Serial, minimal(e.Serial)) {
				t.Fatalf("%x is not found", e.Serial)
			}
		}
	})
}

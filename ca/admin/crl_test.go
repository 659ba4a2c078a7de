package admin

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/store/memory"
)

// offline is a root that signs lists, and an issuing CA below it.
type offline struct {
	t    *testing.T
	key  crypto.Signer
	root *x509.Certificate
	ca   *x509.Certificate
}

func newOffline(t *testing.T) *offline {
	o := &offline{t: t}
	make := func(name string, serial int64, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, crypto.Signer) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: stdpkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0),
			NotAfter: now.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert, key
	}
	o.root, o.key = make("Offline Root", 1, nil, nil)
	o.ca, _ = make("Issuing CA", 77, o.root, o.key)
	return o
}

func (o *offline) list(change func(*x509.RevocationList)) []byte {
	o.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(5), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.AddDate(0, 6, 0)}
	if change != nil {
		change(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, o.root, o.key)
	if err != nil {
		o.t.Fatal(err)
	}
	return der
}

func importerOf(t *testing.T, tenant string) caller.Caller {
	t.Helper()
	by, err := caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: tenant, User: "root", At: now})
	if err != nil {
		t.Fatal(err)
	}
	return by
}

func TestImportCRL(t *testing.T) {
	o := newOffline(t)
	store := memory.New(memory.Options{Clock: func() time.Time { return now }})
	defer store.Close()
	g := &ca.Generation{Tenant: "default", CA: "issuing", Number: 1, DER: o.ca.Raw, Root: o.root.Raw}
	if err := store.AddGeneration(t.Context(), g, ca.Audit{Tenant: "default", Event: "ca.created"}); err != nil {
		t.Fatal(err)
	}
	by := importerOf(t, "default")
	load := func(data []byte) ([]ImportedCRL, error) {
		return ImportCRL(context.Background(), store, "default", data, by, now)
	}
	extra := func(id []int, value ...byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = []stdpkix.Extension{{Id: id, Critical: true, Value: value}}
		}
	}
	changed := o.list(nil)
	changed[len(changed)-1] ^= 1 // in the signature
	for name, test := range map[string]struct {
		data []byte
		want ca.Kind
	}{
		"no list":       {[]byte("x"), ca.BadRequest},
		"a certificate": {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.root.Raw}), ca.BadRequest},
		"ended": {o.list(func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = now.AddDate(0, -2, 0), now.Add(-time.Second)
		}), ca.BadRequest},
		"from the future": {o.list(func(l *x509.RevocationList) { l.ThisUpdate = now.Add(time.Hour) }), ca.BadRequest},
		"a delta":         {o.list(extra([]int{2, 5, 29, 27}, 2, 1, 3)), ca.BadRequest},
		"a part":          {o.list(extra([]int{2, 5, 29, 28}, 0x30, 7, 0xa0, 5, 0xa0, 3, 0x86, 1, 'x')), ca.BadRequest},
		"users alone":     {o.list(extra([]int{2, 5, 29, 28}, 0x30, 3, 0x81, 1, 0xff)), ca.BadRequest},
		"somebody else's": {newOffline(t).list(nil), ca.NotFound},
		"a changed list":  {changed, ca.NotFound},
	} {
		if _, err := load(test.data); !ca.IsKind(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := ImportCRL(t.Context(), store, "default", o.list(nil), importerOf(t, "other"), now); !ca.IsKind(err, ca.BadProof) {
		t.Errorf("another tenant's operator: %v", err)
	}
	if _, err := ImportCRL(t.Context(), store, "other", o.list(nil), importerOf(t, "other"), now); !ca.IsKind(err, ca.NotFound) {
		t.Errorf("a tenant without that CA: %v", err)
	}
	first := o.list(nil)
	done, err := load(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: first}))
	if err != nil || len(done) != 1 || done[0].CA != "issuing" || done[0].Revokes || string(done[0].DER) != string(first) {
		t.Fatalf("import: %+v, %v", done, err)
	}
	later := func(number int64, entries ...int64) []byte {
		return o.list(func(l *x509.RevocationList) {
			l.Number, l.ThisUpdate = big.NewInt(number), now.Add(-time.Minute)
			for _, serial := range entries {
				l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: now})
			}
		})
	}
	for name, data := range map[string][]byte{"the same": first, "a lower number": later(4), "the same number later": later(5)} {
		if _, err := load(data); !ca.IsKind(err, ca.Conflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if done, err = load(later(6, 78, 77)); err != nil || len(done) != 1 || !done[0].Revokes || done[0].Entries != 2 {
		t.Errorf("a list that revokes the CA: %+v, %v", done, err)
	}
	heads, err := store.CRLHeads(t.Context())
	if err != nil || len(heads) != 1 || heads[0].Number != now.Add(-time.Minute).Unix() {
		t.Errorf("heads %+v, %v", heads, err)
	}
}

package hierarchy_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// memory keeps P-256 keys by their URI: no password has to be stretched.
type memory map[string]memoryKey

type memoryKey struct{ *ecdsa.PrivateKey }

func (k memoryKey) Sign(_ context.Context, _ ca.Lane, _ string, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return ecdsa.SignASN1(rand.Reader, k.PrivateKey, digest)
}

func (m memory) Open(_ context.Context, uri string, _ keys.Secret) (keys.Signer, error) {
	if key, ok := m[uri]; ok {
		return key, nil
	}
	return nil, ca.Errorf(ca.NotFound, "no key at %s", uri)
}

func (m memory) Generate(_ context.Context, uri, _ string, _ keys.Secret) error {
	if _, ok := m[uri]; ok {
		return ca.Errorf(ca.Conflict, "there is a key at %s", uri)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m[uri] = memoryKey{key}
	return err
}

func (memory) Close() error { return nil }

// vault is an offline root with its first list and a CA below it.
type vault struct {
	*testing.T
	ring                  *keys.Ring
	key, other            hierarchy.Key
	root, list, below     []byte
	otherRoot, otherBelow []byte
	now                   time.Time
}

func newVault(t *testing.T) *vault {
	at := func(name string) hierarchy.Key { return hierarchy.Key{URI: "memory:" + name, Algorithm: "ecdsa-p256"} }
	v := &vault{T: t, ring: keys.NewRing(keys.WithBackend("memory", memory{})), key: at("root"), other: at("other"), now: time.Now()}
	name := must[pkix.RawName](t)(hierarchy.Name("Example Ltd", "Example Ltd Root CA"))
	make := func(key hierarchy.Key) (root, below []byte) {
		root = must[[]byte](t)(hierarchy.MakeRoot(t.Context(), v.ring, lint.Linter{}, key, name, -1, 20, v.now, nil))
		csr := must[[]byte](t)(hierarchy.Request(t.Context(), v.ring, at("below"), must[pkix.RawName](t)(hierarchy.Name("Example Ltd", "Issuing")), 0, nil))
		return root, must[[]byte](t)(hierarchy.Sign(t.Context(), v.ring, lint.Linter{}, hierarchy.Signing{Root: key, Certificate: root, CSR: csr, Years: 10, Now: v.now}))
	}
	v.root, v.below = make(v.key)
	v.otherRoot, v.otherBelow = make(v.other) // of the same name
	v.list = must[[]byte](t)(hierarchy.FirstListOf(t.Context(), v.ring, v.key, v.root, v.now, 365, nil))
	return v
}

// made has the root sign a list with anything in it.
func (v *vault) made(number *big.Int, extensions ...pkix.Extension) []byte {
	v.Helper()
	signer, public, err := hierarchy.OpenOrMake(v.Context(), v.ring, v.key.URI, "", v.key.Secret)
	if err != nil {
		v.Fatal(err)
	}
	algorithm := must[*pkix.SignatureAlgorithm](v.T)(pkix.SignatureFor(public))
	keyID := must[pkix.Extension](v.T)(pkix.MarshalAuthorityKeyID(public.KeyID()))
	value := number.Bytes()
	numbered := pkix.Extension{ID: pkix.OIDCRLNumber, Value: append([]byte{2, byte(len(value))}, value...)}
	_, delta := pkix.FindExtension(extensions, pkix.OIDDeltaCRLIndicator)
	w := must[*pkix.CRLWriter](v.T)(pkix.NewCRLWriter(pkix.CRLHeader{Signature: algorithm, Issuer: must[*pkix.Certificate](v.T)(pkix.ParseCertificate(v.root)).Subject,
		ThisUpdate: v.now.Add(-time.Hour), NextUpdate: v.now.Add(time.Hour), Delta: delta, Extensions: append(extensions, keyID, numbered)}, 0))
	return must[[]byte](v.T)(w.Sign(func(tbs []byte) ([]byte, error) {
		return signer.Sign(v.Context(), ca.LaneStatus, "", algorithm.Digest(tbs), algorithm.Hash)
	}))
}

// next makes a list after another one, and gives its entries as text.
func (v *vault) next(in hierarchy.Update) ([]byte, *x509.RevocationList, []string) {
	v.Helper()
	der := must[[]byte](v.T)(hierarchy.NextList(v.Context(), v.ring, in))
	list := must[*x509.RevocationList](v.T)(x509.ParseRevocationList(der))
	if err := list.CheckSignatureFrom(must[*x509.Certificate](v.T)(x509.ParseCertificate(v.root))); err != nil {
		v.Fatal(err)
	}
	var entries []string
	for _, e := range list.RevokedCertificateEntries {
		entries = append(entries, fmt.Sprintf("%x %d %s", e.SerialNumber, e.ReasonCode, e.RevocationTime.Format(time.DateOnly)))
	}
	return der, list, entries
}

// TestNextList: number and time rise, and what was revoked stays so, from list to list.
func TestNextList(t *testing.T) {
	v := newVault(t)
	var text bytes.Buffer
	day := v.now.UTC().Format(time.DateOnly)
	in := hierarchy.Update{Root: v.key, Certificate: v.root, Previous: v.list, Days: 30, Now: v.now, Log: hierarchy.NewLog(&text, time.Now, "test", "tester", "host")}
	change := func(changes ...hierarchy.Change) hierarchy.Update { in.Changes = changes; return in }
	below := fmt.Sprintf("%x", must[*pkix.Certificate](t)(pkix.ParseCertificate(v.below)).Serial)
	last := must[*x509.RevocationList](t)(x509.ParseRevocationList(v.list))
	for n, step := range []struct {
		changes []hierarchy.Change
		want    []string
	}{
		{nil, nil},
		{[]hierarchy.Change{{Certificate: v.below, Reason: ca.CACompromise, Invalid: v.now.Add(-time.Second)}}, []string{below + " 2 " + day}},
		{[]hierarchy.Change{{Serial: []byte{1}, Reason: ca.CertificateHold}, {Serial: []byte{0, 0x80}, Reason: ca.CertificateHold}},
			[]string{below + " 2 " + day, "1 6 " + day, "80 6 " + day}},
		{[]hierarchy.Change{{Serial: []byte{1}, Reason: ca.RemoveFromCRL}, {Serial: []byte{0, 0x80}, Reason: ca.Superseded}, {Serial: []byte{7}}},
			[]string{below + " 2 " + day, "80 4 " + day, "7 0 " + day}},
		{nil, []string{below + " 2 " + day, "80 4 " + day, "7 0 " + day}},
	} {
		der, list, entries := v.next(change(step.changes...))
		if diff := cmp.Diff(step.want, entries); diff != "" {
			t.Errorf("step %d:\n%s", n, diff)
		}
		if list.Number.Int64() != int64(n+1) || !list.ThisUpdate.After(last.ThisUpdate) || list.NextUpdate != list.ThisUpdate.AddDate(0, 0, 30) {
			t.Errorf("step %d: number %v, from %s to %s", n, list.Number, list.ThisUpdate, list.NextUpdate)
		}
		in.Previous, last = der, list
	}
	for _, part := range []string{"root key", "previous CRL issuer", "next CRL     issuer", "serial 0080, superseded", "number 5, 3 entries"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("the ceremony log does not say %q:\n%s", part, text.String())
		}
	}
	// A series may be made ahead, without a gap.
	in.Changes, in.ThisUpdate = nil, last.NextUpdate
	if _, list, _ := v.next(in); !list.ThisUpdate.Equal(last.NextUpdate) {
		t.Errorf("made ahead: %s", list.ThisUpdate)
	}
}

// TestNextListRefuses: each mistake by itself.
func TestNextListRefuses(t *testing.T) {
	v := newVault(t)
	one, two := []byte{1}, []byte{2}
	good := hierarchy.Update{Root: v.key, Certificate: v.root, Days: 30, Now: v.now, Previous: v.list, Changes: []hierarchy.Change{{Serial: one, Reason: ca.Superseded}}}
	good.Previous, _, _ = v.next(good)
	good.Changes = nil
	otherList := must[[]byte](t)(hierarchy.FirstListOf(t.Context(), v.ring, v.other, v.otherRoot, v.now, 30, nil))
	endless := must[[]byte](t)(hierarchy.FirstListOf(t.Context(), v.ring, v.key, v.root, v.now, 30*365, nil))
	own := must[*pkix.Certificate](t)(pkix.ParseCertificate(v.root)).Serial
	torn := bytes.Clone(good.Previous)
	torn[len(torn)-1] ^= 1
	tests := map[string]struct {
		spoil func(in *hierarchy.Update)
		says  string
		kind  ca.Kind
	}{
		"no certificate":   {func(in *hierarchy.Update) { in.Certificate = []byte("x") }, "root's certificate cannot be read", ca.BadRequest},
		"root has ended":   {func(in *hierarchy.Update) { in.Now = in.Now.AddDate(21, 0, 0) }, "ended at", ca.BadRequest},
		"no list":          {func(in *hierarchy.Update) { in.Previous = []byte("x") }, "previous list cannot be read", ca.BadRequest},
		"torn list":        {func(in *hierarchy.Update) { in.Previous = torn }, "not one of", ca.BadRequest},
		"same name's list": {func(in *hierarchy.Update) { in.Previous = otherList }, "another key of its issuer", ca.BadRequest},
		"delta": {func(in *hierarchy.Update) {
			in.Previous = v.made(big.NewInt(9), must[pkix.Extension](t)(pkix.MarshalDeltaCRLIndicator(1)))
		}, "is a delta", ca.BadRequest},
		"one point": {func(in *hierarchy.Update) {
			in.Previous = v.made(big.NewInt(9), must[pkix.Extension](t)(pkix.MarshalIssuingDistributionPoint([]string{"http://x"})))
		}, "one distribution point", ca.BadRequest},
		"number at its end": {func(in *hierarchy.Update) { in.Previous = v.made(new(big.Int).SetUint64(1<<63 - 1)) }, "too large", ca.BadRequest},
		"number beyond":     {func(in *hierarchy.Update) { in.Previous = v.made(new(big.Int).Lsh(big.NewInt(1), 70)) }, "too large", ca.BadRequest},
		"another key":       {func(in *hierarchy.Update) { in.Root = v.other }, "is not the one of the root's certificate", ca.BadRequest},
		"clock behind":      {func(in *hierarchy.Update) { in.Now = v.now.Add(-time.Minute) }, "set the clock", ca.BadRequest},
		"not later":         {func(in *hierarchy.Update) { in.ThisUpdate = v.now.Add(-time.Hour) }, "begins later", ca.BadRequest},
		"gap":               {func(in *hierarchy.Update) { in.ThisUpdate = v.now.AddDate(0, 0, 31) }, "none in between", ca.BadRequest},
		"ended": {func(in *hierarchy.Update) {
			in.Now, in.ThisUpdate, in.Days = v.now.AddDate(0, 0, 20), v.now.AddDate(0, 0, 2), 10
		}, "ended already", ca.BadRequest},
		"after the root":  {func(in *hierarchy.Update) { in.Previous, in.ThisUpdate = endless, v.now.AddDate(20, 0, 1) }, "the root is valid from", ca.BadRequest},
		"listed":          {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: one, Reason: ca.KeyCompromise}} }, "already, since", ca.Conflict},
		"not held":        {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: two, Reason: ca.RemoveFromCRL}} }, "not on hold", ca.Conflict},
		"twice":           {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: two}, {Serial: two}} }, "given twice", ca.BadRequest},
		"reason":          {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: two, Reason: 7}} }, "is no reason", ca.BadRequest},
		"in the future":   {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: two, At: v.now.Add(time.Hour)}} }, "is revoked between", ca.BadRequest},
		"before the root": {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: two, At: v.now.Add(-time.Hour)}} }, "is revoked between", ca.BadRequest},
		"invalid later": {func(in *hierarchy.Update) {
			in.Changes = []hierarchy.Change{{Serial: two, Invalid: v.now.Add(time.Hour)}}
		}, "is revoked between", ca.BadRequest},
		"root itself":    {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Certificate: v.root}} }, "root's own", ca.BadRequest},
		"root by number": {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: own}} }, "root's own", ca.BadRequest},
		"same name's CA": {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Certificate: v.otherBelow}} }, "not signed with the root's key", ca.BadRequest},
		"no such file":   {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Certificate: []byte("x")}} }, "cannot be read", ca.BadRequest},
		"negative":       {func(in *hierarchy.Update) { in.Changes = []hierarchy.Change{{Serial: []byte{0x80}}} }, "positive INTEGER", ca.BadRequest},
	}
	for name, test := range tests {
		in := good
		test.spoil(&in)
		if _, err := hierarchy.NextList(t.Context(), v.ring, in); !ca.IsKind(err, test.kind) || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	v.next(good)
}

func TestParseSerial(t *testing.T) {
	for text, want := range map[string]string{"1": "01", "0x80": "0080", "00:a1:B2": "00a1b2", "7f 01": "7f01", strings.Repeat("7f", 20): strings.Repeat("7f", 20),
		"": "", "0": "", "x1": "", "-1": "", strings.Repeat("ff", 20): "", strings.Repeat("01", 21): ""} {
		serial, err := hierarchy.ParseSerial(text)
		if fmt.Sprintf("%x", serial) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %x, %v", text, serial, err)
		}
	}
}

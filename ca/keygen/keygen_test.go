package keygen

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
)

func maker() *Maker { return New(claim.NewVerifier(caller.EST), 1) }

// Every type is made, is what it says, and comes with the proof of its possession.
func TestMake(t *testing.T) {
	t.Parallel()
	for _, name := range Algorithms() {
		if name == "rsa-3072" || name == "rsa-4096" { // seconds of a processor for the same code
			continue
		}
		k, err := maker().Make(t.Context(), name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if k.Public().Algorithm() != name || ca.CheckKey(k.Public()) != nil {
			t.Errorf("%s: a key of type %s, %v", name, k.Public().Algorithm(), ca.CheckKey(k.Public()))
		}
		if p := k.Possession(); !p.Verified() || p.Method() != claim.MadeHereMethod || p.Key().Hash() != k.Public().Hash() {
			t.Errorf("%s: possession by %q", name, p.Method())
		}
		der, err := k.PKCS8()
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		spki, err := x509.MarshalPKIXPublicKey(private.(crypto.Signer).Public())
		if err != nil || !bytes.Equal(spki, k.Public().Raw()) {
			t.Errorf("%s: the private key is of another public key, %v", name, err)
		}
		packed, err := k.Package()
		var all []asn1.RawValue
		if rest, bad := asn1.Unmarshal(packed, &all); err != nil || bad != nil || len(rest) > 0 || len(all) != 1 || !bytes.Equal(all[0].FullBytes, der) {
			t.Errorf("%s: the package is not one of this key: %v, %v", name, err, bad)
		}
		k.Clear()
		if _, err := k.PKCS8(); err == nil {
			t.Errorf("%s: a cleared key has PKCS #8", name)
		}
		if _, err := k.Package(); err == nil {
			t.Errorf("%s: a cleared key has a package", name)
		}
	}
	if _, err := maker().Make(t.Context(), "rsa-1024"); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("rsa-1024: %v", err)
	}
}

// A key never prints, in whatever way somebody tries.
func TestKeysDoNotPrint(t *testing.T) {
	k, err := maker().Make(t.Context(), "ecdsa-p256")
	if err != nil {
		t.Fatal(err)
	}
	secret := k.der[36:68] // the scalar
	var logged bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&logged, nil), slog.NewJSONHandler(&logged, nil)} {
		slog.New(h).Error("x", "key", k, "in", struct{ K *Key }{k}, "value", *k)
	}
	shown := []string{logged.String(), k.String(), k.GoString(), fmt.Sprintf("%v %+v %#v %s %x %d %q %v %+v", k, k, k, k, k, k, k, *k, []Key{*k})}
	if _, err := json.Marshal(map[string]any{"k": k}); err == nil {
		t.Error("a key marshals to JSON")
	}
	if gob.NewEncoder(io.Discard).Encode(k) == nil {
		t.Error("a key marshals by gob")
	}
	for _, text := range shown {
		for _, form := range []string{string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
			base64.StdEncoding.EncodeToString(secret), strings.Trim(fmt.Sprint(secret), "[]")} {
			if strings.Contains(text, form) {
				t.Errorf("the key shows in %q", text)
			}
		}
	}
}

func TestChoose(t *testing.T) {
	for _, c := range []struct {
		asked string
		made  []string
		want  string
	}{
		{"rsa-2048", []string{"ecdsa-p256", "rsa-2048"}, "rsa-2048"},
		{"rsa-3072", []string{"ecdsa-p256", "rsa-2048"}, "ecdsa-p256"},
		{"", []string{"ed25519"}, "ed25519"},
	} {
		if got, err := Choose(c.asked, c.made); err != nil || got != c.want {
			t.Errorf("%q of %v: %q, %v", c.asked, c.made, got, err)
		}
	}
	if _, err := Choose("rsa-2048", nil); !ca.IsKind(err, ca.Denied) {
		t.Errorf("none made: %v", err)
	}
}

// Who waits too long for an RSA key is told to come back; other keys wait for nobody.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := maker()
		m.turns <- struct{}{}
		if _, err := m.Make(t.Context(), "rsa-2048"); !ca.IsKind(err, ca.Unavailable) || ca.AsError(err).RetryAfter <= 0 {
			t.Errorf("busy: %v", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := m.Make(gone, "rsa-4096"); !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("a client that is gone: %v", err)
		}
		if _, err := m.Make(t.Context(), "ed25519"); err != nil {
			t.Errorf("an Ed25519 key meanwhile: %v", err)
		}
	})
}

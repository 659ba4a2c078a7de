//go:build !cgo

package pkcs11

import (
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

func TestAbsent(t *testing.T) {
	ring := keys.NewRing(With(New(Options{Modules: []string{"/m.so"}})))
	const says = "this build has the file signer only and cannot open pkcs11: keys; name a key as file:/path/to/key.pem"
	_, err := ring.Open(t.Context(), "pkcs11:object=k", keys.Secret{})
	if !ca.IsKind(err, ca.BadRequest) || ca.AsError(err).Public != says {
		t.Errorf("open: %v", err)
	}
	if err := ring.Generate(t.Context(), "pkcs11:object=k", "ecdsa-p256", keys.Secret{}); !ca.IsKind(err, ca.BadRequest) || ca.AsError(err).Public != says {
		t.Errorf("generate: %v", err)
	}
	if _, err := Inspect(t.Context(), "/m.so"); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("inspect: %v", err)
	}
	if _, err := New(Options{}).Inspect(t.Context(), "/m.so"); !ca.IsKind(err, ca.BadRequest) {
		t.Errorf("inspect a backend's module: %v", err)
	}
}

//go:build !cgo

package pkcs11

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// With adds nothing in a build without cgo: the Ring then says that it has the
// file signer only.
func With(Options) keys.Option { return keys.WithBackend("pkcs11", nil) }

// Inspect needs cgo.
func Inspect(context.Context, string) ([]Info, error) {
	return nil, ca.Errorf(ca.BadRequest, "this build has the file signer only; PKCS#11 needs one with cgo (CGO_ENABLED=1)")
}

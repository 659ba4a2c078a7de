//go:build !cgo

package pkcs11

import (
	"context"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// Backend does nothing in a build without cgo.
type Backend struct{}

// New makes a Backend that does nothing.
func New(Options) *Backend { return &Backend{} }

// With adds nothing: the Ring then says that it has the file signer only.
func With(*Backend) keys.Option { return keys.WithBackend("pkcs11", nil) }

// Status is empty.
func (*Backend) Status() []Status { return nil }

// Inspect needs cgo.
func (*Backend) Inspect(ctx context.Context, module string) ([]Info, error) {
	return Inspect(ctx, module)
}

// Inspect needs cgo.
func Inspect(context.Context, string) ([]Info, error) {
	return nil, ca.Errorf(ca.BadRequest, "this build has the file signer only; PKCS#11 needs one with cgo (CGO_ENABLED=1)")
}

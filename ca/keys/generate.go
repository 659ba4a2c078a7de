package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

// algorithm is a row of the table of key algorithms.
type algorithm struct {
	name string
	make func() (crypto.Signer, error)
}

func algorithms() []algorithm {
	ec := func(curve elliptic.Curve) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand.Reader) }
	}
	rsaOf := func(bits int) func() (crypto.Signer, error) {
		return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
	}
	return []algorithm{
		{"ecdsa-p256", ec(elliptic.P256())},
		{"ecdsa-p384", ec(elliptic.P384())},
		{"ecdsa-p521", ec(elliptic.P521())},
		{"rsa-2048", rsaOf(2048)},
		{"rsa-3072", rsaOf(3072)},
		{"rsa-4096", rsaOf(4096)},
		{"ed25519", func() (crypto.Signer, error) {
			_, private, err := ed25519.GenerateKey(rand.Reader)
			return private, err
		}},
	}
}

// Algorithms lists the names that Generate takes: ecdsa-p256, ecdsa-p384,
// ecdsa-p521, rsa-2048, rsa-3072, rsa-4096, ed25519.
func Algorithms() []string {
	var names []string
	for _, a := range algorithms() {
		names = append(names, a.name)
	}
	return names
}

// Generate makes a key and writes it encrypted, mode 0600. The directory must
// exist. A key that is already there stays as it is.
func (b *fileBackend) Generate(ctx context.Context, uri, name string, secret Secret) error {
	path, err := b.path(uri)
	if err != nil {
		return err
	}
	var chosen *algorithm
	for _, a := range algorithms() {
		if a.name == name {
			chosen = &a
		}
	}
	if chosen == nil {
		return ca.Errorf(ca.BadRequest, "there is no key algorithm of that name; use one of %s", strings.Join(Algorithms(), ", "))
	}
	// A friendly answer before the work; the link below is what decides.
	if _, err := os.Lstat(path); err == nil {
		return existsError(path)
	}
	password, err := secret.Resolve()
	if err != nil {
		return err
	}
	defer clear(password)
	key, err := chosen.make()
	if err != nil {
		return ca.InternalError(fmt.Errorf("generate %s: %w", name, err))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return ca.InternalError(err)
	}
	defer clear(der)
	content, err := sealPEM(der, password, b.iterations)
	if err != nil {
		return ca.InternalError(err)
	}
	// RSA keys take seconds: nothing is written for a caller who has left.
	if err := ctx.Err(); err != nil {
		return ca.UnavailableError(err, retryAfter)
	}
	err = writeNew(path, content)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return existsError(path)
	case errors.Is(err, fs.ErrNotExist):
		return ca.Wrap(ca.NotFound, err, "the directory of the key file does not exist; make it with mode 0700")
	default:
		return ca.Wrap(ca.Internal, err, "the key file cannot be written; check the directory's owner, mode and free space")
	}
}

func existsError(path string) error {
	return ca.Wrap(ca.Conflict, fmt.Errorf("%s exists", path), "there is a key file already and it is not replaced; choose another name or move it away")
}

// writeNew puts a file in place whole or not at all, durably and never over
// another one: a temporary file is synced, then linked to its name, which
// unlike a rename fails where the name is taken.
func writeNew(path string, content []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-key-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Link(f.Name(), path)
	}
	if err := errors.Join(err, os.Remove(f.Name())); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name in a directory survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closed := d.Close(); err == nil {
		err = closed
	}
	return err
}

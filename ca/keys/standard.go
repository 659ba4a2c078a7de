package keys

import (
	"context"
	"crypto"
	"io"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Standard makes a crypto.Signer of a key, for libraries that want one (TLS).
// Every signature waits in the given lane for at most timeout.
func Standard(s Signer, lane ca.Lane, tenant string, timeout time.Duration) crypto.Signer {
	return standard{s, lane, tenant, timeout}
}

type standard struct {
	key     Signer
	lane    ca.Lane
	tenant  string
	timeout time.Duration
}

func (s standard) Public() crypto.PublicKey { return s.key.Public() }

// Sign ignores the random source: the key has its own.
func (s standard) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	return s.key.Sign(ctx, s.lane, s.tenant, digest, opts)
}

// StandardDecrypter makes a crypto.Decrypter of a key that decrypts, for code
// that wants one (CMS). Every operation waits in the given lane for at most
// timeout; it ends early with ctx, which so bounds the life of the result.
func StandardDecrypter(ctx context.Context, d Decrypter, lane ca.Lane, tenant string, timeout time.Duration) crypto.Decrypter {
	return standardDecrypter{ctx, d, lane, tenant, timeout}
}

type standardDecrypter struct {
	ctx     context.Context
	key     Decrypter
	lane    ca.Lane
	tenant  string
	timeout time.Duration
}

func (s standardDecrypter) Public() crypto.PublicKey { return s.key.Public() }

// Decrypt ignores the random source: the key has its own.
func (s standardDecrypter) Decrypt(_ io.Reader, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.timeout)
	defer cancel()
	return s.key.Decrypt(ctx, s.lane, s.tenant, msg, opts)
}

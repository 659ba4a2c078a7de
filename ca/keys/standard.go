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

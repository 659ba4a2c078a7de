package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/enrollgate/enrollgate/test/harness"
)

// TestLibraryRevokes revokes with golang.org/x/crypto/acme: by the account, by the
// certificate's key (interop rule 8), and by neither, on each store.
func TestLibraryRevokes(t *testing.T) {
	harness.NeedPrograms(t)
	for name, lines := range stores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, lines(t))
			responder := &http01{}
			responder.listen(t, s.port)
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			client := func() *acme.Client {
				c := &acme.Client{Key: newKey(t), DirectoryURL: s.directory(t, "privatessl-tls-server"), HTTPClient: clientOf(t, s)}
				if _, err := c.Register(ctx, &acme.Account{}, acme.AcceptTOS); err != nil {
					t.Fatal(err)
				}
				return c
			}
			owner, stranger := client(), client()
			obtain := func(key *ecdsa.PrivateKey) ([]byte, error) {
				order := responder.ready(t, ctx, owner, "host.example")
				csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"host.example"}}, key)
				if err != nil {
					t.Fatal(err)
				}
				chain, _, err := owner.CreateOrderCert(ctx, order.FinalizeURL, csr, true)
				if err != nil {
					return nil, err
				}
				return chain[0], nil
			}
			key := newKey(t)
			cert, err := obtain(key)
			if err != nil {
				t.Fatal(err)
			}
			wantProblem(t, "a stranger", stranger.RevokeCert(ctx, nil, cert, acme.CRLReasonUnspecified), "unauthorized")
			wantProblem(t, "another key", stranger.RevokeCert(ctx, newKey(t), cert, acme.CRLReasonUnspecified), "unauthorized")
			wantProblem(t, "the CA's reason", owner.RevokeCert(ctx, nil, cert, acme.CRLReasonCACompromise), "badRevocationReason")
			if err := owner.RevokeCert(ctx, nil, cert, acme.CRLReasonKeyCompromise); err != nil {
				t.Fatal(err)
			}
			// x/crypto/acme takes "revoked already" for success; the account's word did not block the key.
			if cert, err = obtain(key); err != nil {
				t.Fatal(err)
			}
			if err := stranger.RevokeCert(ctx, key, cert, acme.CRLReasonKeyCompromise); err != nil {
				t.Fatal(err)
			}
			_, err = obtain(key)
			wantProblem(t, "a compromised key", err, "badCSR")
			if _, err := obtain(newKey(t)); err != nil {
				t.Errorf("another key afterwards: %v", err)
			}
		})
	}
}

func wantProblem(t *testing.T, what string, err error, typ string) {
	t.Helper()
	var problem *acme.Error
	if !errors.As(err, &problem) || problem.ProblemType != "urn:ietf:params:acme:error:"+typ {
		t.Errorf("%s: %v, want %s", what, err, typ)
	}
}

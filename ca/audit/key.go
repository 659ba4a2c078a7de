package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/seal"
)

// key is the audit service key in the clear.
type key struct {
	version int
	private *ecdsa.PrivateKey
	public  []byte
}

// openKey unseals the newest audit service key, and makes the first where there
// is none. The making is an audit row with the public key in it.
func openKey(ctx context.Context, store Store, ring *seal.Keyring) (*key, error) {
	for range 2 { // again where another replica was first
		all, err := store.AuditKeys(ctx)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			return unseal(ctx, ring, all[len(all)-1])
		}
		if err := makeKey(ctx, store, ring); err != nil && !ca.IsKind(err, ca.Conflict) {
			return nil, err
		}
	}
	return nil, errors.New("audit: the service key was stored but is not found")
}

const firstVersion = 1

func rowID(version int) string { return fmt.Sprintf("audit-key/%d", version) }

func makeKey(ctx context.Context, store Store, ring *seal.Keyring) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	defer clear(plain)
	public, err := MarshalRoot(&private.PublicKey)
	if err != nil {
		return err
	}
	sealed, err := ring.Seal(ctx, seal.Audit, ca.Installation, rowID(firstVersion), plain)
	if err != nil {
		return err
	}
	return store.AddAuditKey(ctx, SealedKey{firstVersion, public, sealed}, ca.Audit{Tenant: ca.Installation, Event: "audit.key_added",
		Actor: "service:audit", Detail: fmt.Appendf(nil, `{"version":%d,"public_sha256":"%x","public":"%x"}`, firstVersion, sha256.Sum256(public), public)})
}

func unseal(ctx context.Context, ring *seal.Keyring, stored SealedKey) (*key, error) {
	plain, err := ring.Open(ctx, seal.Audit, ca.Installation, rowID(stored.Version), stored.Sealed)
	if err != nil {
		return nil, fmt.Errorf("audit: service key %d: %w", stored.Version, err)
	}
	defer clear(plain)
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("audit: service key %d: %w", stored.Version, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("audit: service key %d is a %T, not ECDSA", stored.Version, parsed)
	}
	public, err := MarshalRoot(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	if string(public) != string(stored.Public) {
		return nil, fmt.Errorf("audit: the public part of service key %d was changed in the store", stored.Version)
	}
	return &key{stored.Version, private, public}, nil
}

// rootType is the PEM type of a public key (RFC 7468 section 13).
const rootType = "PUBLIC KEY"

// MarshalRoot gives the SubjectPublicKeyInfo of an audit service key.
func MarshalRoot(public *ecdsa.PublicKey) ([]byte, error) { return x509.MarshalPKIXPublicKey(public) }

// EncodeRoot gives a root of trust as PEM.
func EncodeRoot(public []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: rootType, Bytes: public})
}

// ParseRoot reads what EncodeRoot gives.
func ParseRoot(data []byte) (public []byte, err error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != rootType {
		return nil, errors.New("no PEM block PUBLIC KEY: give what `enrollgate audit root` printed")
	}
	if _, err := parsePublic(block.Bytes); err != nil {
		return nil, err
	}
	return block.Bytes, nil
}

func parsePublic(der []byte) (*ecdsa.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("audit key: %w", err)
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("the audit key is not ECDSA P-256")
	}
	return public, nil
}

package claim

import (
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Possession is a public key together with how its owner showed that it holds
// the private key. The zero value is refused by the core.
type Possession struct {
	key    pkix.PublicKey
	method string
}

// VerifyCSR parses a DER PKCS#10 request and checks its signature: the only way
// to make a Possession from one. SHA-1 signatures count only with allowLegacy,
// which is an endpoint's grant.
func VerifyCSR(der []byte, allowLegacy bool) (*pkix.CSR, Possession, error) {
	csr, err := pkix.ParseCSR(der)
	if err != nil {
		return nil, Possession{}, err
	}
	if err := csr.Verify(allowLegacy); err != nil {
		return csr, Possession{}, err
	}
	return csr, Possession{key: csr.Key, method: "csr-signature"}, nil
}

// OwnKey is the possession of a key that the daemon itself made or holds.
func OwnKey(v Verifier, key pkix.PublicKey) (Possession, error) {
	if v.door != caller.System {
		return Possession{}, fmt.Errorf("claim: a verifier of door %q holds no key of ours", v.door)
	}
	if key.IsZero() {
		return Possession{}, errors.New("claim: no key")
	}
	return Possession{key: key, method: "own-key"}, nil
}

// Verified tells whether this possession was proven.
func (p Possession) Verified() bool { return p.method != "" }

// Key is the proven key.
func (p Possession) Key() pkix.PublicKey { return p.key }

// Method says how: "csr-signature", "own-key", "tls-handshake", "message-signature",
// "made-here".
func (p Possession) Method() string { return p.method }

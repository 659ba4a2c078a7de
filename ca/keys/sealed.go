package keys

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

// FromPKCS8 gives the key of a PrivateKeyInfo (RFC 5958) that was kept sealed
// somewhere else than in a key file. It runs on the workers of file keys, and is
// a Decrypter too where it is an RSA key. The caller may clear der afterwards.
func (r *Ring) FromPKCS8(der []byte) (Signer, error) {
	if !isPrivateKeyInfo(der) {
		return nil, errNotPKCS8
	}
	private, err := parsePlain(der)
	if err != nil {
		return nil, err
	}
	return inMemory(r.memory, private), nil
}

// NewPKCS8 makes a key of a named algorithm (see Algorithms) for FromPKCS8: its
// PrivateKeyInfo, which the caller seals and clears, and its public half.
func NewPKCS8(name string) (der []byte, public crypto.PublicKey, err error) {
	for _, a := range algorithms() {
		if a.name != name {
			continue
		}
		key, err := a.make()
		if err != nil {
			return nil, nil, ca.InternalError(fmt.Errorf("generate %s: %w", name, err))
		}
		if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
			return nil, nil, ca.InternalError(err)
		}
		return der, key.Public(), nil
	}
	return nil, nil, ca.Errorf(ca.BadRequest, "there is no key algorithm of that name; use one of %s", strings.Join(Algorithms(), ", "))
}

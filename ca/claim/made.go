package claim

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// MadeHereMethod is the Method of the possession of a key that was made for a client.
const MadeHereMethod = "made-here"

// PossessionOfMade is the possession of a key that was made here for a client: the
// private key signs something new, and the signature is verified by its public
// half. EST and CMP are the doors that hand out such keys (RFC 7030 section 4.4,
// RFC 9483 section 4.1.6). Package keygen alone calls it; an architecture test
// keeps it so.
func PossessionOfMade(v Verifier, private crypto.Signer) (Possession, error) {
	if v.door != caller.EST && v.door != caller.CMP {
		return Possession{}, fmt.Errorf("claim: door %q hands out no keys", v.door)
	}
	if private == nil {
		return Possession{}, errors.New("claim: no key")
	}
	key, err := pkix.NewPublicKey(private.Public())
	if err != nil {
		return Possession{}, err
	}
	algorithm, err := pkix.SignatureFor(key)
	if err != nil {
		return Possession{}, err
	}
	message := make([]byte, 32)
	rand.Read(message) // never fails (crypto/rand)
	signature, err := private.Sign(rand.Reader, algorithm.Digest(message), algorithm.Hash)
	if err != nil {
		return Possession{}, err
	}
	if err := algorithm.Verify(key, message, signature); err != nil {
		return Possession{}, fmt.Errorf("claim: the two halves of a key that was made do not fit: %w", err)
	}
	return Possession{key: key, method: MadeHereMethod}, nil
}

// Package keys opens the private keys of the gateway by URI and lets nobody
// else touch them. A Ring owns one Backend a scheme; the one built in reads
// encrypted PKCS #8 files (RFC 5958, with PBES2 of RFC 8018 and the scrypt
// parameters of RFC 7914), and a token backend is added with WithBackend.
//
// Private operations are bounded: a Pool has a fixed number of workers, three
// lanes in strict order (status, renewal, enrollment) and a fair turn for each
// tenant within a lane. Where a worker is free the operation runs at once in
// the caller's goroutine.
//
// Left out: PBES1 and the PKCS #12 ciphers, the PEM encryption of RFC 1421
// (Proc-Type), ciphers other than AES-CBC, attributes of a PKCS #8 structure,
// and RSA decryption without protection against padding oracles.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
)

// laneEnd is one past the last ca.Lane.
const laneEnd = ca.LaneEnrollment + 1

// Signer is one private key.
//
// Sign takes a digest made with opts.HashFunc(), or for Ed25519 the whole
// message with opts.HashFunc() == 0, and answers the signature in the form of
// crypto.Signer: ASN.1 DER for ECDSA (RFC 3279 section 2.2.3), PKCS #1 v1.5 or
// (with *rsa.PSSOptions) PSS octets for RSA, 64 octets for Ed25519. The tenant
// is the one the operation is for and only decides whose turn it is.
//
// The deadline of ctx bounds the wait for a worker and is checked once more
// before the operation starts. A wait that ends without a worker, a full queue
// and a closed Ring answer a *ca.Error of kind ca.Unavailable with RetryAfter.
type Signer interface {
	Public() crypto.PublicKey
	Sign(ctx context.Context, lane ca.Lane, tenant string, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

// Decrypter is a Signer whose key also decrypts, as RSA keys do (the RA key of
// SCEP, RFC 8894 section 3.1). opts is *rsa.OAEPOptions, or
// *rsa.PKCS1v15DecryptOptions with SessionKeyLen set: a message whose padding
// is wrong then gives a random key of that length and no error, so that the
// failure shows only where the content is decrypted (RFC 3218 section 2.3.2).
// OAEP that does not decrypt answers ca.BadRequest. Lanes, deadline and queue
// are those of Signer.
type Decrypter interface {
	Signer
	Decrypt(ctx context.Context, lane ca.Lane, tenant string, msg []byte, opts crypto.DecrypterOpts) ([]byte, error)
}

// Backend opens and makes the keys of one URI scheme. It owns the workers its
// keys run on: one Pool, or one for each token module it has loaded. Its
// methods may be called from any goroutine. Close lets running and waiting
// operations finish; the keys it opened then answer ca.Unavailable.
type Backend interface {
	// Open gives the key that uri names; the secret is its password or PIN.
	// The Signer is a Decrypter too where the key can decrypt.
	Open(ctx context.Context, uri string, secret Secret) (Signer, error)
	// Generate makes a key of a named algorithm (see Algorithms) where uri
	// says, and answers ca.Conflict where there already is one.
	Generate(ctx context.Context, uri, algorithm string, secret Secret) error
	Close() error
}

// CheckSign tells whether a key with this public half may sign digest under
// opts. Backends call it before they take a worker. RSA and ECDSA need a hash
// that this program has and a digest of its length: an RSA signature over
// bytes without a DigestInfo (RFC 8017 section 9.2) is never made. Ed25519
// signs whole messages only (RFC 8032 section 5.1, no prehash).
func CheckSign(public crypto.PublicKey, digest []byte, opts crypto.SignerOpts) error {
	if opts == nil {
		return ca.InternalError(errors.New("sign: no signer options"))
	}
	hash := opts.HashFunc()
	if _, ok := public.(ed25519.PublicKey); ok {
		if hash != 0 {
			return ca.InternalError(fmt.Errorf("sign: ed25519 takes the whole message, not a %v digest", hash))
		}
		return nil
	}
	if hash == 0 || !hash.Available() {
		return ca.InternalError(fmt.Errorf("sign: hash %v is not available", hash))
	}
	if len(digest) != hash.Size() {
		return ca.InternalError(fmt.Errorf("sign: digest of %d octets is not %v", len(digest), hash))
	}
	return nil
}

// CheckPublic accepts the public halves of the key types that Algorithms names,
// and no weaker ones: the floor of RSA 2048 with an exponent of at least 65537
// holds for the gateway's own keys too. Errors are of kind ca.BadRequest.
func CheckPublic(public any) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < 2048 || bits > 8192 || k.E < 65537 {
			return ca.Errorf(ca.BadRequest, "an RSA key has 2048 to 8192 bits and an exponent of 65537 or more; make a new one")
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return ca.Errorf(ca.BadRequest, "an ECDSA key is on P-256, P-384 or P-521; make a new one")
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return ca.Errorf(ca.BadRequest, "an Ed25519 public key has 32 octets; make a new one")
		}
	default:
		return ca.Wrap(ca.BadRequest, fmt.Errorf("key of type %T", public), "this key cannot sign; use one of "+strings.Join(Algorithms(), ", "))
	}
	return nil
}

// CheckDecrypt tells whether opts are ones a Decrypter takes: OAEP, or PKCS #1
// v1.5 with the length of the session key (RFC 8017 section 7.2, note on
// Bleichenbacher's attack). Backends call it before they take a worker.
func CheckDecrypt(opts crypto.DecrypterOpts) error {
	switch o := opts.(type) {
	case *rsa.OAEPOptions:
		if o != nil && o.Hash.Available() && (o.MGFHash == 0 || o.MGFHash.Available()) {
			return nil
		}
		return ca.InternalError(errors.New("decrypt: oaep with a hash that is not available"))
	case *rsa.PKCS1v15DecryptOptions:
		if o != nil && o.SessionKeyLen > 0 {
			return nil
		}
		return ca.InternalError(errors.New("decrypt: pkcs #1 v1.5 without a session key length"))
	default:
		return ca.InternalError(fmt.Errorf("decrypt: options of type %T", opts))
	}
}

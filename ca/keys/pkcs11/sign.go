//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	p11 "github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// key is a private key in a token.
type key struct {
	token           *token
	secret          keys.Secret // the PIN, for when the login is lost
	label, id       string
	public          crypto.PublicKey
	signs, decrypts bool
	mechanisms      map[uint]bool
}

var _ keys.Signer = (*key)(nil)

func (k *key) Public() crypto.PublicKey { return k.public }

// Sign has the token sign. What the token refuses for good is ca.Internal, all
// that may pass is ca.Unavailable: a lost session, a wrong PIN, a missing key.
func (k *key) Sign(ctx context.Context, lane ca.Lane, tenant string, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := keys.CheckSign(k.public, digest, opts); err != nil {
		return nil, err
	}
	mechanism, input, err := k.signature(digest, opts)
	if err != nil {
		return nil, ca.InternalError(fmt.Errorf("token %s: %w", k.token.name, err))
	}
	var signature []byte
	err = k.token.do(ctx, lane, tenant, k.token.stuck, k.secret, 0, func(s *session) error {
		o, err := s.handleOf(k)
		if err != nil {
			return err
		}
		if err := s.ctx.SignInit(s.handle, mechanism, o); err != nil {
			return callError("C_SignInit", err)
		}
		signature, err = s.ctx.Sign(s.handle, input)
		return callError("C_Sign", err)
	})
	if err != nil {
		return nil, k.outcome(err)
	}
	if public, ok := k.public.(*ecdsa.PublicKey); ok {
		return ecdsaDER(public, signature)
	}
	return signature, nil
}

// handleOf gives the key's handle, searched for once a session.
func (s *session) handleOf(k *key) (p11.ObjectHandle, error) {
	if o, ok := s.found[k]; ok {
		return o, nil
	}
	o, err := s.private(k.token.name, k.label, k.id)
	if err == nil {
		s.found[k] = o
	}
	return o, err
}

// outcome translates what a call left for whoever asked for an operation.
func (k *key) outcome(err error) error {
	var e *ca.Error
	if errors.As(err, &e) {
		return unavailable(k.token.name, err)
	}
	return ca.InternalError(fmt.Errorf("token %s: %w", k.token.name, err))
}

// prove signs something that means nothing and holds it against the public key.
func (k *key) prove(ctx context.Context) error {
	if !k.signs {
		return nil
	}
	message := []byte("Enrollgate asks whether this key signs; this is no document.")
	digest := sha256.Sum256(message)
	var err error
	switch public := k.public.(type) {
	case ed25519.PublicKey:
		var signature []byte
		if signature, err = k.Sign(ctx, ca.LaneStatus, "", message, crypto.Hash(0)); err == nil && !ed25519.Verify(public, message, signature) {
			err = errMismatch(k.token.name)
		}
	case *ecdsa.PublicKey:
		var signature []byte
		if signature, err = k.Sign(ctx, ca.LaneStatus, "", digest[:], crypto.SHA256); err == nil && !ecdsa.VerifyASN1(public, digest[:], signature) {
			err = errMismatch(k.token.name)
		}
	case *rsa.PublicKey:
		var signature []byte
		opts, pss := crypto.SignerOpts(crypto.SHA256), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		if !k.mechanisms[p11.CKM_RSA_PKCS] {
			opts = pss
		}
		if signature, err = k.Sign(ctx, ca.LaneStatus, "", digest[:], opts); err != nil {
			break
		}
		if opts == pss {
			err = rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, pss)
		} else {
			err = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature)
		}
		if err != nil {
			err = errMismatch(k.token.name)
		}
	}
	return err
}

func errMismatch(token string) error {
	return refuse(ca.BadRequest, token, nil, "the private key does not belong to the public key or certificate of the same CKA_ID in the token; remove or rename the one that is wrong")
}

// signature gives the mechanism for a signature and what it is fed.
func (k *key) signature(digest []byte, opts crypto.SignerOpts) ([]*p11.Mechanism, []byte, error) {
	use := func(mechanism uint, name string, parameter, input []byte) ([]*p11.Mechanism, []byte, error) {
		switch {
		case !k.signs:
			return nil, nil, errors.New("the key may not sign (CKA_SIGN)")
		case !k.mechanisms[mechanism]:
			return nil, nil, fmt.Errorf("the token does not have %s", name)
		case parameter != nil:
			return []*p11.Mechanism{p11.NewMechanism(mechanism, parameter)}, input, nil
		}
		return []*p11.Mechanism{p11.NewMechanism(mechanism, nil)}, input, nil
	}
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		// The leftmost bits count (SEC 1 section 4.1.3); not every token cuts by itself.
		return use(p11.CKM_ECDSA, "CKM_ECDSA", nil, digest[:min(len(digest), (public.Params().BitSize+7)/8)])
	case ed25519.PublicKey:
		return use(ckmEdDSA, "CKM_EDDSA", nil, digest)
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			parameter, err := pssParameter(public, pss)
			if err != nil {
				return nil, nil, err
			}
			return use(p11.CKM_RSA_PKCS_PSS, "CKM_RSA_PKCS_PSS", parameter, digest)
		}
		prefix, ok := digestInfo(opts.HashFunc())
		if !ok {
			return nil, nil, fmt.Errorf("no DigestInfo for %v", opts.HashFunc())
		}
		return use(p11.CKM_RSA_PKCS, "CKM_RSA_PKCS", nil, append(prefix, digest...))
	}
	return nil, nil, fmt.Errorf("key of type %T", k.public)
}

// digestInfo is what comes before the digest (RFC 8017 section 9.2, note 1).
func digestInfo(hash crypto.Hash) ([]byte, bool) {
	sha2 := func(arc, size byte) []byte {
		return []byte{0x30, 0x11 + size, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, arc, 0x05, 0x00, 0x04, size}
	}
	switch hash {
	case crypto.SHA1:
		return []byte{0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14}, true
	case crypto.SHA224:
		return sha2(4, 28), true
	case crypto.SHA256:
		return sha2(1, 32), true
	case crypto.SHA384:
		return sha2(2, 48), true
	case crypto.SHA512:
		return sha2(3, 64), true
	}
	return nil, false
}

// hashes gives a hash's mechanism and mask generation function.
func hashes(hash crypto.Hash) (mechanism, mgf uint, ok bool) {
	switch hash {
	case crypto.SHA1:
		return p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, true
	case crypto.SHA224:
		return p11.CKM_SHA224, p11.CKG_MGF1_SHA224, true
	case crypto.SHA256:
		return p11.CKM_SHA256, p11.CKG_MGF1_SHA256, true
	case crypto.SHA384:
		return p11.CKM_SHA384, p11.CKG_MGF1_SHA384, true
	case crypto.SHA512:
		return p11.CKM_SHA512, p11.CKG_MGF1_SHA512, true
	}
	return 0, 0, false
}

// pssParameter is CK_RSA_PKCS_PSS_PARAMS. The salt is as long as crypto/rsa
// would make it: rsa.PSSSaltLengthAuto is all that fits (RFC 8017 section 9.1.1).
func pssParameter(public *rsa.PublicKey, o *rsa.PSSOptions) ([]byte, error) {
	hash, mgf, ok := hashes(o.HashFunc())
	if !ok {
		return nil, fmt.Errorf("pss with %v", o.HashFunc())
	}
	room := (public.N.BitLen()-1+7)/8 - 2 - o.HashFunc().Size()
	salt := o.SaltLength
	switch salt {
	case rsa.PSSSaltLengthAuto:
		salt = room
	case rsa.PSSSaltLengthEqualsHash:
		salt = o.HashFunc().Size()
	}
	if salt < 0 || salt > room {
		return nil, fmt.Errorf("pss with a salt of %d octets", salt)
	}
	return bytes.Clone(p11.NewPSSParams(hash, mgf, uint(salt))), nil
}

// ecdsaDER turns r and s, each as long as the curve's order, into
// Ecdsa-Sig-Value (RFC 3279 section 2.2.3).
func ecdsaDER(public *ecdsa.PublicKey, raw []byte) ([]byte, error) {
	size := (public.Params().N.BitLen() + 7) / 8
	if len(raw) != 2*size {
		return nil, ca.InternalError(fmt.Errorf("the token's signature has %d octets, not %d", len(raw), 2*size))
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[:size]))
		b.AddASN1BigInt(new(big.Int).SetBytes(raw[size:]))
	})
	return b.Bytes()
}

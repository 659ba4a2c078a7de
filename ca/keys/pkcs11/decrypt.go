//go:build cgo

package pkcs11

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// decrypter is an RSA key that also decrypts.
type decrypter struct {
	*key

	mu     sync.Mutex
	probed map[oaepHashes]bool // whether the token can
}

type oaepHashes struct{ hash, mgf crypto.Hash }

var _ keys.Decrypter = (*decrypter)(nil)

// Decrypt has the token decrypt. OAEP takes the hashes that the token proves to
// have with a probe message; another one is ca.BadRequest and named.
func (k *decrypter) Decrypt(ctx context.Context, lane ca.Lane, tenant string, msg []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	if err := keys.CheckDecrypt(opts); err != nil {
		return nil, err
	}
	if o, ok := opts.(*rsa.OAEPOptions); ok {
		return k.oaep(ctx, lane, tenant, msg, *o)
	}
	return k.session15(ctx, lane, tenant, msg, opts.(*rsa.PKCS1v15DecryptOptions).SessionKeyLen)
}

// session15 is PKCS #1 v1.5 with implicit rejection: whatever the token says of
// the padding, the answer is a key of the length asked for, a random one where
// the padding or the length was wrong (RFC 3218 section 2.3.2). The random key
// is made first and the choice is one of constant time; how long the token
// takes over a bad padding is its own affair.
func (k *decrypter) session15(ctx context.Context, lane ca.Lane, tenant string, msg []byte, size int) ([]byte, error) {
	if !k.mechanisms[p11.CKM_RSA_PKCS] {
		return nil, k.cannot("RSA with PKCS #1 v1.5 padding")
	}
	out := make([]byte, size)
	rand.Read(out) // never fails (crypto/rand)
	plain, ok, err := k.decrypt(ctx, lane, tenant, p11.NewMechanism(p11.CKM_RSA_PKCS, nil), msg)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	candidate := make([]byte, size)
	defer clear(candidate)
	copy(candidate, plain)
	valid := subtle.ConstantTimeEq(int32(len(plain)), int32(size))
	if !ok {
		valid = 0
	}
	subtle.ConstantTimeCopy(valid, out, candidate)
	return out, nil
}

// oaep is RSAES-OAEP (RFC 8017 section 7.1).
func (k *decrypter) oaep(ctx context.Context, lane ca.Lane, tenant string, msg []byte, o rsa.OAEPOptions) ([]byte, error) {
	can, err := k.probe(ctx, lane, tenant, o)
	if err != nil {
		return nil, err
	}
	if !can {
		return nil, k.cannot(oaepName(o))
	}
	mechanism, _ := oaepMechanism(o) // it was probed
	plain, ok, err := k.decrypt(ctx, lane, tenant, mechanism, msg)
	if err == nil && !ok {
		err = ca.Errorf(ca.BadRequest, "the message cannot be decrypted; encrypt it to the current certificate of this service")
	}
	return plain, err
}

// probe tells whether the token decrypts OAEP under these hashes: that it lists
// CKM_RSA_PKCS_OAEP says nothing of them.
func (k *decrypter) probe(ctx context.Context, lane ca.Lane, tenant string, o rsa.OAEPOptions) (bool, error) {
	o.Label = nil
	if o.MGFHash == 0 {
		o.MGFHash = o.Hash
	}
	id := oaepHashes{o.Hash, o.MGFHash}
	k.mu.Lock()
	can, known := k.probed[id]
	k.mu.Unlock()
	if known {
		return can, nil
	}
	mechanism, listed := oaepMechanism(o)
	listed = listed && k.mechanisms[p11.CKM_RSA_PKCS_OAEP]
	if listed {
		const text = "enrollgate"
		msg, err := rsa.EncryptOAEPWithOptions(rand.Reader, k.public.(*rsa.PublicKey), []byte(text), &o)
		if err != nil {
			return false, ca.InternalError(fmt.Errorf("oaep probe: %w", err))
		}
		plain, ok, err := k.decrypt(ctx, lane, tenant, mechanism, msg)
		switch {
		case err != nil && !ca.IsKind(err, ca.Internal):
			return false, err // it could not be asked
		case err == nil && !ok:
			return false, nil // perhaps a failure of the moment: not remembered
		}
		can = err == nil && string(plain) == text
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.probed == nil {
		k.probed = map[oaepHashes]bool{}
	}
	k.probed[id] = can
	return can, nil
}

func (k *decrypter) cannot(what string) error {
	return refuse(ca.BadRequest, k.token.name, nil, "the key of this service is in a token that cannot decrypt %s; use another algorithm for the key encryption", what)
}

func oaepName(o rsa.OAEPOptions) string {
	if o.MGFHash != 0 && o.MGFHash != o.Hash {
		return fmt.Sprintf("RSA-OAEP with %v and MGF1 with %v", o.Hash, o.MGFHash)
	}
	return fmt.Sprintf("RSA-OAEP with %v", o.Hash)
}

// oaepMechanism is CKM_RSA_PKCS_OAEP with CK_RSA_PKCS_OAEP_PARAMS.
func oaepMechanism(o rsa.OAEPOptions) (*p11.Mechanism, bool) {
	mgfHash := o.MGFHash
	if mgfHash == 0 {
		mgfHash = o.Hash
	}
	hash, _, ok1 := hashes(o.Hash)
	_, mgf, ok2 := hashes(mgfHash)
	return p11.NewMechanism(p11.CKM_RSA_PKCS_OAEP, p11.NewOAEPParams(hash, mgf, p11.CKZ_DATA_SPECIFIED, bytes.Clone(o.Label))), ok1 && ok2
}

// decrypt makes the call. ok is false where the token did not accept the
// message: every error of C_Decrypt but a loss counts as that, since tokens
// say it in many ways (SoftHSM: CKR_GENERAL_ERROR).
func (k *decrypter) decrypt(ctx context.Context, lane ca.Lane, tenant string, mechanism *p11.Mechanism, msg []byte) ([]byte, bool, error) {
	var plain []byte
	var ok bool
	err := k.token.do(ctx, lane, tenant, k.token.stuck, k.secret, 0, func(s *session) error {
		ok = false
		if len(msg) != k.public.(*rsa.PublicKey).Size() {
			return nil // RFC 8017 sections 7.1.2 and 7.2.2: the length is public
		}
		o, err := s.handleOf(k.key)
		if err != nil {
			return err
		}
		if err := s.ctx.DecryptInit(s.handle, []*p11.Mechanism{mechanism}, o); err != nil {
			return callError("C_DecryptInit", err)
		}
		got, err := s.ctx.Decrypt(s.handle, msg)
		if err != nil && lossInDecrypt(err) {
			return callError("C_Decrypt", err)
		}
		plain, ok = got, err == nil
		return nil
	})
	if err != nil {
		return nil, false, k.outcome(err)
	}
	return plain, ok, nil
}

// lossInDecrypt tells a loss from a message that the token does not like.
func lossInDecrypt(err error) bool {
	switch err {
	case p11.Error(p11.CKR_GENERAL_ERROR), p11.Error(p11.CKR_FUNCTION_FAILED):
		return false
	}
	return fateOf(err) != refused
}

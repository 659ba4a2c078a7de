//go:build cgo

package pkcs11

import (
	"context"
	"crypto/rand"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
)

// recipe is how a key pair of an algorithm is made.
type recipe struct {
	mechanism       uint
	public, private []*p11.Attribute
}

// recipes lists the ways to make a key of a named algorithm; where a token
// refuses the first, the next is tried.
func recipes(algorithm string) []recipe {
	for _, bits := range []int{2048, 3072, 4096} {
		if algorithm == fmt.Sprintf("rsa-%d", bits) {
			return []recipe{{p11.CKM_RSA_PKCS_KEY_PAIR_GEN, []*p11.Attribute{
				p11.NewAttribute(p11.CKA_MODULUS_BITS, bits), p11.NewAttribute(p11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}),
				p11.NewAttribute(p11.CKA_ENCRYPT, true),
			}, []*p11.Attribute{p11.NewAttribute(p11.CKA_DECRYPT, true)}}}
		}
	}
	for _, c := range curves() {
		if c.name != algorithm {
			continue
		}
		params, err := asn1.Marshal(c.oid)
		if err != nil {
			panic(err) // a constant
		}
		mechanism := uint(p11.CKM_EC_KEY_PAIR_GEN)
		if c.curve == nil {
			mechanism = ckmECEdwardsKeyPairGen
		}
		out := []recipe{{mechanism, []*p11.Attribute{p11.NewAttribute(p11.CKA_EC_PARAMS, params)}, nil}}
		if c.curve == nil {
			named := append([]byte{0x13, byte(len(edwardsName))}, edwardsName...)
			out = append(out, recipe{mechanism, []*p11.Attribute{p11.NewAttribute(p11.CKA_EC_PARAMS, named)}, nil})
		}
		return out
	}
	return nil
}

// Generate makes a key pair in a token under the label that uri has and its id
// (where it has none, a random one). The private key never leaves the token:
// it is sensitive and not extractable, and a token that makes it otherwise has
// it destroyed again. An RSA key signs and decrypts, as SCEP's RA key must.
//
// Beside the errors of keys.Ring: ca.Denied for a read-only token.
func (b *Backend) Generate(ctx context.Context, uri, algorithm string, secret keys.Secret) error {
	ways := recipes(algorithm)
	if ways == nil {
		return ca.Errorf(ca.BadRequest, "there is no key algorithm of that name; use one of %s", strings.Join(keys.Algorithms(), ", "))
	}
	t, u, err := b.find(uri)
	if err != nil {
		return err
	}
	if u.Object == "" {
		return ca.Errorf(ca.BadRequest, "a new key needs a label; add object=LABEL to the key URI")
	}
	id := u.ID
	if id == "" {
		random := make([]byte, 16)
		rand.Read(random) // never fails (crypto/rand)
		id = string(random)
	}
	// First without a session that may write: a key that is there needs none.
	err = t.do(ctx, ca.LaneEnrollment, "", t.stuck, secret, 0, func(s *session) error {
		there, err := s.search(object(p11.CKO_PRIVATE_KEY, u.Object, u.ID))
		if err == nil && len(there) > 0 {
			err = refuse(ca.Conflict, t.name, nil, "there is a key of that label in the token already and it is not replaced; choose another object=")
		}
		return err
	})
	if err != nil {
		return asError(t, err)
	}
	err = t.do(ctx, ca.LaneEnrollment, "", generateStuck*t.stuck, secret, p11.CKF_RW_SESSION, func(s *session) error {
		return s.generate(t.name, ways, u.Object, id)
	})
	if err != nil {
		return asGenerated(t, algorithm, err)
	}
	return nil
}

// asGenerated says what a token that did not make a key may lack.
func asGenerated(t *token, algorithm string, err error) error {
	var e *ca.Error
	var rv p11.Error
	switch {
	case errors.As(err, &e):
		return err
	case errors.As(err, &rv):
		switch uint(rv) {
		case p11.CKR_TOKEN_WRITE_PROTECTED, p11.CKR_SESSION_READ_ONLY:
			return refuse(ca.Denied, t.name, err, "the token is read-only, so no key can be made in it; make it with the token's own tool, and name it in the key URI")
		case p11.CKR_MECHANISM_INVALID, p11.CKR_DOMAIN_PARAMS_INVALID, p11.CKR_KEY_SIZE_RANGE, p11.CKR_FUNCTION_NOT_SUPPORTED:
			return refuse(ca.BadRequest, t.name, err, "the token cannot make %s keys; choose another algorithm", algorithm)
		}
	}
	return refuse(ca.BadRequest, t.name, err, "the token refuses to make the key; make it with the token's own tool, and name it in the key URI")
}

// generate may run again after a session that was lost during it: a key of its
// own that the first run made is not made twice, but told as one that is there.
func (s *session) generate(token string, ways []recipe, label, id string) error {
	there, err := s.search(object(p11.CKO_PRIVATE_KEY, label, id))
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return refuse(ca.Conflict, token, nil, "a key of that label and id is in the token already: another process made it, or the call before this one, whose answer was lost; look at it with the token's own tool, then name it in the key URI")
	}
	mechanisms, err := s.mechanisms()
	if err != nil {
		return err
	}
	if !mechanisms[ways[0].mechanism] {
		return callError("C_GetMechanismList", p11.Error(p11.CKR_MECHANISM_INVALID))
	}
	named := []*p11.Attribute{p11.NewAttribute(p11.CKA_TOKEN, true), p11.NewAttribute(p11.CKA_LABEL, label), p11.NewAttribute(p11.CKA_ID, id)}
	var public, private p11.ObjectHandle
	for _, way := range ways {
		public, private, err = s.ctx.GenerateKeyPair(s.handle, []*p11.Mechanism{p11.NewMechanism(way.mechanism, nil)},
			append(append([]*p11.Attribute{p11.NewAttribute(p11.CKA_VERIFY, true)}, named...), way.public...),
			append(append([]*p11.Attribute{p11.NewAttribute(p11.CKA_SIGN, true), p11.NewAttribute(p11.CKA_PRIVATE, true),
				p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false)}, named...), way.private...))
		if err == nil || fateOf(err) != refused {
			break
		}
	}
	if err != nil {
		return callError("C_GenerateKeyPair", err)
	}
	never, err := s.flag(private, p11.CKA_NEVER_EXTRACTABLE)
	if err != nil {
		return err
	}
	always, err := s.flag(private, p11.CKA_ALWAYS_SENSITIVE)
	if err != nil {
		return err
	}
	if never && always {
		return nil
	}
	const leaves = "the token made a key that could leave it (CKA_NEVER_EXTRACTABLE, CKA_ALWAYS_SENSITIVE)"
	if err := errors.Join(s.ctx.DestroyObject(s.handle, private), s.ctx.DestroyObject(s.handle, public)); err != nil {
		return refuse(ca.Denied, token, err, leaves+", and it could not be destroyed: destroy it with the token's own tool, and use another token")
	}
	return refuse(ca.Denied, token, nil, leaves+", which was destroyed; use another token")
}

//go:build cgo

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"

	p11 "github.com/miekg/pkcs11"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/keys/pkcs11uri"
)

// Of PKCS #11 version 3.0, section 6.3.
const (
	ckkECEdwards           = 0x40
	ckmECEdwardsKeyPairGen = 0x1055
	ckmEdDSA               = 0x1057
)

const maxFound = 100 // objects that a search looks at

// object is what a search asks for.
func object(class uint, label, id string) []*p11.Attribute {
	template := []*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, class)}
	if label != "" {
		template = append(template, p11.NewAttribute(p11.CKA_LABEL, label))
	}
	if id != "" {
		template = append(template, p11.NewAttribute(p11.CKA_ID, id))
	}
	return template
}

// search gives the handles of the objects that fit a template.
func (s *session) search(template []*p11.Attribute) ([]p11.ObjectHandle, error) {
	if err := s.ctx.FindObjectsInit(s.handle, template); err != nil {
		return nil, callError("C_FindObjectsInit", err)
	}
	var all []p11.ObjectHandle
	for len(all) < maxFound {
		some, _, err := s.ctx.FindObjects(s.handle, maxFound)
		if err != nil {
			return nil, errors.Join(callError("C_FindObjects", err), s.ctx.FindObjectsFinal(s.handle))
		}
		if len(some) == 0 {
			break
		}
		all = append(all, some...)
	}
	return all, callError("C_FindObjectsFinal", s.ctx.FindObjectsFinal(s.handle))
}

// attribute reads one attribute; nil where the object has none or hides it.
func (s *session) attribute(o p11.ObjectHandle, typ uint) ([]byte, error) {
	got, err := s.ctx.GetAttributeValue(s.handle, o, []*p11.Attribute{p11.NewAttribute(typ, nil)})
	switch {
	case errors.Is(err, p11.Error(p11.CKR_ATTRIBUTE_TYPE_INVALID)), errors.Is(err, p11.Error(p11.CKR_ATTRIBUTE_SENSITIVE)):
		return nil, nil
	case err != nil:
		return nil, callError("C_GetAttributeValue", err)
	}
	return got[0].Value, nil
}

// flag reads a CK_BBOOL; absent is false.
func (s *session) flag(o p11.ObjectHandle, typ uint) (bool, error) {
	value, err := s.attribute(o, typ)
	return len(value) == 1 && value[0] != 0, err
}

// number reads a CK_ULONG.
func number(value []byte) (uint, bool) {
	switch len(value) {
	case 8:
		return uint(binary.NativeEndian.Uint64(value)), true
	case 4:
		return uint(binary.NativeEndian.Uint32(value)), true
	}
	return 0, false
}

// private finds the one private key of a label, id or both.
func (s *session) private(token, label, id string) (p11.ObjectHandle, error) {
	found, err := s.search(object(p11.CKO_PRIVATE_KEY, label, id))
	if err != nil {
		return 0, err
	}
	switch len(found) {
	case 0:
		return 0, refuse(ca.NotFound, token, nil, "the token has no private key of this label and id; check object= and id=, or make one with `enrollgate ca create`")
	case 1:
		return found[0], nil
	}
	var ids []string
	for _, o := range found {
		l, err := s.attribute(o, p11.CKA_LABEL)
		if err != nil {
			return 0, err
		}
		i, err := s.attribute(o, p11.CKA_ID)
		if err != nil {
			return 0, err
		}
		ids = append(ids, (pkcs11uri.URI{Object: string(l), ID: string(i)}).String())
	}
	return 0, refuse(ca.BadRequest, token, errors.New(strings.Join(ids, ", ")), "%d private keys of the token match the key URI; add id= or object= to name one", len(found))
}

// open reads everything about a key that signing with it needs.
func (s *session) open(t *token, u pkcs11uri.URI) (*key, error) {
	o, err := s.private(t.name, u.Object, u.ID)
	if err != nil {
		return nil, err
	}
	k := &key{token: t}
	for typ, field := range map[uint]*string{p11.CKA_LABEL: &k.label, p11.CKA_ID: &k.id} {
		value, err := s.attribute(o, typ)
		if err != nil {
			return nil, err
		}
		*field = string(value)
	}
	for typ, field := range map[uint]*bool{p11.CKA_SIGN: &k.signs, p11.CKA_DECRYPT: &k.decrypts} {
		if *field, err = s.flag(o, typ); err != nil {
			return nil, err
		}
	}
	each, err := s.flag(o, p11.CKA_ALWAYS_AUTHENTICATE)
	if err != nil {
		return nil, err
	}
	if each {
		return nil, refuse(ca.Denied, t.name, nil, "the key wants its PIN at each signature (CKA_ALWAYS_AUTHENTICATE), which a service cannot give; use one that does not")
	}
	if k.public, err = s.public(t.name, o, k.label, k.id); err != nil {
		return nil, err
	}
	if err := keys.CheckPublic(k.public); err != nil {
		return nil, err
	}
	_, isRSA := k.public.(*rsa.PublicKey)
	k.decrypts = k.decrypts && isRSA
	if !k.signs && !k.decrypts {
		return nil, refuse(ca.Denied, t.name, nil, "the key may neither sign nor decrypt (CKA_SIGN, CKA_DECRYPT); use another one")
	}
	if k.mechanisms, err = s.mechanisms(); err != nil {
		return nil, err
	}
	s.found[k] = o
	return k, nil
}

// mechanisms lists the types that the token has.
func (s *session) mechanisms() (map[uint]bool, error) {
	list, err := s.ctx.GetMechanismList(s.slot)
	if err != nil {
		return nil, callError("C_GetMechanismList", err)
	}
	out := map[uint]bool{}
	for _, m := range list {
		out[m.Mechanism] = true
	}
	return out, nil
}

// public finds the public half of a private key: in the public key object of
// the same id (or label, where the key has no id), in the private key itself
// (RSA, or CKA_PUBLIC_KEY_INFO of version 2.40), or in a certificate.
func (s *session) public(token string, private p11.ObjectHandle, label, id string) (crypto.PublicKey, error) {
	if id != "" {
		label = "" // what belongs together has the same id (PKCS #11 base, section 4.8)
	}
	value, err := s.attribute(private, p11.CKA_KEY_TYPE)
	if err != nil {
		return nil, err
	}
	keyType, ok := number(value)
	if !ok || keyType != p11.CKK_RSA && keyType != p11.CKK_EC && keyType != ckkECEdwards {
		return nil, refuse(ca.BadRequest, token, fmt.Errorf("CKA_KEY_TYPE %x", value), "this kind of key cannot sign; use one of %s", strings.Join(keys.Algorithms(), ", "))
	}
	objects, err := s.search(append(object(p11.CKO_PUBLIC_KEY, label, id), p11.NewAttribute(p11.CKA_KEY_TYPE, keyType)))
	if err != nil {
		return nil, err
	}
	if keyType == p11.CKK_RSA {
		objects = append(objects, private)
	}
	for _, o := range objects {
		public, err := s.publicOf(o, keyType)
		if public != nil || err != nil {
			return public, err
		}
	}
	info, err := s.attribute(private, p11.CKA_PUBLIC_KEY_INFO)
	if err != nil {
		return nil, err
	}
	if len(info) > 0 {
		public, err := x509.ParsePKIXPublicKey(info)
		if err != nil {
			return nil, refuse(ca.BadRequest, token, err, "CKA_PUBLIC_KEY_INFO of the private key does not parse; put a public key object of the same CKA_ID beside it")
		}
		return public, nil
	}
	certificates, err := s.search(object(p11.CKO_CERTIFICATE, label, id))
	if err != nil {
		return nil, err
	}
	for _, o := range certificates {
		der, err := s.attribute(o, p11.CKA_VALUE)
		if err != nil {
			return nil, err
		}
		if c, err := x509.ParseCertificate(der); err == nil {
			return c.PublicKey, nil
		}
	}
	return nil, refuse(ca.NotFound, token, errors.New("no CKO_PUBLIC_KEY, no CKA_PUBLIC_KEY_INFO, no CKO_CERTIFICATE"),
		"the token has the private key but nothing that tells its public half; put the public key object or the certificate with the same CKA_ID beside it")
}

// publicOf reads a public key out of an object; nil where it does not have it.
func (s *session) publicOf(o p11.ObjectHandle, keyType uint) (crypto.PublicKey, error) {
	first, second := uint(p11.CKA_EC_PARAMS), uint(p11.CKA_EC_POINT)
	if keyType == p11.CKK_RSA {
		first, second = p11.CKA_MODULUS, p11.CKA_PUBLIC_EXPONENT
	}
	a, err := s.attribute(o, first)
	if err != nil {
		return nil, err
	}
	b, err := s.attribute(o, second)
	if err != nil || len(a) == 0 || len(b) == 0 {
		return nil, err
	}
	if keyType == p11.CKK_RSA {
		e := new(big.Int).SetBytes(b)
		if e.BitLen() > 31 {
			return nil, ca.Errorf(ca.BadRequest, "the RSA key has a public exponent of more than 31 bits; make a new one")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(a), E: int(e.Int64())}, nil
	}
	return ecPublic(a, b)
}

// curve is a row of the table of curves: CKA_EC_PARAMS is the DER of the OID.
type curve struct {
	name  string // of keys.Algorithms
	oid   asn1.ObjectIdentifier
	curve elliptic.Curve // nil: Ed25519
}

func curves() []curve {
	return []curve{
		{"ecdsa-p256", asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, elliptic.P256()},
		{"ecdsa-p384", asn1.ObjectIdentifier{1, 3, 132, 0, 34}, elliptic.P384()},
		{"ecdsa-p521", asn1.ObjectIdentifier{1, 3, 132, 0, 35}, elliptic.P521()},
		{"ed25519", asn1.ObjectIdentifier{1, 3, 101, 112}, nil}, // RFC 8410 section 3
	}
}

// edwardsName is the other form of Ed25519's CKA_EC_PARAMS: a PrintableString.
const edwardsName = "edwards25519"

// ecPublic reads CKA_EC_PARAMS and CKA_EC_POINT. The point is wrapped in an
// OCTET STRING (PKCS #11 curr, section 2.3.3), which some tokens forget.
func ecPublic(params, point []byte) (crypto.PublicKey, error) {
	if in := cryptobyte.String(point); point[0] == 4 {
		var inner cryptobyte.String
		if in.ReadASN1(&inner, casn1.OCTET_STRING) && in.Empty() {
			point = inner
		}
	}
	in := cryptobyte.String(params)
	var oid asn1.ObjectIdentifier
	var name cryptobyte.String
	if !in.PeekASN1Tag(casn1.PrintableString) || !in.ReadASN1(&name, casn1.PrintableString) || string(name) != edwardsName {
		in = cryptobyte.String(params)
		if !in.ReadASN1ObjectIdentifier(&oid) {
			return nil, ca.Wrap(ca.BadRequest, fmt.Errorf("CKA_EC_PARAMS %x", params), "the key's curve is not named by its OID; use P-256, P-384, P-521 or Ed25519")
		}
	}
	for _, c := range curves() {
		switch {
		case !c.oid.Equal(oid) && (c.curve != nil || oid != nil):
			continue
		case c.curve == nil:
			return ed25519.PublicKey(point), nil
		}
		public, err := ecdsa.ParseUncompressedPublicKey(c.curve, point)
		if err != nil {
			return nil, ca.Wrap(ca.BadRequest, err, "the public key in the token is not a point of its curve; make a new one")
		}
		return public, nil
	}
	return nil, ca.Wrap(ca.BadRequest, fmt.Errorf("curve %v", oid), "the key's curve is not one that is signed with; use P-256, P-384, P-521 or Ed25519")
}

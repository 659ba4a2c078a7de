package attest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-tpm/tpm2"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
)

const (
	token   = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
	keyAuth = token + ".9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
)

var at = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// maker makes the certificates of one vendor: root, intermediate, leaves.
type maker struct {
	t      testing.TB
	root   *x509.Certificate
	middle *x509.Certificate
	key    *ecdsa.PrivateKey // of the intermediate
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rsaKey is made once: it costs a moment.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func certify(t testing.TB, c, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	if c.SerialNumber == nil {
		c.SerialNumber = big.NewInt(1)
	}
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = at.Add(-time.Hour), at.Add(time.Hour)
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key, by)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func newMaker(t testing.TB) *maker {
	t.Helper()
	m := &maker{t: t, key: ecKey(t)}
	top := ecKey(t)
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: stdpkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	m.root = certify(t, authority("root"), nil, top.Public(), top)
	m.middle = certify(t, authority("middle"), m.root, m.key.Public(), top)
	return m
}

// leaf makes an attesting certificate with further extensions.
func (m *maker) leaf(key crypto.PublicKey, extensions ...stdpkix.Extension) *x509.Certificate {
	return certify(m.t, &x509.Certificate{Subject: stdpkix.Name{CommonName: "device"}, BasicConstraintsValid: true, ExtraExtensions: extensions}, m.middle, key, m.key)
}

func (m *maker) chain(leaf *x509.Certificate) [][]byte { return [][]byte{leaf.Raw, m.middle.Raw} }

func ext(id asn1.ObjectIdentifier, value []byte) stdpkix.Extension {
	return stdpkix.Extension{Id: id, Value: value}
}

func altName(t testing.TB, critical bool, names ...pkix.GeneralName) stdpkix.Extension {
	t.Helper()
	der, err := pkix.MarshalGeneralNames(names)
	if err != nil {
		t.Fatal(err)
	}
	return stdpkix.Extension{Id: oidSubjectAltName, Critical: critical, Value: der}
}

func permanent(t testing.TB, value string, assigner pkix.OID) pkix.GeneralName {
	t.Helper()
	n, err := pkix.NewPermanentIdentifier(value, assigner)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func verifier(t testing.TB, format string, root *x509.Certificate) *Verifier {
	t.Helper()
	v, err := New(map[string][]*x509.Certificate{format: {root}}, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// encoded is an attestation object in CBOR.
func encoded(t testing.TB, format string, statement map[string]any) []byte {
	t.Helper()
	data, err := cbor.Marshal(map[string]any{"fmt": format, "attStmt": statement})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// response is the answer to a challenge.
func response(t testing.TB, object []byte) []byte {
	t.Helper()
	data, err := json.Marshal(map[string]any{"attObj": base64.RawURLEncoding.EncodeToString(object), "more": []int{1}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func asking(identifier string, answer []byte) va.Question {
	return va.Question{Identifier: identifier, Type: "permanent-identifier", Token: token, KeyAuthorization: keyAuth, Response: answer}
}

// spki is the hash by which an attested key is known.
func spki(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	k, err := pkix.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	hash := k.Hash()
	return string(hash[:])
}

// apple makes a statement as Apple's devices do.
func (m *maker) apple(key crypto.PublicKey, extensions ...stdpkix.Extension) map[string]any {
	fresh := sha256.Sum256([]byte(token))
	all := append([]stdpkix.Extension{ext(oidAppleFreshness, fresh[:]), ext(oidAppleSerial, []byte("C02XG0")), ext(oidAppleUDID, []byte("00008103-0011")),
		ext(apple(10, 2), []byte("1.2"))}, extensions...)
	return map[string]any{"x5c": m.chain(m.leaf(key, all...))}
}

// tpm holds what a TPM's statement is made of, for tests that get parts wrong.
type tpm struct {
	ak      crypto.Signer
	key     *ecdsa.PrivateKey // the attested one
	area    tpm2.TPMTPublic
	names   []pkix.GeneralName
	extra   []byte
	alter   func(*x509.Certificate)
	named   []byte // instead of the area's name
	sign    func(info []byte) []byte
	pubArea []byte // instead of the area
}

func newTPM(t testing.TB) *tpm {
	t.Helper()
	key := ecKey(t)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	directory, err := asn1.Marshal(stdpkix.Name{ExtraNames: []stdpkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 1}, Value: "id:494E5443"}, {Type: asn1.ObjectIdentifier{2, 23, 133, 2, 2}, Value: "SLB9670"},
		{Type: asn1.ObjectIdentifier{2, 23, 133, 2, 3}, Value: "id:0001"}}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	hardware, err := pkix.NewHardwareModule(pkix.OID{1, 2, 3, 4}, []byte("TPM-7"))
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(keyAuth))
	return &tpm{ak: ecKey(t), key: key, extra: digest[:],
		names: []pkix.GeneralName{pkix.NewDirectoryName(pkix.RawName(directory)), permanent(t, "SN-1", pkix.OID{1, 2, 3}), hardware},
		area: tpm2.TPMTPublic{Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
			ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, SignEncrypt: true},
			Parameters:       tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256}),
			Unique:           tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}})}}
}

func (m *maker) tpm(s *tpm) map[string]any {
	m.t.Helper()
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{oidAIKCertificate})
	if err != nil {
		m.t.Fatal(err)
	}
	template := &x509.Certificate{BasicConstraintsValid: true, ExtraExtensions: []stdpkix.Extension{
		ext(asn1.ObjectIdentifier{2, 5, 29, 37}, usage), altName(m.t, true, s.names...)}}
	if s.alter != nil {
		s.alter(template)
	}
	leaf := certify(m.t, template, m.middle, s.ak.Public(), m.key)
	name, err := tpm2.ObjectName(&s.area)
	if err != nil {
		m.t.Fatal(err)
	}
	if s.named != nil {
		name.Buffer = s.named
	}
	info := tpm2.Marshal(tpm2.TPMSAttest{Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify, ExtraData: tpm2.TPM2BData{Buffer: s.extra},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: *name})})
	area := tpm2.Marshal(s.area)
	if s.pubArea != nil {
		area = s.pubArea
	}
	alg := -7
	if _, isRSA := s.ak.(*rsa.PrivateKey); isRSA {
		alg = -257
	}
	sign := s.sign
	if sign == nil {
		sign = func(info []byte) []byte { return sum256(m.t, s.ak, info) }
	}
	return map[string]any{"ver": "2.0", "alg": alg, "x5c": m.chain(leaf), "sig": sign(info), "certInfo": info, "pubArea": area}
}

func sum256(t testing.TB, key crypto.Signer, message []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(message)
	sig, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

// packed makes a packed statement, for a token with a serial number.
func (m *maker) packed(key crypto.Signer, signed string, extensions ...stdpkix.Extension) map[string]any {
	return map[string]any{"alg": -7, "x5c": m.chain(m.leaf(key.Public(), extensions...)), "sig": sum256(m.t, key, []byte(signed))}
}

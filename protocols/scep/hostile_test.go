package scep

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// harmless sends a message by POST and by GET: it is answered, with no fault of
// ours, and nothing comes of it.
func (k *kit) harmless(what string, message []byte) (statuses [2]int) {
	k.Helper()
	for i, a := range []answer{k.post(at, message), k.inAddress(at, message)} {
		switch statuses[i] = a.status; a.status {
		case http.StatusOK:
			r := signerOf(k, a.body)
			if status, err := textAttribute(r.Signed, oidPKIStatus, 1); err != nil || status != "2" {
				k.Errorf("%s: pkiStatus %q, %v", what, status, err)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if !strings.Contains(string(a.body), " [trace ") {
				k.Errorf("%s: %s", what, a.body)
			}
		default:
			k.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	if k.events()["certificate.issued"] != 0 || k.burnt("one") != 0 || k.seen.Panics() != 0 {
		k.Fatalf("%s: something came of it; %d panics", what, k.seen.Panics())
	}
	return statuses
}

// subjectKey writes a SubjectPublicKeyInfo of anything.
func subjectKey(algorithm asn1.ObjectIdentifier, params []byte, key []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(algorithm)
			b.AddBytes(params)
		})
		b.AddASN1BitString(key)
	})
	return b.BytesOrPanic()
}

func rsaNumbers(n, e *big.Int) []byte {
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(n)
		b.AddASN1BigInt(e)
	})
	return subjectKey(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, []byte{5, 0}, b.BytesOrPanic())
}

// around is a certificate of a key that nobody could have signed.
func around(spki []byte) []byte {
	var b cryptobyte.Builder
	algorithm := func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11})
		b.AddASN1NULL()
	}
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddASN1(casn1.SEQUENCE, algorithm)
			b.AddBytes(pkix.EmptyName)
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("260101000000Z")) })
				b.AddASN1(casn1.UTCTime, func(b *cryptobyte.Builder) { b.AddBytes([]byte("360101000000Z")) })
			})
			b.AddBytes(pkix.EmptyName)
			b.AddBytes(spki)
		})
		b.AddASN1(casn1.SEQUENCE, algorithm)
		b.AddASN1BitString(make([]byte, 256))
	})
	return b.BytesOrPanic()
}

// TestHostileKeys: the keys that messages come with are the sender's choice.
func TestHostileKeys(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	envelope := c.envelope(c.csr(with("x")))
	odd := func(bits uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), bits)
		return n.Sub(n, big.NewInt(1))
	}
	three, two := big.NewInt(3), big.NewInt(2)
	ec, p256 := asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}
	point := append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)
	for what, spki := range map[string][]byte{
		"RSA of 512 bits": rsaNumbers(odd(512), big.NewInt(65537)), "RSA of 1024 bits": rsaNumbers(odd(1024), big.NewInt(65537)), "RSA of 16384 bits": rsaNumbers(odd(16384), big.NewInt(65537)),
		"RSA, exponent 1": rsaNumbers(odd(2048), big.NewInt(1)), "RSA, exponent 2": rsaNumbers(odd(2048), two), "RSA, giant exponent": rsaNumbers(odd(2048), odd(2047)),
		"RSA, exponent -3": rsaNumbers(odd(2048), big.NewInt(-3)), "RSA, modulus 0": rsaNumbers(new(big.Int), three), "RSA, even modulus": rsaNumbers(new(big.Int).Lsh(three, 2047), three),
		"RSA, modulus below 0": rsaNumbers(new(big.Int).Neg(odd(2048)), three), "RSA of nothing": subjectKey(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, []byte{5, 0}, nil),
		"EC, not on the curve": subjectKey(ec, p256, point), "EC, infinity": subjectKey(ec, p256, []byte{0}), "EC of nothing": subjectKey(ec, p256, nil), "EC without a curve": subjectKey(ec, nil, point),
		"EC P-224": subjectKey(ec, []byte{6, 5, 0x2b, 0x81, 4, 0, 0x21}, append([]byte{4}, make([]byte, 56)...)), "EC, explicit curve": subjectKey(ec, []byte{0x30, 0}, point),
		"Ed25519": subjectKey(asn1.ObjectIdentifier{1, 3, 101, 112}, nil, make([]byte, 32)), "Ed25519, short": subjectKey(asn1.ObjectIdentifier{1, 3, 101, 112}, nil, make([]byte, 31)),
		"X25519": subjectKey(asn1.ObjectIdentifier{1, 3, 101, 110}, nil, make([]byte, 32)), "DSA": subjectKey(asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, []byte{0x30, 0}, []byte{2, 1, 1}),
		"unknown": subjectKey(asn1.ObjectIdentifier{1, 2, 3}, nil, []byte{1}),
	} {
		der := around(spki)
		own := cms.Certificate{Raw: der, Issuer: pkix.EmptyName, Serial: []byte{1}}
		message, err := cms.Sign(cms.OIDData, envelope, [][]byte{der}, nil, cms.Signer{Key: c.key, Certificate: own, PlainRSA: true,
			Attributes: cms.Attributes{printable(oidMessageType, "19"), printable(oidTransaction, "t"), octets(oidSenderNonce, nonce)}})
		if err != nil {
			t.Fatal(what, err)
		}
		k.harmless(what, message)
	}
	if n := k.ra.uses.Load(); n != 0 {
		t.Errorf("the authority's key was used %d times", n)
	}
}

// TestHostileRequests: so are those of the requests in them.
func TestHostileRequests(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	csr := c.csr(with("wrong"))
	inner := func(what string, content []byte) { k.harmless(what, c.message(pkcsReq, c.envelope(content))) }
	inner("indefinite length", append([]byte{0x30, 0x80}, csr[4:]...))
	inner("giant length", append([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, csr[4:]...))
	inner("deep", bytes.Repeat([]byte{0x30, 0x80}, 20000))
	inner("a message", c.message(pkcsReq, c.envelope(csr)))
	inner("zeros", make([]byte, 60000))
	inner("longer than any", append(bytes.Clone(csr), make([]byte, pkix.MaxCSR)...))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 40 {
		changed := bytes.Clone(csr)
		changed[random.IntN(len(changed))] ^= 1 << random.IntN(8)
		inner(fmt.Sprint("a bit of the request, ", i), changed)
	}
}

// TestHostileMessages: what is not a message, and what nearly is one.
func TestHostileMessages(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	good := c.message(pkcsReq, c.envelope(c.csr(with("wrong"))))
	for what, message := range map[string][]byte{
		"one octet": {0x30}, "giant length": {0x30, 0x84, 0x7f, 0xff, 0xff, 0xff}, "length of 8 octets": {0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"length of 126 octets": append([]byte{0x30, 0xfe}, make([]byte, 200)...), "indefinite without an end": {0x30, 0x80}, "deep": bytes.Repeat([]byte{0x30, 0x80}, 8000), "deep OCTET STRINGs": bytes.Repeat([]byte{0x24, 0x80}, 8000),
		"ends without beginnings": make([]byte, 4096), "many elements": append([]byte{0x30, 0x83, 0, 0x80, 0}, bytes.Repeat([]byte{5, 0}, 0x4000)...), "more behind": append(bytes.Clone(good), 0), "text": []byte("PKIOperation"),
		"certificates alone": must(cms.Degenerate([][]byte{c.certificate}, nil)), "an envelope": c.envelope([]byte("x")),
	} {
		if got := k.harmless(what, message); got != [2]int{400, 400} {
			t.Errorf("%s: %v", what, got)
		}
	}
	for cut := 0; cut < len(good); cut += len(good) / 50 {
		if cut > 0 {
			k.harmless(fmt.Sprint("cut at ", cut), good[:cut])
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 60 {
		changed := bytes.Clone(good)
		changed[random.IntN(len(changed))] ^= 1 << random.IntN(8)
		k.harmless(fmt.Sprint("a bit of the message, ", i), changed)
	}
}

func must(der []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return der
}

// TestHostileSignatures: a message has one signer, whose certificate is in it, and
// each of its attributes once.
func TestHostileSignatures(t *testing.T) {
	k := newKit(t, nil)
	c, second := k.newClient(1), k.newClient(2)
	envelope := c.envelope(c.csr(with(k.secret())))
	own, err := cms.ReadCertificate(c.certificate)
	if err != nil {
		t.Fatal(err)
	}
	attributes := cms.Attributes{printable(oidMessageType, "19"), printable(oidTransaction, "t"), octets(oidSenderNonce, nonce)}
	one := cms.Signer{Key: c.key, Certificate: own, PlainRSA: true, Attributes: attributes}
	two := one
	two.Key = second.key
	if two.Certificate, err = cms.ReadCertificate(second.certificate); err != nil {
		t.Fatal(err)
	}
	sign := func(kind pkix.OID, certificates [][]byte, signers ...cms.Signer) []byte {
		return must(cms.Sign(kind, envelope, certificates, nil, signers...))
	}
	with := func(all ...cms.Attribute) []byte { return c.signed(envelope, append(attributes[:1:1], all...)) }
	both := [][]byte{c.certificate, second.certificate}
	for what, message := range map[string][]byte{
		"no certificates": sign(cms.OIDData, nil, one), "no signers": sign(cms.OIDData, both), "two signers": sign(cms.OIDData, both, one, two),
		"one signer twice": sign(cms.OIDData, both, one, one), "no attributes": sign(cms.OIDData, both, cms.Signer{Key: c.key, Certificate: own}), "transaction in the unsigned ones": sign(cms.OIDData, both, cms.Signer{Key: c.key, Certificate: own, Attributes: attributes[:1], Unsigned: attributes[1:]}),
		"no transaction": with(), "empty transaction": with(printable(oidTransaction, "")), "a long transaction": with(printable(oidTransaction, strings.Repeat("t", maxTransaction+1))),
		"a giant transaction": with(printable(oidTransaction, strings.Repeat("t", 90000))), "a transaction of lines": with(printable(oidTransaction, "t\r\nu")), "a transaction of octets": with(octets(oidTransaction, []byte("t"))),
		"many transactions": with(cms.Attribute{Type: oidTransaction, Values: [][]byte{printable(oidTransaction, "t").Values[0], printable(oidTransaction, "u").Values[0]}}),
		"attributes twice": edit(t, c.message(pkcsReq, envelope), func(tag casn1.Tag, content []byte) []byte {
			if tag == casn1.OBJECT_IDENTIFIER && bytes.HasSuffix(content, []byte{0x45, 1, 9, 5}) { // senderNonce
				content = append(bytes.Clone(content[:len(content)-1]), 7) // transactionID
			}
			return content
		}),
	} {
		if got := k.harmless(what, message); got != [2]int{400, 400} {
			t.Errorf("%s: %v", what, got)
		}
	}
	// These are messages whose signature does not hold.
	forged := c.message(pkcsReq, envelope)
	forged[len(forged)-1] ^= 1
	for what, message := range map[string][]byte{"signature": forged, "another's certificate of the same name and number": sign(cms.OIDData, both[1:], one), "by another key": sign(cms.OIDData, both, cms.Signer{Key: second.key, Certificate: own, PlainRSA: true, Attributes: attributes}),
		"another envelope": bytes.Replace(c.message(pkcsReq, envelope), envelope[60:], append([]byte{envelope[60] ^ 1}, envelope[61:]...), 1),
		"another type": edit(t, c.message(pkcsReq, envelope), func(tag casn1.Tag, content []byte) []byte {
			return map[bool][]byte{true: []byte("17"), false: content}[tag == casn1.PrintableString && string(content) == "19"]
		})} {
		if got := k.harmless(what, message); got != [2]int{200, 200} {
			t.Errorf("%s: %v", what, got)
		}
	}
	if n := k.ra.uses.Load(); n != 0 {
		t.Errorf("the authority's key was used %d times", n)
	}
}

// TestHostileEnvelopes: so is the envelope in a message that is signed rightly.
func TestHostileEnvelopes(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	good := c.envelope(c.csr(with(k.secret())))
	recipients := func(n int) []byte { // the same one n times
		var info, out []byte
		in := cryptobyte.String(good)
		var body, data, set, element cryptobyte.String
		var oid asn1.ObjectIdentifier
		var version int
		if !in.ReadASN1(&body, casn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&oid) || !body.ReadASN1(&data, casn1.Tag(0xa0)) || !data.ReadASN1(&data, casn1.SEQUENCE) ||
			!data.ReadASN1Integer(&version) || !data.ReadASN1(&set, casn1.SET) || n > 0 && !set.ReadASN1Element(&element, casn1.SEQUENCE) {
			t.Fatal("not an envelope")
		}
		info = bytes.Repeat(element, n)
		var b cryptobyte.Builder
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(0)
			b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(info) })
			b.AddBytes(data)
		})
		out = must(cms.MarshalContentInfo(cms.OIDEnvelopedData, b.BytesOrPanic()))
		return out
	}
	stranger, err := cms.ReadCertificate(c.certificate)
	if err != nil {
		t.Fatal(err)
	}
	for what, envelope := range map[string][]byte{
		"none": nil, "empty": {}, "garbage": []byte("garbage"), "a message": c.message(pkcsReq, good), "cut": good[:len(good)/2], "for nobody": recipients(0), "for 33": recipients(33), "for hundreds": recipients(300),
		"for another": must(cms.Encrypt(cms.OIDData, []byte("x"), c.cipher, c.floor, cms.KeyTransport{Certificate: stranger})), "for a password": must(cms.Encrypt(cms.OIDData, []byte("x"), c.cipher, c.floor, &cms.Password{Secret: []byte("x")})),
		"deep": bytes.Repeat([]byte{0x30, 0x80}, 8000), "a short IV": edit(t, good, func(tag casn1.Tag, content []byte) []byte {
			if tag == casn1.OCTET_STRING && len(content) == 16 {
				return content[1:]
			}
			return content
		}),
		"an unknown cipher": edit(t, good, func(tag casn1.Tag, content []byte) []byte {
			if tag == casn1.OBJECT_IDENTIFIER && len(content) == 9 && content[7] == 1 && content[0] == 0x60 {
				return append(bytes.Clone(content[:8]), 99)
			}
			return content
		}),
	} {
		if got := k.harmless(what, c.message(pkcsReq, envelope)); got != [2]int{200, 200} {
			t.Errorf("%s: %v", what, got)
		}
	}
	if n := k.ra.uses.Load(); n != 0 {
		t.Errorf("the authority's key was used %d times", n)
	}
}

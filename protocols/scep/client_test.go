package scep

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// client is a device that speaks SCEP: its key, and the certificate that it signs
// with, its own at first.
type client struct {
	k           *kit
	key         crypto.Signer
	certificate []byte
	cipher      cms.Cipher
	hash        crypto.Hash
	floor       cms.Floor // what it has itself
	transaction string
	path        string
}

// newClient is one with the i-th RSA key, from 1 on.
func (k *kit) newClient(i int) *client { return k.clientWith(rsaKey(k, i)) }

func (k *kit) clientWith(key crypto.Signer) *client {
	k.Helper()
	id := make([]byte, 8)
	rand.Read(id)
	return &client{k: k, key: key, certificate: certificateOf(k, key, "device", big.NewInt(1)), cipher: cms.AES128CBC, hash: crypto.SHA256,
		transaction: new(big.Int).SetBytes(id).Text(16), path: at, floor: cms.Floor{SHA1: true, MD5: true, DES: true, DES3: true}}
}

// csr is a request as devices make them.
type csr struct {
	cn        string
	dns       []string
	challenge string
	tag       casn1.Tag // of the challenge; 0: PrintableString
	twice     bool      // the challenge
	key       crypto.Signer
	signer    crypto.Signer // nil: key
	hash      crypto.Hash   // of an RSA key's signature; 0: SHA-256
}

func (c *client) csr(change ...func(*csr)) []byte {
	c.k.Helper()
	r := &csr{cn: "device-1", key: c.key, tag: casn1.PrintableString}
	for _, f := range change {
		f(r)
	}
	return r.der(c.k)
}

func with(challenge string) func(*csr) { return func(r *csr) { r.challenge = challenge } }

func named(cn string, dns ...string) func(*csr) {
	return func(r *csr) { r.cn, r.dns = cn, dns }
}

func (r *csr) der(t testing.TB) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(r.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(nameOf(t, r.cn))
		b.AddBytes(spki)
		b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			if r.challenge != "" {
				addAttribute(b, pkix.OIDChallengePassword, func(b *cryptobyte.Builder) {
					b.AddASN1(r.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.challenge)) })
					if r.twice {
						b.AddASN1(r.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.challenge)) })
					}
				})
			}
			if len(r.dns) > 0 {
				addAttribute(b, pkix.OIDExtensionRequest, func(b *cryptobyte.Builder) {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(pkix.OIDSubjectAltName)
							b.AddASN1(casn1.OCTET_STRING, func(b *cryptobyte.Builder) {
								b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
									for _, n := range r.dns {
										b.AddASN1(casn1.Tag(2).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(n)) })
									}
								})
							})
						})
					})
				})
			}
		})
	})
	info, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	signer := r.signer
	if signer == nil {
		signer = r.key
	}
	return signedRequest(t, info, signer, r.hash)
}

func addAttribute(b *cryptobyte.Builder, id pkix.OID, fill func(*cryptobyte.Builder)) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		b.AddASN1(casn1.SET, fill)
	})
}

func signedRequest(t testing.TB, info []byte, signer crypto.Signer, hash crypto.Hash) []byte {
	t.Helper()
	digest := sha256.Sum256(info)
	input, opts, algorithm := digest[:], crypto.SignerOpts(crypto.SHA256), asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	switch signer.(type) {
	case *rsa.PrivateKey:
		if algorithm = (asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}); hash == crypto.SHA1 {
			sum := sha1.Sum(info)
			algorithm, input, opts = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}, sum[:], hash
		}
	case ed25519.PrivateKey:
		algorithm, input, opts = asn1.ObjectIdentifier{1, 3, 101, 112}, info, crypto.Hash(0)
	case *ecdsa.PrivateKey:
	default:
		t.Fatalf("key %T", signer)
	}
	signature, err := signer.Sign(rand.Reader, input, opts)
	if err != nil {
		t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(algorithm)
			if _, ok := signer.(*rsa.PrivateKey); ok {
				b.AddASN1NULL()
			}
		})
		b.AddASN1BitString(signature)
	})
	return b.BytesOrPanic()
}

// envelope encrypts content to the registration authority.
func (c *client) envelope(content []byte) []byte {
	c.k.Helper()
	der, err := cms.Encrypt(cms.OIDData, content, c.cipher, c.floor, cms.KeyTransport{Certificate: c.k.ra.own})
	if err != nil {
		c.k.Fatal(err)
	}
	return der
}

// nonce is the senderNonce of every client.
var nonce = []byte("0123456789abcdef")

// message signs an envelope.
func (c *client) message(kind messageType, envelope []byte) []byte {
	c.k.Helper()
	return c.signed(envelope, cms.Attributes{printable(oidMessageType, strconv.Itoa(int(kind))), printable(oidTransaction, c.transaction), octets(oidSenderNonce, nonce)})
}

func (c *client) signed(envelope []byte, attributes cms.Attributes) []byte {
	c.k.Helper()
	own, err := cms.ReadCertificate(c.certificate)
	if err != nil {
		c.k.Fatal(err)
	}
	der, err := cms.Sign(cms.OIDData, envelope, [][]byte{c.certificate}, nil, cms.Signer{Key: c.key, Certificate: own, Hash: c.hash, PlainRSA: true, Attributes: attributes})
	if err != nil {
		c.k.Fatal(err)
	}
	return der
}

// ask sends a message with content and reads the reply.
func (c *client) ask(kind messageType, content []byte) *received {
	c.k.Helper()
	return c.read(c.k.post(c.path, c.message(kind, c.envelope(content))))
}

// enroll asks for a certificate.
func (c *client) enroll(change ...func(*csr)) *received {
	c.k.Helper()
	return c.ask(pkcsReq, c.csr(change...))
}

// received is a reply as the client reads it.
type received struct {
	status pkiStatus
	fail   failInfo
	text   string
	signed *cms.SignedData
	hash   crypto.Hash
}

// read checks what every reply of the door has.
func (c *client) read(a answer) *received {
	c.k.Helper()
	return c.readTo(a, nonce)
}

// readTo is read for who has sent another nonce, or none.
func (c *client) readTo(a answer, sent []byte) *received {
	k := c.k
	k.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != typeMessage {
		k.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	s, err := cms.ReadSigned(a.body, cms.Limits{})
	if err != nil {
		k.Fatal(err)
	}
	signer, err := s.Signer()
	if err != nil {
		k.Fatal(err)
	}
	if !signer.Matches(k.ra.own) {
		k.Error("the reply is not signed by the registration authority")
	}
	if err := s.Verify(signer, k.ra.key.Public(), c.floor); err != nil {
		k.Fatal(err)
	}
	out := &received{signed: s, hash: signer.Hash}
	text := func(id pkix.OID) string {
		value, err := textAttribute(signer.Signed, id, 4096)
		if err != nil {
			k.Fatal(err)
		}
		return value
	}
	if got := text(oidTransaction); got != c.transaction || text(oidMessageType) != "3" {
		k.Errorf("transaction %s of %s", got, c.transaction)
	}
	if _, ok := signer.Signed.Value(oidSenderNonce); !ok {
		k.Error("the reply has no senderNonce")
	}
	if value, ok := signer.Signed.Value(oidRecipientNonce); ok != (sent != nil) || ok && string(value[2:]) != string(sent) {
		k.Errorf("recipientNonce %x", value)
	}
	status, _ := strconv.Atoi(text(oidPKIStatus))
	if out.status = pkiStatus(status); out.status == failure {
		number, err := strconv.Atoi(text(oidFailInfo))
		if err != nil {
			k.Fatal(err)
		}
		out.fail, out.text = failInfo(number), text(oidFailInfoText)
	}
	if (out.status == success) != (len(s.Content) > 0) {
		k.Errorf("a reply that says %s has %d octets of content", out.status, len(s.Content))
	}
	return out
}

// open decrypts a reply with the client's key, or its secret.
func (c *client) open(r *received, secret string) (certificates, lists [][]byte) {
	k := c.k
	k.Helper()
	if r.status != success {
		k.Fatalf("%s %s %s", r.status, r.fail, r.text)
	}
	e, err := cms.ReadEnveloped(r.signed.Content, cms.Limits{})
	if err != nil {
		k.Fatal(err)
	}
	if e.Cipher != c.cipher {
		k.Errorf("answered with %s to %s", e.Cipher, c.cipher)
	}
	var key cms.Key = &cms.Password{Secret: []byte(secret)}
	if decrypter, ok := c.key.(crypto.Decrypter); ok {
		own, err := cms.ReadCertificate(c.certificate)
		if err != nil {
			k.Fatal(err)
		}
		key = cms.RSAKey{Certificate: own, Decrypter: decrypter}
	}
	plain, err := e.Decrypt(c.floor, key)
	if err != nil {
		k.Fatal(err)
	}
	if certificates, lists, err = cms.ReadDegenerate(plain, cms.Limits{}); err != nil {
		k.Fatal(err)
	}
	return certificates, lists
}

// issued reads the one certificate of a reply.
func (c *client) issued(r *received) *x509.Certificate {
	c.k.Helper()
	return c.issuedWith(r, "")
}

func (c *client) issuedWith(r *received, secret string) *x509.Certificate {
	c.k.Helper()
	all, lists := c.open(r, secret)
	if len(all) != 1 || len(lists) != 0 {
		c.k.Fatalf("%d certificates, %d lists", len(all), len(lists))
	}
	cert, err := x509.ParseCertificate(all[0])
	if err != nil {
		c.k.Fatal(err)
	}
	return cert
}

// refused fails where a reply says anything but this failure, with a trace id.
func (k *kit) refused(what string, r *received, info failInfo, text string) {
	k.Helper()
	if r.status != failure || r.fail != info || !strings.Contains(r.text, text) || !strings.Contains(r.text, " [trace ") {
		k.Errorf("%s: %s %s %q, want %s %q", what, r.status, r.fail, r.text, info, text)
	}
}

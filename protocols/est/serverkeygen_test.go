package est

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// The attributes of RFC 7030 section 4.4.1, and ciphers.
const (
	decryptKeyID = "1.2.840.113549.1.9.16.2.37"
	asymmKeyID   = "1.2.840.113549.1.9.16.2.54"
	smimeCaps    = "1.2.840.113549.1.9.15"
	aes128CBC    = "2.16.840.1.101.3.4.1.2"
	aes256CBC    = "2.16.840.1.101.3.4.1.42"
	aes256GCM    = "2.16.840.1.101.3.4.1.46"
)

// TestServerKeygen: a key comes in the clear over TLS, once, and again for as
// long as the same request gets the same answer; and it is logged nowhere.
func TestServerKeygen(t *testing.T) {
	k := newKit(t, making)
	code := k.user("one", 1)
	csr := fixture.CSR(t, fixture.Key(t), "device-1", "device-1.example")
	first := k.keygen(csr, code)
	key, c := k.made(first, "application/pkcs8")
	k.belongs(key, c)
	if c.Subject.CommonName != "device-1" || strings.Join(c.DNSNames, " ") != "device-1.example" {
		t.Errorf("%s %v", c.Subject, c.DNSNames)
	}
	if again := k.keygen(csr, code); again.body != first.body {
		t.Error("the same request gets another answer")
	}
	k.refused("another request with the same code", k.keygen(fixture.CSR(t, fixture.Key(t), "device-1", "device-1.example"), code), http.StatusUnauthorized, "used already")
	k.Late(14 * time.Minute)
	if again := k.keygen(csr, code); again.body != first.body {
		t.Error("the same request gets another answer within the window")
	}
	k.Late(16 * time.Minute)
	k.refused("after the window", k.keygen(csr, code), http.StatusUnauthorized, "used already")
	k.Late(0)
	scalar := key[36:68]
	for _, form := range []string{string(scalar), hex.EncodeToString(scalar), base64.StdEncoding.EncodeToString(key)[48:80], strings.Split(first.body, "\r\n")[4][64:120]} {
		if strings.Contains(k.logged.String(), form) {
			t.Error("the private key is in the log")
		}
	}
	if !strings.Contains(k.logged.String(), "certificate.issued") {
		t.Error("the log was not looked at")
	}
}

// What was erased is not made up: the same request is refused while its record
// is there, and revoked certificates come back in no way.
func TestServerKeygenErased(t *testing.T) {
	forgetful := &forgetting{}
	k := newKit(t, func(k *kit) {
		making(k)
		adapt := k.adapt
		k.adapt = func(o *Options) { adapt(o); forgetful.Replies, o.Replies = o.Replies, forgetful }
	})
	u := k.user("one", credential.Unlimited)
	csr := fixture.CSR(t, fixture.Key(t), "device-1")
	_, c := k.made(k.keygen(csr, u), "application/pkcs8")
	forgetful.erased = true
	k.refused("an erased key", k.keygen(csr, u), http.StatusConflict, "not kept any more")
	forgetful.erased = false
	k.Revoke(c.SerialNumber.Bytes(), ca.Superseded)
	k.refused("a revoked one", k.keygen(csr, u), http.StatusConflict, "revoked")
}

// forgetting is a store of replies that can lose them.
type forgetting struct {
	Replies
	erased bool
}

func (f *forgetting) KeptReply(ctx context.Context, tenant, id string) ([]byte, error) {
	if f.erased {
		return nil, ca.Errorf(ca.NotFound, "no reply is kept")
	}
	return f.Replies.KeptReply(ctx, tenant, id)
}

// The type of the request's key is what is made where the profile has it made;
// its value and signature are ignored (RFC 7030 section 4.4.1).
func TestServerKeygenType(t *testing.T) {
	k := newKit(t, making)
	u := k.user("one", credential.Unlimited)
	spoilt := fixture.CSR(t, fixture.Key(t), "device-1")
	spoilt[len(spoilt)-1] ^= 1
	if _, c := k.made(k.keygen(spoilt, u), "application/pkcs8"); k.bits(c) != 256 {
		t.Errorf("a key of %d bits", k.bits(c))
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, c := k.made(k.keygen(fixture.CSR(t, rsaKey, "device-2"), u), "application/pkcs8"); k.bits(c) != 256 {
		t.Errorf("a type that is not made: a key of %d bits", k.bits(c))
	}
	p384 := newP384(t)
	if _, c := k.made(k.keygen(fixture.CSR(t, p384, "device-3"), u), "application/pkcs8"); k.bits(c) != 384 {
		t.Errorf("P-384: a key of %d bits", k.bits(c))
	}
	k.refused("no request", k.keygen([]byte("hello"), u), http.StatusBadRequest, "CertificationRequest")
	k.refused("no password", k.keygen(spoilt, user{}), http.StatusUnauthorized, "user name")
}

// Where it is not switched on, nothing tells that there is such an operation.
func TestServerKeygenOff(t *testing.T) {
	k := newKit(t, making)
	u := k.user("two", credential.Unlimited)
	for _, path := range []string{"/two/issuing/" + signing, "/two_issuing_" + signing, "/one/issuing/" + other} {
		off := k.do(sent{method: "POST", path: path + "/serverkeygen", body: fixture.CSR(t, fixture.Key(t), "x"), mediaType: "application/pkcs10", user: u})
		k.refused(path, off, http.StatusNotFound, "no such EST endpoint or operation")
	}
	o := k.door.Options
	o.Own = map[string]Own{o.Endpoints[2].ID: {ServerKeygen: true}}
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "names none that are made") {
		t.Errorf("an endpoint that could make no key: %v", err)
	}
	o.Own, o.Keys = map[string]Own{o.Endpoints[0].ID: {ServerKeygen: true}}, nil
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "a part for that is missing") {
		t.Errorf("an endpoint without what makes keys: %v", err)
	}
}

// decrypting makes a key that private keys are encrypted under.
func (k *kit) decrypting(tenant string, change ...func(*credential.Credential)) (*credential.Credential, credential.Secret) {
	k.Helper()
	return k.Register(credential.Credential{Tenant: tenant, Kind: credential.Code, Door: caller.EST, Granted: credential.Unlimited, Left: credential.Unlimited}, change...)
}

// TestServerKeygenShared: a key comes encrypted under a secret that both sides
// have, which opens it as a key-encryption key and as a password.
func TestServerKeygenShared(t *testing.T) {
	k := newKit(t, making)
	u := k.user("one", credential.Unlimited)
	c, secret := k.decrypting("one")
	for what, test := range map[string]struct {
		capabilities []byte
		want         cms.Cipher
	}{
		"none said": {nil, cms.AES256CBC},
		"CBC":       {capable(t, aes128CBC, aes256CBC), cms.AES128CBC},
		"both":      {capable(t, aes256GCM, aes256CBC), cms.AES256CBC},
		"GCM alone": {capable(t, "1.2.3", aes256GCM), cms.AES256GCM},
	} {
		values := map[string][]byte{decryptKeyID: octets(c.ID)}
		if test.capabilities != nil {
			values[smimeCaps] = test.capabilities
		}
		csr := attributed(t, fixture.Key(t), "device-1", values)
		first := k.keygen(csr, u)
		part, issued := k.made(first, "application/pkcs7-mime; smime-type=server-generated-key")
		if e, err := cms.ReadEnveloped(part, cms.Limits{}); err != nil || e.Cipher != test.want {
			t.Errorf("%s: %v, want %v", what, e.Cipher, test.want)
		}
		k.belongs(k.opened(part, &cms.KEK{ID: []byte(c.ID), Key: secret.Octets()}), issued)
		k.belongs(k.opened(part, &cms.Password{Secret: []byte(secret.Text())}), issued)
		if again := k.keygen(csr, u); again.body != first.body {
			t.Errorf("%s: the same request gets another answer", what)
		}
	}
	k.refused("its secret as a password of HTTP Basic", k.keygen(fixture.CSR(t, fixture.Key(t), "x"), user{c, secret.Text()}), http.StatusUnauthorized, "wrong")
}

// An identifier that is unknown, another tenant's or of another use is refused,
// and nothing is issued.
func TestServerKeygenRecipientRefused(t *testing.T) {
	k := newKit(t, making)
	u := k.user("one", credential.Unlimited)
	theirs, _ := k.decrypting("two")
	elsewhere, _ := k.decrypting("one", func(c *credential.Credential) { c.Endpoints = []string{"one-issuing-" + other} })
	late, _ := k.decrypting("one", func(c *credential.Credential) { c.Expires = k.Now().Add(-time.Hour) })
	own, _ := k.decrypting("one")
	for what, test := range map[string]struct {
		values map[string][]byte
		text   string
	}{
		"another tenant's":     {map[string][]byte{decryptKeyID: octets(theirs.ID)}, "names no key that is known"},
		"another endpoint's":   {map[string][]byte{decryptKeyID: octets(elsewhere.ID)}, "names no key that is known"},
		"expired":              {map[string][]byte{decryptKeyID: octets(late.ID)}, "names no key that is known"},
		"a user's":             {map[string][]byte{decryptKeyID: octets(u.ID)}, "names no key that is known"},
		"unknown":              {map[string][]byte{decryptKeyID: octets("0123456789ABCDEF")}, "names no key that is known"},
		"of another form":      {map[string][]byte{decryptKeyID: octets("key 1")}, "names no key that is known"},
		"empty":                {map[string][]byte{decryptKeyID: octets("")}, "not an OCTET STRING"},
		"no OCTET STRING":      {map[string][]byte{decryptKeyID: capable(t)}, "not an OCTET STRING"},
		"too long":             {map[string][]byte{decryptKeyID: octets(strings.Repeat("x", 129))}, "not an OCTET STRING"},
		"two values":           {map[string][]byte{decryptKeyID: append(octets(own.ID), octets(own.ID)...)}, "once with one value"},
		"two keys":             {map[string][]byte{decryptKeyID: octets(own.ID), asymmKeyID: octets("xxxx")}, "names two keys"},
		"bad capabilities":     {map[string][]byte{decryptKeyID: octets(own.ID), smimeCaps: octets("x")}, "SMIMECapabilities of the request are malformed"},
		"useless capabilities": {map[string][]byte{decryptKeyID: octets(own.ID), smimeCaps: capable(t, "1.2.3", "1.2.840.113549.3.7")}, "name no cipher that is granted"},
		"unknown certificate":  {map[string][]byte{asymmKeyID: octets("\x01\x02\x03\x04")}, "neither the subject key identifier"},
	} {
		k.refused(what, k.keygen(attributed(t, fixture.Key(t), "device-1", test.values), u), http.StatusBadRequest, test.text)
	}
	if strings.Contains(k.logged.String(), "certificate.issued") {
		t.Error("something was issued")
	}
}

// Encrypted keys are signed: without a registration authority there are none.
func TestServerKeygenUnsigned(t *testing.T) {
	k := newKit(t, making)
	u := k.user("one", credential.Unlimited)
	c, _ := k.decrypting("one")
	post := func(csr []byte) reply {
		return k.do(sent{method: "POST", path: "/one/spare/" + signing + "/serverkeygen", body: csr, mediaType: "application/pkcs10", user: u})
	}
	k.refused("no registration authority", post(attributed(t, fixture.Key(t), "d", map[string][]byte{decryptKeyID: octets(c.ID)})), http.StatusNotImplemented, "no registration authority")
	k.made(post(fixture.CSR(t, fixture.Key(t), "d")), "application/pkcs8")
}

// TestServerKeygenOwned: a key comes encrypted for a certificate that the
// requester has, by its TLS client certificate or from this CA.
func TestServerKeygenOwned(t *testing.T) {
	k := newKit(t, making)
	u := k.user("one", credential.Unlimited)
	held := k.holder("device-1", u)
	caps := map[string][]byte{asymmKeyID: octets(string(held.Leaf.SubjectKeyId)), smimeCaps: capable(t, aes256CBC)}
	asked := attributed(t, fixture.Key(t), "device-1", caps)
	mine := ca.Certificate{Tenant: "one", CA: "issuing", DER: held.Leaf.Raw, NotAfter: held.Leaf.NotAfter, State: ca.Issued, Requester: k.requester(held.Leaf)}
	open := func(r reply) {
		t.Helper()
		part, c := k.made(r, "application/pkcs7-mime; smime-type=server-generated-key")
		reads, err := cms.ReadCertificate(held.Leaf.Raw)
		if err != nil {
			t.Fatal(err)
		}
		k.belongs(k.opened(part, cms.ECKey{Certificate: reads, Agreer: k.agreer(held)}), c)
	}
	k.archived = []ca.Certificate{mine}
	open(k.keygen(asked, u))
	mine.Requester = "est-user:somebody"
	k.archived = []ca.Certificate{mine}
	k.refused("somebody else's", k.keygen(attributed(t, fixture.Key(t), "x", caps), u), http.StatusBadRequest, "neither the subject key identifier")
	k.archived = nil
	// By the client certificate, which is renewed with a key that is made here.
	renewing := attributed(t, fixture.Key(t), "", caps)
	renewed := k.do(sent{method: "POST", path: at + "/serverkeygen", body: renewing, mediaType: "application/pkcs10", certificate: held})
	open(renewed)
	_, c := k.made(renewed, "application/pkcs7-mime; smime-type=server-generated-key")
	if c.Subject.String() != held.Leaf.Subject.String() || strings.Join(c.DNSNames, " ") != strings.Join(held.Leaf.DNSNames, " ") {
		t.Errorf("renewed as %s %v", c.Subject, c.DNSNames)
	}
	k.refused("a renewal with another name", k.do(sent{method: "POST", path: at + "/serverkeygen", body: fixture.CSR(t, fixture.Key(t), "device-2"), mediaType: "application/pkcs10", certificate: held}),
		http.StatusForbidden, "keeps the subject")
}

// Keys of certificates are used for what these say (RFC 5280 section 4.2.1.3).
func TestRecipientOf(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		what string
		der  []byte
		text string // "": it is one
	}{
		{"RSA", ownCertificate(t, rsaKey, x509.KeyUsageKeyEncipherment), ""},
		{"RSA without key usage", ownCertificate(t, rsaKey, 0), ""},
		{"RSA that signs", ownCertificate(t, rsaKey, x509.KeyUsageDigitalSignature), "lacks the key usage keyEncipherment"},
		{"EC", ownCertificate(t, fixture.Key(t), x509.KeyUsageKeyAgreement), ""},
		{"EC that signs", ownCertificate(t, fixture.Key(t), x509.KeyUsageDigitalSignature), "lacks the key usage keyAgreement"},
		{"Ed25519", ownCertificate(t, newEd25519(t), x509.KeyUsageKeyAgreement), "nothing can be encrypted for a key of type ed25519"},
		{"no certificate", []byte("x"), "cannot be read"},
	} {
		all, err := recipientOf(test.der, nil)
		if test.text == "" && (err != nil || len(all) != 1) || test.text != "" && (err == nil || !strings.Contains(err.Error(), test.text)) {
			t.Errorf("%s: %d recipients, %v", test.what, len(all), err)
		}
	}
	all, err := recipientOf(ownCertificate(t, rsaKey, 0), []pkix.OID{oidOAEP})
	if err != nil || all[0].(cms.KeyTransport).OAEP == 0 {
		t.Errorf("a client that knows OAEP: %v", err)
	}
}

// TestServerKeygenPending: a key waits with its request for an operator.
func TestServerKeygenPending(t *testing.T) {
	k := newKit(t, func(k *kit) {
		making(k)
		change := k.change
		k.change = func(w *profile.Written) { change(w); w.Approval = "manual" }
	})
	code := k.user("one", 1, func(c *credential.Credential) { c.Expires = k.Now().AddDate(0, 1, 0) })
	csr := fixture.CSR(t, fixture.Key(t), "device-1")
	for range 2 {
		k.refused("waiting", k.keygen(csr, code), http.StatusAccepted, "waits for an operator")
	}
	waiting := k.Waiting(1)[0]
	if waiting.Operation != ca.KeyGen {
		t.Fatalf("%+v", waiting)
	}
	k.Late(30 * time.Minute)
	k.Decide(waiting.ID, true)
	k.Settle()
	first := k.keygen(csr, code)
	key, c := k.made(first, "application/pkcs8")
	k.belongs(key, c)
	k.Late(3 * 24 * time.Hour)
	if again := k.keygen(csr, code); again.body != first.body {
		t.Error("the same request gets another answer, three days later")
	}
	k.Late(8 * 24 * time.Hour)
	if r := k.keygen(csr, code); bytes.Contains([]byte(r.body), []byte("pkcs8")) {
		t.Errorf("a week later: %d", r.status)
	}
}

// requester is whom a certificate was issued to.
func (k *kit) requester(c *x509.Certificate) string {
	k.Helper()
	serial, err := ca.ParseSerial(hex.EncodeToString(c.SerialNumber.Bytes()))
	if err != nil {
		k.Fatal(err)
	}
	found, err := k.Store.Certificate(k.Context(), "one", "issuing", serial)
	if err != nil {
		k.Fatal(err)
	}
	return found.Requester
}

func (k *kit) agreer(held *tls.Certificate) *ecdh.PrivateKey {
	k.Helper()
	private, err := held.PrivateKey.(interface {
		ECDH() (*ecdh.PrivateKey, error)
	}).ECDH()
	if err != nil {
		k.Fatal(err)
	}
	return private
}

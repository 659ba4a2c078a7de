package scep

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestUniformFailures: whatever is wrong between the ciphertext and a request that
// its signer made is one answer, octet for octet but for the trace id, the nonce
// and the signature, after one use of the registration authority's key, two
// signatures verified and nothing else (design.md, invariant 10).
func TestUniformFailures(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	pkcs10 := c.csr(with(k.secret()))
	flip := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[(i+len(b))%len(b)] ^= 0x40; return b }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	wrongSignature := bytes.Clone(pkcs10)
	wrongSignature[len(wrongSignature)-1] ^= 1
	var first string
	var length int
	check := func(what string, kind messageType, envelope []byte) {
		t.Helper()
		uses, reached, enrolled, verified := k.ra.uses.Load(), k.reached.total(), k.events()["certificate.issued"], k.reached.verified.Load()
		a := k.post(at, c.message(kind, envelope))
		r := c.read(a)
		shape := strings.Split(r.text, " [trace ")[0]
		k.refused(what, r, badMessageCheck, "the message cannot be used")
		if first == "" {
			first = shape
		}
		if shape != first || len(r.text) != len(first)+len(" [trace 0123456789]") || k.ra.uses.Load() != uses+1 || k.reached.total() != reached || k.events()["certificate.issued"] != enrolled {
			t.Errorf("%s, %s: %q, %d uses, %d questions", messages[kind].name, what, r.text, k.ra.uses.Load()-uses, k.reached.total()-reached)
		}
		if n := k.reached.verified.Load() - verified; n != 2 {
			t.Errorf("%s, %s: %d signatures were verified", messages[kind].name, what, n)
		}
		if length == 0 {
			length = len(a.body)
		}
		if len(a.body) != length {
			t.Errorf("%s, %s: %d octets, others have %d", messages[kind].name, what, len(a.body), length)
		}
	}
	for _, cipher := range []cms.Cipher{cms.AES128CBC, cms.AES256GCM} {
		c.cipher = cipher
		good := c.envelope(pkcs10)
		for what, envelope := range map[string][]byte{
			"padding or tag":            broken(t, good, encryptedContent, flip(-1)),
			"first block":               broken(t, good, encryptedContent, flip(0)),
			"content one octet short":   broken(t, good, encryptedContent, cut(1)),
			"content one block short":   broken(t, good, encryptedContent, cut(16)),
			"content one octet long":    broken(t, good, encryptedContent, func(b []byte) []byte { return append(b, 0) }),
			"no content":                broken(t, good, encryptedContent, func([]byte) []byte { return nil }),
			"key of other octets":       broken(t, good, encryptedKey, flip(7)),
			"key of zeros":              broken(t, good, encryptedKey, func(b []byte) []byte { clear(b); return b }),
			"key one octet short":       broken(t, good, encryptedKey, cut(1)),
			"no key":                    broken(t, good, encryptedKey, func([]byte) []byte { return nil }),
			"key for another RSA key":   broken(t, good, encryptedKey, func([]byte) []byte { return wrapped(t, &rsaKey(t, 2).PublicKey, 16) }),
			"key of another length":     broken(t, good, encryptedKey, func([]byte) []byte { return wrapped(t, &k.ra.key.PublicKey, 5) }),
			"empty request":             c.envelope(nil),
			"garbage":                   c.envelope([]byte("garbage")),
			"request cut":               c.envelope(pkcs10[:len(pkcs10)/2]),
			"request with more behind":  c.envelope(append(bytes.Clone(pkcs10), 5, 0)),
			"signature of the request":  c.envelope(wrongSignature),
			"request signed by another": c.envelope(c.csr(func(r *csr) { r.signer = rsaKey(t, 2) })),
			"request for another key":   c.envelope(k.newClient(2).csr(with("x"))),
			"request for an EC key":     c.envelope(k.clientWith(fixture.Key(t)).csr(with("x"))),
		} {
			check(what, pkcsReq, envelope)
		}
		for _, kind := range []messageType{renewalReq, certPoll, getCert, getCRL} {
			check("padding or tag", kind, broken(t, good, encryptedContent, flip(-1)))
			check("key of zeros", kind, broken(t, good, encryptedKey, func(b []byte) []byte { clear(b); return b }))
			check("garbage", kind, c.envelope([]byte("garbage")))
		}
	}
	if k.seen.Panics() != 0 || k.burnt("one") != 0 {
		t.Errorf("%d panics, %d secrets used", k.seen.Panics(), k.burnt("one"))
	}
}

// wrapped encrypts a random key of so many octets.
func wrapped(t *testing.T, to *rsa.PublicKey, size int) []byte {
	t.Helper()
	out, err := rsa.EncryptPKCS1v15(rand.Reader, to, make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestAuthorityOutOfReach: without the key nothing is answered in the protocol,
// whose failures are for good; and what was issued before the answer could be
// signed is there when the client comes again.
func TestAuthorityOutOfReach(t *testing.T) {
	k := newKit(t, nil)
	c := k.newClient(1)
	message := c.message(pkcsReq, c.envelope(c.csr(with(k.secret()))))
	gone := ca.UnavailableError(errors.New("token"), 5*time.Second)
	unavailable := func(what string, status, issued int) {
		t.Helper()
		a := k.post(at, message)
		if a.status != status || (status == 503) != (a.header.Get("Retry-After") != "") || strings.Contains(string(a.body), "token") {
			t.Errorf("%s: %d %v %s", what, a.status, a.header, a.body)
		}
		if n := k.events()["certificate.issued"]; n != issued || k.burnt("one") != issued {
			t.Errorf("%s: %d issued", what, n)
		}
	}
	k.ra.err = gone
	unavailable("nothing answers", http.StatusServiceUnavailable, 0)
	k.ra.err = nil
	for what, fault := range map[string]struct {
		err    error
		status int
	}{"gone": {gone, 503}, "too late": {context.DeadlineExceeded, 503}, "broken": {ca.InternalError(errors.New("token")), 500}} {
		k.ra.decrypting = fault.err
		unavailable("decryption, "+what, fault.status, 0)
	}
	k.ra.decrypting, k.ra.signing = nil, gone
	unavailable("signing", http.StatusServiceUnavailable, 1)
	k.ra.signing = nil
	c.issued(c.read(k.post(at, message)))
	if n := k.events()["certificate.issued"]; n != 1 {
		t.Errorf("%d were issued", n)
	}
}

package est

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestEnroll: the answer is the certificate alone, in base64 of lines of 64
// characters, with its length.
func TestEnroll(t *testing.T) {
	k := newKit(t, nil)
	r := k.enroll(fixture.CSR(t, fixture.Key(t), "device-1", "device-1.example"), k.user("one", credential.Unlimited))
	c := k.issued(r)
	if c.Subject.CommonName != "device-1" || len(c.DNSNames) != 1 || c.DNSNames[0] != "device-1.example" {
		t.Errorf("%s %v", c.Subject, c.DNSNames)
	}
	if r.header.Get("Content-Transfer-Encoding") != "base64" || r.header.Get("Content-Length") == "" || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", r.header)
	}
	lines := strings.Split(strings.TrimSuffix(r.body, "\n"), "\n")
	for i, line := range lines {
		if len(line) != 64 && i < len(lines)-1 || len(line) == 0 || len(line) > 64 {
			t.Errorf("line %d has %d characters", i, len(line))
		}
	}
	if n := k.seen.Replies("one-issuing-est-digital-signature simpleenroll 200"); n != 1 {
		t.Errorf("%d replies were counted", n)
	}
}

// TestLenient: every form that clients send is read, and the same request gets the
// same certificate, however it is written.
func TestLenient(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited)
	key, err := rsa.GenerateKey(rand.Reader, 2048) // long enough for many lines
	if err != nil {
		t.Fatal(err)
	}
	csr := fixture.CSR(t, key, "device-1", "device-1.example")
	plain := base64.StdEncoding.EncodeToString(csr)
	folded := func(n int, end string) string {
		var b strings.Builder
		for s := plain; len(s) > 0; {
			m := min(n, len(s))
			b.WriteString(s[:m] + end)
			s = s[m:]
		}
		return b.String()
	}
	first := k.issued(k.enroll(csr, u))
	for name, form := range map[string]sent{
		"lines of 64":       {body: []byte(folded(64, "\n"))},
		"lines of 76, CRLF": {body: []byte(folded(76, "\r\n"))},
		"lines of 1":        {body: []byte(folded(1, "\n"))},
		"blanks and tabs":   {body: []byte(" \t" + folded(20, " \t ") + "\n\n")},
		"no padding":        {body: []byte(strings.TrimRight(plain, "="))},
		"DER":               {body: csr},
		"PEM":               {body: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})},
		"PEM, old name":     {body: pem.EncodeToMemory(&pem.Block{Type: "NEW CERTIFICATE REQUEST", Bytes: csr})},
		"PEM after a text":  {body: []byte("Certificate Request:\r\n    Data:\r\n-----BEGIN CERTIFICATE REQUEST-----\r\n" + folded(64, "\r\n") + "-----END CERTIFICATE REQUEST-----\r\n")},
		"PEM in one line":   {body: []byte("-----BEGIN CERTIFICATE REQUEST-----" + plain + "-----END CERTIFICATE REQUEST-----")},
		"chunked":           {body: []byte(plain), chunked: true},
		"a charset":         {body: []byte(plain), mediaType: "application/pkcs10; charset=utf-8"},
		"a bad parameter":   {body: []byte(plain), mediaType: "application/pkcs10; charset"},
		"capitals":          {body: []byte(plain), mediaType: "Application/PKCS10"},
		"an encoding":       {body: []byte(plain), header: http.Header{"Content-Transfer-Encoding": {"base64"}}},
		"a false encoding":  {body: csr, header: http.Header{"Content-Transfer-Encoding": {"base64"}}},
	} {
		t.Run(name, func(t *testing.T) {
			form.method, form.path, form.user = "POST", at+"/simpleenroll", u
			if form.mediaType == "" {
				form.mediaType = "application/pkcs10"
			}
			if c := k.issued(k.do(form)); !c.Equal(first) {
				t.Error("another certificate")
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited)
	csr := fixture.CSR(t, fixture.Key(t), "device-1")
	foreign := bytes.Clone(csr)
	foreign[len(foreign)-3] ^= 1 // in the signature
	key := fixture.Key(t)
	swapped, err := pkix.ParseCSR(csr)
	if err != nil {
		t.Fatal(err)
	}
	stolen := bytes.Replace(fixture.CSR(t, key, "device-1"), mustKey(t, key.Public()), swapped.Key.Raw(), 1)
	encoded := []byte(base64.StdEncoding.EncodeToString(csr))
	for name, test := range map[string]struct {
		body      []byte
		mediaType string
		status    int
		text      string
	}{
		"no content type":          {encoded, "", 415, "application/pkcs10"},
		"another content type":     {encoded, "application/x-www-form-urlencoded", 415, "application/pkcs10"},
		"nothing":                  {nil, "application/pkcs10", 400, "empty"},
		"white space":              {[]byte(" \r\n"), "application/pkcs10", 400, "empty"},
		"no base64":                {[]byte("<html>"), "application/pkcs10", 400, "base64"},
		"base64 of a text":         {[]byte("aGVsbG8="), "application/pkcs10", 400, "CertificationRequest"},
		"padding alone":            {[]byte("===="), "application/pkcs10", 400, "base64"},
		"PEM of a certificate":     {pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: csr}), "application/pkcs10", 400, "CERTIFICATE REQUEST"},
		"half of a PEM text":       {[]byte("-----BEGIN CERTIFICATE REQUEST-----\nMII"), "application/pkcs10", 400, "CERTIFICATE REQUEST"},
		"DER that ends early":      {csr[:len(csr)-1], "application/pkcs10", 400, "CertificationRequest"},
		"a signature that is none": {[]byte(base64.StdEncoding.EncodeToString(foreign)), "application/pkcs10", 400, "CSR"},
		"somebody else's key":      {[]byte(base64.StdEncoding.EncodeToString(stolen)), "application/pkcs10", 400, "CSR"},
		"too long":                 {bytes.Repeat([]byte("A"), maxBody+1), "application/pkcs10", 413, "longer than"},
		"too long a request":       {bytes.Repeat([]byte("A"), maxBody), "application/pkcs10", 413, "longer than"},
	} {
		k.refused(name, k.do(sent{method: "POST", path: at + "/simpleenroll", body: test.body, mediaType: test.mediaType, user: u}), test.status, test.text)
	}
	k.refused("too long in chunks", k.do(sent{method: "POST", path: at + "/simpleenroll", body: bytes.Repeat([]byte("A"), maxBody+1), chunked: true,
		mediaType: "application/pkcs10", user: u}), 413, "longer than")
}

// mustKey gives a SubjectPublicKeyInfo.
func mustKey(t *testing.T, public any) []byte {
	t.Helper()
	key, err := pkix.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key.Raw()
}

// TestPasswords: who is not known, or not for here, is asked again, and told nothing.
func TestPasswords(t *testing.T) {
	k := newKit(t, nil)
	good := k.user("one", credential.Unlimited)
	wrong := good
	wrong.password += "x"
	revoked := k.user("one", credential.Unlimited)
	if err := k.Store.RevokeCredential(t.Context(), "one", revoked.ID, ca.Audit{Tenant: "one", Event: "credential.revoked", Actor: "operator:x", Detail: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	expired := k.user("one", credential.Unlimited, func(c *credential.Credential) { c.Expires = k.Now().Add(-time.Second) })
	csr := fixture.CSR(t, fixture.Key(t), "device-1")
	for name, test := range map[string]struct {
		user user
		text string
	}{
		"none":               {user{}, "wants a user name"},
		"a wrong password":   {wrong, "wrong"},
		"nobody":             {user{&credential.Credential{ID: "NOBODY"}, "x"}, "wrong"},
		"of another tenant":  {k.user("two", credential.Unlimited), "wrong"},
		"of another profile": {k.user("one", credential.Unlimited, func(c *credential.Credential) { c.Binding.Profile = other }), "wrong"},
		"of other endpoints": {k.user("one", credential.Unlimited, func(c *credential.Credential) { c.Endpoints = []string{"one-spare-" + signing} }), "wrong"},
		"of another door":    {k.user("one", credential.Unlimited, func(c *credential.Credential) { c.Door = caller.WSTEP }), "wrong"},
		"of another kind":    {k.user("one", credential.Unlimited, func(c *credential.Credential) { c.Kind = credential.Code }), "wrong"},
		"revoked":            {revoked, "revoked"},
		"expired":            {expired, "expired"},
	} {
		r := k.enroll(csr, test.user)
		k.refused(name, r, http.StatusUnauthorized, test.text)
		if r.header.Get("Www-Authenticate") != `Basic realm="one_issuing_`+signing+`"` {
			t.Errorf("%s: %v", name, r.header)
		}
	}
	if len(k.Store.Trail()) == 0 { // the registry's own rows
		t.Error("no audit trail")
	}
	k.issued(k.enroll(csr, good))
}

// TestBoundCredential: names, device and subject of a credential bind what it gets.
func TestBoundCredential(t *testing.T) {
	k := newKit(t, nil)
	u := k.user("one", credential.Unlimited, func(c *credential.Credential) { c.Binding.Names = []string{"*.a.example"} })
	k.issued(k.enroll(fixture.CSR(t, fixture.Key(t), "host.a.example", "host.a.example"), u))
	k.refused("another name", k.enroll(fixture.CSR(t, fixture.Key(t), "host.a.example", "host.b.example"), u), http.StatusForbidden, "does not allow the name")
	for _, cn := range []string{"x", "host.b.example"} {
		k.refused("another CN", k.enroll(fixture.CSR(t, fixture.Key(t), cn, "host.a.example"), u), http.StatusForbidden, "does not allow the CN")
	}
}

// TestEnrollmentCode: a credential of one use gets one certificate; whoever lost
// the answer gets it again, and nobody anything else.
func TestEnrollmentCode(t *testing.T) {
	k := newKit(t, nil)
	code := k.user("one", 1)
	csr := fixture.CSR(t, fixture.Key(t), "device-1")
	var all sync.WaitGroup
	serials := make([]string, 4)
	for i := range serials {
		all.Go(func() { serials[i] = k.issued(k.enroll(csr, code)).SerialNumber.String() })
	}
	all.Wait()
	for _, s := range serials {
		if s != serials[0] {
			t.Errorf("two certificates for one request: %s, %s", s, serials[0])
		}
	}
	k.refused("another key", k.enroll(fixture.CSR(t, fixture.Key(t), "device-1"), code), http.StatusUnauthorized, "used already")
	k.refused("another name", k.enroll(fixture.CSR(t, fixture.Key(t), "device-2"), code), http.StatusUnauthorized, "used already")
	k.Late(retryWindow + time.Minute)
	k.refused("after the retry window", k.enroll(csr, code), http.StatusUnauthorized, "used already")
}

// TestReplayOfRevoked: a certificate that was revoked is not given again.
func TestReplayOfRevoked(t *testing.T) {
	k := newKit(t, nil)
	u, csr := k.user("one", credential.Unlimited), fixture.CSR(t, fixture.Key(t), "device-1")
	k.Revoke(k.issued(k.enroll(csr, u)).SerialNumber.Bytes(), ca.Superseded)
	k.refused("again", k.enroll(csr, u), http.StatusConflict, "revoked")
}

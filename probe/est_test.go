package probe

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// estServer is an EST server over a gateway's CA. Tests change one thing.
type estServer struct {
	*gateway
	cas        [][]byte
	attributes []byte
	replies    map[string]http.HandlerFunc // instead of its own
	issued     int64
	extra      bool // one certificate more than was asked for
	keep       bool // the key and names of the first request
	first      *x509.CertificateRequest
}

func newESTServer(t *testing.T) (*estServer, *EST) {
	t.Helper()
	e := &estServer{gateway: newGateway(t), replies: map[string]http.HandlerFunc{}}
	e.cas = [][]byte{e.issuer.Raw, e.root.Raw}
	s := httptest.NewUnstartedServer(e)
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	door, err := NewEST(ESTOptions{URL: s.URL + "/est/", User: "u", Password: "p", Names: []string{"host.example"}, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return e, door
}

func (e *estServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	operation := strings.TrimPrefix(q.URL.Path, "/est/")
	if f := e.replies[operation]; f != nil {
		f(w, q)
		return
	}
	user, password, _ := q.BasicAuth()
	switch operation {
	case "cacerts":
		e.answer(w, "application/pkcs7-mime", bundle(e.t, e.cas...))
	case "csrattrs":
		if e.attributes == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		e.answer(w, "application/csrattrs", e.attributes)
	case "simpleenroll":
		if user != "u" || password != "p" {
			http.Error(w, "who are you? [trace 0123456789]", http.StatusUnauthorized)
			return
		}
		e.issue(w, q)
	case "simplereenroll":
		if len(q.TLS.PeerCertificates) == 0 || q.TLS.PeerCertificates[0].CheckSignatureFrom(e.issuer) != nil {
			http.Error(w, "show a certificate [trace 0123456789]", http.StatusForbidden)
			return
		}
		e.issue(w, q)
	}
}

func (e *estServer) answer(w http.ResponseWriter, media string, der []byte) {
	w.Header().Set("Content-Type", media)
	io.WriteString(w, base64.StdEncoding.EncodeToString(der))
}

func (e *estServer) issue(w http.ResponseWriter, q *http.Request) {
	text, err := io.ReadAll(q.Body)
	if err != nil {
		e.t.Error(err)
	}
	der, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		e.t.Error(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil || csr.Subject.CommonName != "host.example" {
		e.t.Errorf("a request of %v, %v", csr, err)
	}
	if e.first == nil || !e.keep {
		e.first = csr
	}
	template := *e.leaf
	template.DNSNames = e.first.DNSNames
	template.SerialNumber = new(big.Int).Add(e.leaf.SerialNumber, big.NewInt(e.issued))
	e.gateway.answer.SerialNumber = template.SerialNumber
	e.issued++
	all := [][]byte{sign(e.t, &template, e.issuer, e.first.PublicKey, e.key).Raw}
	if e.extra {
		all = append(all, e.issuer.Raw)
	}
	e.answer(w, "application/pkcs7-mime; smime-type=certs-only", bundle(e.t, all...))
}

// bundle is a SignedData of certificates alone.
func bundle(t testing.TB, certificates ...[]byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(casn1.SET, func(*cryptobyte.Builder) {})
				b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) })
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
					for _, der := range certificates {
						b.AddBytes(der)
					}
				})
				b.AddASN1(casn1.SET, func(*cryptobyte.Builder) {})
			})
		})
	})
	return b.BytesOrPanic()
}

func TestEST(t *testing.T) {
	e, door := newESTServer(t)
	o := e.options()
	o.Revoke = true
	for range 2 { // nothing of a run is left for the next
		r := Run(t.Context(), &Target{Endpoint: "e", Protocol: "est", Door: door, Renew: true}, o)
		var steps []string
		for _, s := range r.Steps {
			steps = append(steps, string(s.Step)+s.Error)
		}
		if got := strings.Join(steps, " "); !r.OK || got != "cacerts csrattrs enroll chain ocsp crl renew" {
			t.Fatal(got)
		}
	}
	if e.issued != 4 {
		t.Errorf("%d certificates", e.issued)
	}
	if err := door.Revoke(t.Context(), nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if r := Run(t.Context(), &Target{Door: door}, o); r.Steps[len(r.Steps)-1].Step != CRL {
		t.Errorf("renewed where it should not be: %+v", r.Steps)
	}
}

// TestESTFailures: what an EST server must not do fails its step, and what to do
// is said.
func TestESTFailures(t *testing.T) {
	says := func(status int, media, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	reply := func(operation string, f http.HandlerFunc) func(*estServer, *EST) {
		return func(e *estServer, _ *EST) { e.replies[operation] = f }
	}
	pkcs7 := "application/pkcs7-mime"
	for name, test := range map[string]struct {
		change func(*estServer, *EST)
		step   Step
		says   string
		do     string
	}{
		"TLS that nobody trusts": {func(_ *estServer, d *EST) { d.Roots = x509.NewCertPool() }, CACerts, "unknown authority", "--tls-root"},
		"nobody there":           {reply("cacerts", says(404, "text/plain", "no such thing")), CACerts, "no such thing", "enrollgate urls"},
		"a page":                 {reply("cacerts", says(200, "text/html", "<html>")), CACerts, "content type", ""},
		"not base64":             {reply("cacerts", says(200, pkcs7, "!")), CACerts, "base64", ""},
		"not PKCS #7":            {reply("cacerts", says(200, pkcs7, "AAAA")), CACerts, "no SignedData", ""},
		"without end":            {reply("cacerts", says(200, pkcs7, strings.Repeat("A", maxReply+1))), CACerts, "more than", ""},
		"no certificates":        {func(e *estServer, _ *EST) { e.cas = nil }, CACerts, "no certificate", ""},
		"attributes of nobody":   {func(e *estServer, _ *EST) { e.attributes = []byte{0x30, 1} }, CSRAttrs, "CsrAttrs", ""},
		"bound to the channel": {func(e *estServer, _ *EST) {
			e.attributes = []byte{0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7}
		}, CSRAttrs, "bound", "channel_binding"},
		"a wrong password":      {func(_ *estServer, d *EST) { d.Password = "q" }, Enroll, "who are you? [trace 0123456789]", "credential create"},
		"an operator decides":   {reply("simpleenroll", says(202, "text/plain", "later")), Enroll, "later", "approval"},
		"a failure inside":      {reply("simpleenroll", says(503, "text/plain", "no store")), Enroll, "no store", "readyz"},
		"a redirect to http":    {reply("simpleenroll", http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect).ServeHTTP), Enroll, "from https to http", ""},
		"two certificates":      {func(e *estServer, _ *EST) { e.extra = true }, Enroll, "2 certificates", ""},
		"an answer with signer": {reply("simpleenroll", says(200, pkcs7, "MAA=")), Enroll, "no SignedData", ""},
		"cacerts of another CA": {func(e *estServer, _ *EST) { e.cas = e.cas[1:] }, Chain, "unknown authority", "--root"},
		"renewals are refused":  {reply("simplereenroll", says(403, "text/plain", "too early")), Renew, "too early", "--no-renew"},
		"the same key again":    {func(e *estServer, _ *EST) { e.keep = true }, Renew, "another key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, door := newESTServer(t)
			test.change(e, door)
			r := Run(t.Context(), &Target{Door: door, Renew: true}, e.options())
			last := r.Steps[len(r.Steps)-1]
			if test.step == Chain { // which ends the run, too
				last = r.Steps[3]
			}
			if r.OK || last.Step != test.step || !strings.Contains(last.Error, test.says) || !strings.Contains(last.Do, test.do) {
				t.Errorf("%+v", last)
			}
		})
	}
	for _, o := range []ESTOptions{{}, {URL: "http://host.example/", User: "u", Password: "p", Names: []string{"a"}, Roots: x509.NewCertPool()}} {
		if _, err := NewEST(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// TestKeyTypes: the first type of keys that csrattrs names and that is known here
// is made; everything else is passed over.
func TestKeyTypes(t *testing.T) {
	attribute := func(id []int, fill func(*cryptobyte.Builder)) []byte {
		var b cryptobyte.Builder
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(id)
			b.AddASN1(casn1.SET, fill)
		})
		return b.BytesOrPanic()
	}
	bits := func(n int64) []byte { return attribute(oidRSA, func(b *cryptobyte.Builder) { b.AddASN1Int64(n) }) }
	curve := func(id ...int) []byte {
		return attribute(oidEC, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(id) })
	}
	for want, items := range map[string][][]byte{
		"":         {bits(1024), bits(1 << 20), curve(1, 2, 3), attribute(oidEC, func(*cryptobyte.Builder) {}), attribute([]int{1, 2, 3}, func(*cryptobyte.Builder) {})},
		"P-384":    {curve(1, 3, 132, 0, 34), bits(2048)},
		"P-521":    {curve(1, 2, 3), curve(1, 3, 132, 0, 35)},
		"RSA-2048": {bits(2048), curve(1, 2, 840, 10045, 3, 1, 7)},
		"Ed25519":  {attribute(oidEd25519, func(*cryptobyte.Builder) {})},
	} {
		var b cryptobyte.Builder
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, one := range items {
				b.AddBytes(one)
			}
		})
		got, err := readAttributes(b.BytesOrPanic())
		if err != nil || (want == "") != (len(got.keys) == 0) || want != "" && got.keys[0].String() != want {
			t.Errorf("%q: %v, %v", want, got, err)
			continue
		}
		if want == "" {
			continue
		}
		if key, err := got.keys[0].generate(); err != nil || key.Public() == nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzCertsOnly(f *testing.F) {
	f.Add(bundle(f, []byte{0x30, 0}))
	f.Fuzz(func(t *testing.T, der []byte) {
		if all, err := certsOnly(der); (len(all) == 0) == (err == nil) {
			t.Errorf("%d certificates, %v", len(all), err)
		}
	})
}

func FuzzAttributes(f *testing.F) {
	f.Add([]byte{0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7})
	f.Fuzz(func(t *testing.T, der []byte) {
		out, err := readAttributes(der)
		for _, k := range out.keys {
			if k.String() == "" || err == nil && k.bits > maxRSA {
				t.Errorf("%+v", k)
			}
		}
	})
}

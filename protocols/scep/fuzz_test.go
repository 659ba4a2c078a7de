package scep

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/protocols/internal/httpx"
	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// refusing is a core that holds what reaches it against what a door must not send,
// and refuses it.
type refusing struct{ t testing.TB }

func (r refusing) Enroll(_ context.Context, requests ...*ca.Request) []ca.Result {
	for _, q := range requests {
		if !q.Caller.Verified() || !q.Possession.Verified() || q.Endpoint == "" || len(q.Transaction) > maxTransaction+33 || q.Renews != nil {
			r.t.Errorf("a request that no door may send: %+v", q)
		}
	}
	return []ca.Result{{Err: ca.Errorf(ca.Denied, "refused")}}
}

func (r refusing) PollTransaction(_ context.Context, c caller.Caller, _ string) ca.Result {
	if !c.Verified() {
		r.t.Error("a poll by nobody")
	}
	return ca.Result{Err: ca.Errorf(ca.NotFound, "there is no such request")}
}

func (refusing) Offer(string) (ca.Offer, error) { return ca.Offer{}, nil }

// empty is a registry, a record and a CA without anything in them.
type empty struct{ Credentials }

func (empty) Find(context.Context, string, string) (*credential.Credential, error) {
	return nil, ca.Errorf(ca.BadProof, "unknown")
}

func (empty) Certificate(context.Context, string, string, ca.Serial) (*ca.Certificate, error) {
	return nil, ca.Errorf(ca.NotFound, "none")
}

func (empty) Issuer(string, string) (ca.Issuer, error) {
	return nil, ca.Errorf(ca.NotFound, "none")
}

func (empty) IssuerOf(*ca.Certificate) (ca.Issuer, error) {
	return nil, ca.Errorf(ca.NotFound, "none")
}

// fuzzed is a door without a network and a store, and a client of it.
func fuzzed(f *testing.F) (*Door, *client) {
	fixtures := filepath.Join("..", "internal", "cms", "testdata")
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(fixtures, name))
		if err != nil {
			f.Fatal(err)
		}
		block, _ := pem.Decode(text)
		return block.Bytes
	}
	key, err := x509.ParsePKCS8PrivateKey(read("rsa.key.pem"))
	if err != nil {
		f.Fatal(err)
	}
	ra := &authority{der: read("rsa.pem"), key: key.(*rsa.PrivateKey)}
	if ra.own, err = cms.ReadCertificate(ra.der); err != nil {
		f.Fatal(err)
	}
	d, err := New(Options{Endpoints: []ca.Endpoint{endpointOf("one", "issuing", dual, byAddress, bySecret)}, Own: map[string]Own{"one-issuing-" + dual: {Addresses: loopback, Legacy: LegacyAlgorithms()}},
		Core: refusing{f}, Issuers: empty{}, Generations: func(string, string) []ca.Issuer { return nil }, RAs: func(string, string) RA { return ra }, CRL: func(ca.Issuer) ([]byte, bool) { return nil, false },
		Certificates: empty{}, Credentials: empty{}, Callers: caller.NewVerifier(caller.SCEP), Claims: claim.NewVerifier(caller.SCEP), Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	k := &kit{TB: f, door: d, ra: ra}
	return d, k.clientWith(key.(*rsa.PrivateKey))
}

// FuzzMessage: whatever comes is refused in one of the ways that there are.
func FuzzMessage(f *testing.F) {
	d, c := fuzzed(f)
	for kind := range messages {
		f.Add(c.message(kind, c.envelope(c.csr(with("secret")))))
	}
	f.Add(spread(f, c.message(pkcsReq, spread(f, c.envelope(c.csr())))))
	names, err := filepath.Glob(filepath.Join("..", "internal", "cms", "testdata", "*.der"))
	if err != nil || len(names) == 0 {
		f.Fatal(err)
	}
	for _, name := range names {
		fixture, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(fixture)
		if strings.HasPrefix(filepath.Base(name), "encrypt-") {
			f.Add(c.message(pkcsReq, fixture))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := readMessage(raw)
		if err != nil {
			return
		}
		if m.transaction == "" || len(m.transaction) > maxTransaction || len(m.nonce) > maxNonce || m.certificate.Key.IsZero() {
			t.Fatalf("a message that is none: %+v", m)
		}
		checkOutcome(t, d, m, nil)
	})
}

// FuzzContent: what is in a message whose signature holds and whose envelope
// opened, for every type that is answered.
func FuzzContent(f *testing.F) {
	d, c := fuzzed(f)
	m := c.k.message(c.message(pkcsReq, c.envelope(nil)))
	csr, named := c.csr(with("secret"), named("a", "a.example")), number(f, c.certificate)
	for kind := range messages {
		for _, content := range [][]byte{csr, named, append([]byte{0x30, 4}, 0x30, 0, 0x30, 0), {}} {
			f.Add(int(kind), content)
		}
	}
	f.Fuzz(func(t *testing.T, kind int, content []byte) {
		if m.kind = messageType(kind); len(content) > maxMessage || messages[m.kind].serve == nil {
			return
		}
		checkOutcome(t, d, m, content)
	})
}

// checkOutcome holds what becomes of a message against the ways that there are.
func checkOutcome(t *testing.T, d *Door, m *message, content []byte) {
	t.Helper()
	hr := httptest.NewRequestWithContext(t.Context(), http.MethodPost, at+"?operation=PKIOperation", nil)
	hr.RemoteAddr = "127.0.0.1:1"
	r := &request{Request: hr, endpoint: d.paths["one/issuing/"+dual], trace: "T", operation: unlisted}
	var out *reply
	var err error
	if content == nil {
		out, err = d.perform(r, m)
	} else {
		out, err = messages[m.kind].serve(d)(r, &opened{message: m, cipher: cms.AES128CBC, content: content})
	}
	if out != nil || rejectionOf(err) == nil { // the core issues nothing
		t.Fatalf("%+v %v", out, err)
	}
}

// FuzzAddress: the message of a GET is base64, and no longer than one may be.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"operation=PKIOperation&message=MIIB", "message=" + url.QueryEscape("+/+/=="), "message=a b-_\r\n", "message=%zz", "message=;", "&&message", "message=" + strings.Repeat("A", 5000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		message, err := body(&request{Request: &http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}}})
		if err != nil {
			var r *httpx.Refusal
			if !errors.As(err, &r) || r.Status != http.StatusBadRequest && r.Status != http.StatusRequestEntityTooLarge {
				t.Fatal(err)
			}
			return
		}
		if len(message) == 0 || len(message) > maxMessage {
			t.Fatalf("%d octets", len(message))
		}
		again, err := body(&request{Request: &http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: "message=" + url.QueryEscape(base64.StdEncoding.EncodeToString(message))}}})
		if err != nil || !bytes.Equal(again, message) {
			t.Fatalf("not the same once written: %v", err)
		}
	})
}

// FuzzIssuerAndSubject: what is taken is two names and nothing else.
func FuzzIssuerAndSubject(f *testing.F) {
	f.Add([]byte{0x30, 4, 0x30, 0, 0x30, 0})
	f.Add(append([]byte{0x30, byte(4 + len(nameOf(f, "device")) - 2)}, append([]byte{0x30, 0}, nameOf(f, "device")...)...))
	f.Fuzz(func(t *testing.T, der []byte) {
		if checkIssuerAndSubject(der) != nil {
			return
		}
		in := cryptobyte.String(der)
		var both, issuer, subject cryptobyte.String
		if !in.ReadASN1(&both, casn1.SEQUENCE) || !both.ReadAnyASN1Element(&issuer, new(casn1.Tag)) || !both.ReadAnyASN1Element(&subject, new(casn1.Tag)) {
			t.Fatalf("%x", der)
		}
		var b cryptobyte.Builder
		b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(issuer)
			b.AddBytes(subject)
		})
		if !bytes.Equal(b.BytesOrPanic(), der) {
			t.Fatalf("more than two names: %x", der)
		}
	})
}

package ocsp

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/base64"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/status"
)

// BenchmarkGET serves one kept-alive connection from the cache, beside a static
// net/http handler with an answer of the same size. It reports the CPU time of
// the whole process less what the static handler's client part costs nobody:
// both sides are in it, so that only the difference and the bound say something.
func BenchmarkGET(b *testing.B) {
	responder, path, size := benchResponder(b)
	router := chi.NewRouter()
	New(Options{Responders: map[string]Responder{"default/issuing": responder}, Observer: &quiet{}, Log: slog.New(slog.DiscardHandler)}).Routes(router)
	static := make([]byte, size)
	b.Run("ocsp", func(b *testing.B) { serveOver(b, router, path, size) })
	b.Run("static", func(b *testing.B) {
		serveOver(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = contentType
			w.Write(static)
		}), path, size)
	})
}

type quiet struct{}

func (*quiet) OCSPAnswered(string, string, status.Outcome, bool) {}

// serveOver asks over a raw socket, so that next to nothing of the time is the client's.
func serveOver(b *testing.B, h http.Handler, path string, size int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: h}
	go server.Serve(l)
	defer server.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: ocsp.example\r\n\r\n")
	in := bufio.NewReader(conn)
	one := func() {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || int(n) != size || resp.StatusCode != http.StatusOK {
			b.Fatalf("%s, %d octets, %v", resp.Status, n, err)
		}
	}
	one()
	before := cpu(b)
	for b.Loop() {
		one()
	}
	b.ReportMetric(float64(cpu(b)-before)/float64(time.Millisecond)/float64(b.N), "cpu-ms/op")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// oneCertificate is a store with one issued certificate.
type oneCertificate struct{}

func (oneCertificate) FeedEnd(context.Context) (int64, error)                { return 0, nil }
func (oneCertificate) Feed(context.Context, int64, int) ([]ca.Status, error) { return nil, nil }
func (oneCertificate) StatusPage(context.Context, string, string, ca.Serial, int) ([]ca.Status, error) {
	return nil, nil
}
func (oneCertificate) Certificate(_ context.Context, tenant, id string, s ca.Serial) (*ca.Certificate, error) {
	return &ca.Certificate{Tenant: tenant, CA: id, Serial: s}, nil
}
func (oneCertificate) Month(context.Context, ca.Month) (*ca.MonthRecord, error) {
	return nil, ca.Errorf(ca.NotFound, "nothing was dropped")
}

// issuer signs with a P-256 key.
type issuer struct {
	facts *ca.Facts
	key   *ecdsa.PrivateKey
}

func (i *issuer) Facts() *ca.Facts { return i.facts }
func (i *issuer) Sign(_ context.Context, _ ca.Lane, tbs []byte) ([]byte, error) {
	return i.key.Sign(rand.Reader, i.facts.Signature.Digest(tbs), i.facts.Signature.Hash)
}

func benchResponder(b *testing.B) (r Responder, path string, size int) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	tpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: stdpkix.Name{CommonName: "CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tpl, tpl, key.Public(), key)
	if err != nil {
		b.Fatal(err)
	}
	cert, err := pkix.ParseCertificate(der)
	if err != nil {
		b.Fatal(err)
	}
	algorithm, err := pkix.SignatureFor(cert.Key)
	if err != nil {
		b.Fatal(err)
	}
	i := &issuer{&ca.Facts{Subject: cert.Subject, Key: cert.Key, Signature: algorithm, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}, key}
	issuers := []ca.Issuer{i}
	log := slog.New(slog.DiscardHandler)
	view := status.NewView(oneCertificate{}, log, time.Now)
	go view.Follow(b.Context())
	for {
		if _, err := view.Fresh(); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	desk := status.NewDesk(status.Options{View: view, Certificates: oneCertificate{}, Observer: &quiet{}, Log: log, Now: time.Now, Prepare: Prepare})
	bound := desk.Bind(status.Rules{Tenant: "default", CA: "issuing", Unknown: status.SayUnknown, Lifetime: 8 * time.Hour, MaxAge: 5 * time.Minute,
		Issuers: func() []ca.Issuer { return issuers }, Signer: func(i ca.Issuer) status.Signer { return status.Direct(i, false, func(string, string, ca.Lane) {}) }})
	serial := ca.NewSerial(time.Now().AddDate(1, 0, 0))
	name, keyHash := pkix.IssuerHashes(pkix.OCSPSHA1, cert.Subject, cert.Key)
	wrap := func(b []byte) []byte { return append([]byte{0x30, byte(len(b))}, b...) }
	request := wrap(wrap(wrap(wrap(pkix.MarshalCertID(pkix.OCSPSHA1, name, keyHash, serial[:])))))
	q, err := pkix.ParseOCSPRequest(request)
	if err != nil {
		b.Fatal(err)
	}
	a, err := bound.Answer(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	return bound, "/ocsp/default/issuing/" + url.PathEscape(base64.StdEncoding.EncodeToString(request)), len(a.DER)
}

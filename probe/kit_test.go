package probe

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// gateway is a CA with what relying parties ask, and a door to it. Tests change
// one thing before they probe it.
type gateway struct {
	t                    *testing.T
	now                  time.Time
	root, issuer         *x509.Certificate
	rootKey, key         *ecdsa.PrivateKey
	leaf                 *x509.Certificate // template
	subject              *ecdsa.PrivateKey // the leaf's key
	answer               ocsp.Response     // template
	responder            *x509.Certificate // nil: the issuer
	responderKey         crypto.Signer
	list                 x509.RevocationList // template
	listSigner           *x509.Certificate
	listKey              *ecdsa.PrivateKey
	base                 string
	chain                func(leaf, issuer []byte) [][]byte
	serveOCSP, serveList http.HandlerFunc // instead of answer and list
	asked                *Enrolled
	refuse, revoking     error
	deaf                 bool // the responder never hears of a revocation
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign makes a certificate.
func sign(t *testing.T, template, parent *x509.Certificate, of crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, of, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{t: t, now: time.Now().Truncate(time.Second), rootKey: newKey(t), key: newKey(t), subject: newKey(t)}
	authority := func(serial int64, name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: g.now.Add(-time.Hour), NotAfter: g.now.Add(24 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	}
	g.root = sign(t, authority(1, "Root"), authority(1, "Root"), g.rootKey.Public(), g.rootKey)
	g.issuer = sign(t, authority(2, "Issuing"), g.root, g.key.Public(), g.rootKey)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ocsp", func(w http.ResponseWriter, q *http.Request) { g.serveOCSP(w, q) })
	mux.HandleFunc("GET /crl", func(w http.ResponseWriter, q *http.Request) { g.serveList(w, q) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	g.base = s.URL
	g.leaf = &x509.Certificate{SerialNumber: new(big.Int).Lsh(big.NewInt(0x5f), 120), DNSNames: []string{"host.example"}, NotBefore: g.now.Add(-time.Minute), NotAfter: g.now.Add(time.Hour),
		OCSPServer: []string{g.base + "/ocsp"}, CRLDistributionPoints: []string{g.base + "/crl"}}
	g.answer = ocsp.Response{Status: ocsp.Good, SerialNumber: g.leaf.SerialNumber, ThisUpdate: g.now.Add(-time.Minute), NextUpdate: g.now.Add(time.Hour)}
	g.responder, g.responderKey = g.issuer, g.key
	g.list = x509.RevocationList{Number: big.NewInt(7), ThisUpdate: g.now.Add(-time.Minute), NextUpdate: g.now.Add(time.Hour)}
	g.listSigner, g.listKey = g.issuer, g.key
	g.chain = func(leaf, issuer []byte) [][]byte { return [][]byte{leaf, issuer} }
	g.serveOCSP = func(w http.ResponseWriter, q *http.Request) {
		der, err := io.ReadAll(q.Body)
		if err == nil {
			_, err = ocsp.ParseRequest(der)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		template := g.answer
		if g.responder != g.issuer {
			template.Certificate = g.responder
		}
		out, err := ocsp.CreateResponse(g.issuer, g.responder, template, g.responderKey)
		if err != nil {
			t.Error(err)
		}
		w.Write(out)
	}
	g.serveList = func(w http.ResponseWriter, _ *http.Request) {
		out, err := x509.CreateRevocationList(rand.Reader, &g.list, g.listSigner, g.listKey)
		if err != nil {
			t.Error(err)
		}
		w.Write(out)
	}
	return g
}

// Enroll implements Door.
func (g *gateway) Enroll(_ context.Context, s *Steps) (*Enrolled, error) {
	err := s.Do(Download, func() (string, error) { return "", g.refuse })
	if err != nil {
		return nil, err
	}
	if g.asked != nil {
		return g.asked, nil
	}
	leaf := sign(g.t, g.leaf, g.issuer, g.subject.Public(), g.key)
	return &Enrolled{Chain: g.chain(leaf.Raw, g.issuer.Raw), Key: g.subject.Public(), Names: []string{"host.example"}}, nil
}

// Revoke implements Door: the responder says so at once.
func (g *gateway) Revoke(_ context.Context, s *Steps, _ *Enrolled) error {
	if errors.Is(g.revoking, errors.ErrUnsupported) {
		return g.revoking
	}
	return s.Do(Revoke, func() (string, error) {
		if !g.deaf {
			g.answer.Status, g.answer.RevokedAt = ocsp.Revoked, g.now
		}
		return "", g.revoking
	})
}

func (g *gateway) options() *Options {
	roots := x509.NewCertPool()
	roots.AddCert(g.root)
	return &Options{Roots: roots, HTTP: NewClient(nil), Now: func() time.Time { return g.now }, Patience: time.Minute}
}

// probe runs once and gives the steps that failed with their errors.
func (g *gateway) probe(o *Options) (r *Result, failed map[Step]string) {
	g.t.Helper()
	r = Run(g.t.Context(), &Target{Endpoint: "e", Protocol: "acme", URL: "u", Door: g}, o)
	failed = map[Step]string{}
	for _, s := range r.Steps {
		if s.Error != "" {
			failed[s.Step] = s.Error
		}
		if (s.Error != "") != strings.HasSuffix(s.Do, ".") {
			g.t.Errorf("%s: %q, and what to do is %q", s.Step, s.Error, s.Do)
		}
	}
	if r.OK != (len(failed) == 0) {
		g.t.Errorf("OK is %v with failures %v", r.OK, failed)
	}
	return r, failed
}

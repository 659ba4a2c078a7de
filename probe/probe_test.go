package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/ocsp"
)

func TestGood(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Revoke = true
	r, failed := g.probe(o)
	if len(failed) > 0 {
		t.Fatal(failed)
	}
	var steps []string
	for _, s := range r.Steps {
		steps = append(steps, string(s.Step))
	}
	if got := strings.Join(steps, " "); got != "download chain ocsp crl revoke revoked" || r.Serial != "5f"+strings.Repeat("0", 30) || !r.NotAfter.Equal(g.leaf.NotAfter) {
		t.Errorf("%s, %s until %s", got, r.Serial, r.NotAfter)
	}
}

// TestFailures: each thing that a relying party would refuse fails its step, and
// no other one.
func TestFailures(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	delegate := func(g *gateway, usages ...x509.ExtKeyUsage) *x509.Certificate {
		key := newKey(g.t)
		g.responderKey = key
		return sign(g.t, &x509.Certificate{SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "Responder"}, NotBefore: g.now.Add(-time.Hour), NotAfter: g.now.Add(time.Hour),
			ExtKeyUsage: usages}, g.issuer, key.Public(), g.key)
	}
	for name, test := range map[string]struct {
		change func(g *gateway)
		step   Step
		says   string
	}{
		"no certificate at all": {func(g *gateway) { g.refuse = errors.New("no") }, Download, "no"},
		"an empty chain":        {func(g *gateway) { g.asked = &Enrolled{} }, Chain, "no certificate"},
		"rubbish":               {func(g *gateway) { g.asked = &Enrolled{Chain: [][]byte{{1}}} }, Chain, "certificate 1"},
		"another root": {func(g *gateway) {
			g.root = sign(g.t, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Other"}, NotAfter: g.now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true},
				g.root, g.rootKey.Public(), g.rootKey)
		}, Chain, "unknown authority"},
		"a chain without its CA": {func(g *gateway) { g.chain = func(leaf, _ []byte) [][]byte { return [][]byte{leaf} } }, Chain, "unknown authority"},
		"a chain out of order":   {func(g *gateway) { g.chain = func(leaf, ca []byte) [][]byte { return [][]byte{leaf, leaf, ca} } }, Chain, "did not issue"},
		"another name":           {func(g *gateway) { g.leaf.DNSNames = []string{"other.example"} }, Chain, "names other.example and not host.example"},
		"one name more":          {func(g *gateway) { g.leaf.DNSNames = append(g.leaf.DNSNames, "more.example") }, Chain, "more.example"},
		"a name of another kind": {func(g *gateway) { g.leaf.EmailAddresses = []string{"a@host.example"} }, Chain, "a@host.example"},
		"another key": {func(g *gateway) {
			own := g.subject
			g.chain = func(_, ca []byte) [][]byte {
				g.subject = newKey(g.t)
				return [][]byte{sign(g.t, g.leaf, g.issuer, own.Public(), g.key).Raw, ca}
			}
		}, Chain, "another key"},
		"ended":         {func(g *gateway) { g.leaf.NotAfter = g.now }, Chain, "valid from"},
		"not yet valid": {func(g *gateway) { g.leaf.NotBefore = g.now.Add(time.Minute) }, Chain, "valid from"},

		"OCSP says unknown":       {func(g *gateway) { g.answer.Status = ocsp.Unknown }, OCSP, "unknown"},
		"OCSP says revoked":       {func(g *gateway) { g.answer.Status, g.answer.RevokedAt = ocsp.Revoked, g.now }, OCSP, "revoked"},
		"OCSP about another":      {func(g *gateway) { g.answer.SerialNumber = big.NewInt(3) }, OCSP, "no response matching"},
		"OCSP of yesterday":       {func(g *gateway) { g.answer.NextUpdate = g.now }, OCSP, "until"},
		"OCSP of tomorrow":        {func(g *gateway) { g.answer.ThisUpdate = g.now.Add(skew + time.Minute) }, OCSP, "until"},
		"OCSP without an end":     {func(g *gateway) { g.answer.NextUpdate = time.Time{} }, OCSP, "nextUpdate"},
		"OCSP by another key":     {func(g *gateway) { g.responderKey = newKey(g.t) }, OCSP, "signature"},
		"OCSP by a web server":    {func(g *gateway) { g.responder = delegate(g, x509.ExtKeyUsageServerAuth) }, OCSP, "OCSPSigning"},
		"OCSP that is an error":   {func(g *gateway) { g.serveOCSP = answer(200, string(ocsp.TryLaterErrorResponse)) }, OCSP, "try later"},
		"OCSP that is none":       {func(g *gateway) { g.serveOCSP = answer(200, "hello") }, OCSP, "/ocsp"},
		"OCSP that is away":       {func(g *gateway) { g.serveOCSP = answer(503, "") }, OCSP, "503"},
		"OCSP that does not end":  {func(g *gateway) { g.serveOCSP = answer(200, strings.Repeat("x", maxReply+1)) }, OCSP, "more than"},
		"OCSP where nobody is":    {func(g *gateway) { g.leaf.OCSPServer = []string{"http://127.0.0.1:1/ocsp"} }, OCSP, "refused"},
		"OCSP by another way":     {func(g *gateway) { g.leaf.OCSPServer = []string{"file:///etc/passwd"} }, OCSP, "no http URL"},
		"OCSP, the second of two": {func(g *gateway) { g.leaf.OCSPServer = append(g.leaf.OCSPServer, g.base+"/gone") }, OCSP, "404"},

		"CRL that lists it": {func(g *gateway) {
			g.list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: big.NewInt(4), RevocationTime: g.now}, {SerialNumber: g.leaf.SerialNumber, RevocationTime: g.now}}
		}, CRL, "has the certificate"},
		"CRL of yesterday":   {func(g *gateway) { g.list.NextUpdate = g.now }, CRL, "until"},
		"CRL of tomorrow":    {func(g *gateway) { g.list.ThisUpdate = g.now.Add(skew + time.Minute) }, CRL, "until"},
		"CRL that is none":   {func(g *gateway) { g.serveList = answer(200, "hello") }, CRL, "DER"},
		"CRL by another key": {func(g *gateway) { g.listKey = newKey(g.t) }, CRL, "verif"},
		"CRL by another CA":  {func(g *gateway) { g.listSigner, g.listKey = g.root, g.rootKey }, CRL, "issuer"},
		"CRL that is away":   {func(g *gateway) { g.serveList = answer(404, "") }, CRL, "404"},
		"CRL where nobody is": {func(g *gateway) {
			g.leaf.CRLDistributionPoints = []string{"http://127.0.0.1:1/crl"}
		}, CRL, "refused"},
		"CRL of another point": {func(g *gateway) {
			g.list.ExtraExtensions = []pkix.Extension{point(g.t, "http://elsewhere.example/crl")}
		}, CRL, "another distribution point"},
		"CRL that is a delta": {func(g *gateway) {
			g.list.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 6}}}
		}, CRL, "delta"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			test.change(g)
			if _, failed := g.probe(g.options()); len(failed) != 1 || !strings.Contains(failed[test.step], test.says) {
				t.Errorf("failed are %v, want %s: %s", failed, test.step, test.says)
			}
		})
	}
	g := newGateway(t)
	g.responder = delegate(g, x509.ExtKeyUsageOCSPSigning)
	g.list.ExtraExtensions = []pkix.Extension{point(t, g.base+"/crl")}
	if _, failed := g.probe(g.options()); len(failed) > 0 {
		t.Errorf("a responder's certificate and a list of its own point: %v", failed)
	}
}

// point is issuingDistributionPoint with one URL (RFC 5280 section 5.2.5).
func point(t *testing.T, url string) pkix.Extension {
	t.Helper()
	type name struct {
		Full []asn1.RawValue `asn1:"tag:0"`
	}
	value, err := asn1.Marshal(struct {
		Point name `asn1:"tag:0"`
	}{name{[]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(url)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: value}
}

// TestNothingToAsk: certificates without revocation information are no failure.
func TestNothingToAsk(t *testing.T) {
	g := newGateway(t)
	g.leaf.OCSPServer, g.leaf.CRLDistributionPoints = nil, nil
	o := g.options()
	o.Revoke, g.revoking = true, errors.ErrUnsupported
	r, failed := g.probe(o)
	if len(failed) > 0 || len(r.Steps) != 4 || r.Steps[2].Note != "the certificate names no OCSP responder" || r.Steps[3].Note != "the certificate names no CRL" {
		t.Errorf("%v, %+v", failed, r.Steps)
	}
	g.leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: []byte{5, 0}}}
	if r, failed = g.probe(o); len(failed) > 0 || !strings.Contains(r.Steps[3].Note, "RFC 9608") {
		t.Errorf("%v, %+v", failed, r.Steps)
	}
}

// TestRevocationIsSeen: a responder that goes on saying good fails the run, and so
// does a door that does not revoke.
func TestRevocationIsSeen(t *testing.T) {
	g := newGateway(t)
	o := g.options()
	o.Revoke, o.Patience = true, time.Millisecond
	g.deaf = true
	if _, failed := g.probe(o); len(failed) != 1 || failed[Revoked] == "" {
		t.Errorf("good for ever: %v", failed)
	}
	g.revoking = errors.New("not today")
	if _, failed := g.probe(o); len(failed) != 1 || failed[Revoke] != "not today" {
		t.Errorf("not revoked: %v", failed)
	}
}

// TestClientIsBounded: redirects end, and lead from https to nothing else.
func TestClientIsBounded(t *testing.T) {
	hops := 0
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		hops++
		http.Redirect(w, q, "/again", http.StatusFound)
	}))
	defer loop.Close()
	if resp, err := NewClient(nil).Get(loop.URL); err == nil {
		resp.Body.Close()
		t.Error("a redirect without end was followed")
	}
	if hops != maxRedirects+1 {
		t.Errorf("%d requests", hops)
	}
	down := httptest.NewTLSServer(http.RedirectHandler(loop.URL, http.StatusFound))
	defer down.Close()
	roots := x509.NewCertPool()
	roots.AddCert(down.Certificate())
	if resp, err := NewClient(roots).Get(down.URL); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("from https to http: %v", err)
		if err == nil {
			resp.Body.Close()
		}
	}
	flood := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("x", maxReply+9)) }))
	defer flood.Close()
	resp, err := (&http.Client{Transport: bounded{http.DefaultTransport}}).Get(flood.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) != maxReply {
		t.Errorf("%d octets, %v", len(body), err)
	}
}

// TestTLSALPN01: the solver shows the certificate of RFC 8737 section 3 to who
// negotiates acme-tls/1, and frees its address.
func TestTLSALPN01(t *testing.T) {
	c := &acme.Client{Key: newKey(t)}
	l := httptest.NewUnstartedServer(nil).Listener
	free := l.Addr().String()
	l.Close()
	done, err := TLSALPN01{free}.Present(c, "token", "host.example")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", free, &tls.Config{ServerName: "host.example", NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	state := conn.ConnectionState()
	conn.Close()
	if state.NegotiatedProtocol != acme.ALPNProto || state.PeerCertificates[0].VerifyHostname("host.example") != nil || len(state.PeerCertificates[0].UnhandledCriticalExtensions) != 1 {
		t.Errorf("%s, %v", state.NegotiatedProtocol, state.PeerCertificates[0].DNSNames)
	}
	if _, err := (HTTP01{free}).Present(c, "token", ""); err == nil || adviceOf(Challenge, err) == advice[Challenge] {
		t.Errorf("an address that is taken: %v", err)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if done, err = (HTTP01{free}).Present(c, "token", ""); err != nil {
		t.Fatalf("the address is not free again: %v", err)
	}
	resp, err := http.Get("http://" + free + "/.well-known/acme-challenge/other")
	if err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("another token: %v", err)
	}
	resp.Body.Close()
	if err := done(); err != nil {
		t.Error(err)
	}
}

// TestMetrics: series come from targets and steps, and tell of the last run.
func TestMetrics(t *testing.T) {
	g, m := newGateway(t), NewMetrics()
	m.Start(&Target{Endpoint: "e", Protocol: "acme"})
	scrape := func() string {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/metrics", nil))
		return w.Body.String()
	}
	r, _ := g.probe(g.options())
	m.Record(r)
	if text := scrape(); !strings.Contains(text, `enrollgate_probe_success{door="acme",endpoint="e"} 1`) || !strings.Contains(text, `step="crl"`) {
		t.Error(text)
	}
	g.answer.Status = ocsp.Unknown
	o := g.options()
	r, _ = g.probe(o)
	m.Record(r)
	text := scrape()
	for _, want := range []string{`enrollgate_probe_success{door="acme",endpoint="e"} 0`, `enrollgate_probe_step_failures_total{door="acme",endpoint="e",step="ocsp"} 1`,
		`enrollgate_probe_runs_total{door="acme",endpoint="e",outcome="failure"} 1`, `enrollgate_probe_runs_total{door="acme",endpoint="e",outcome="success"} 1`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	g.refuse = errors.New("no")
	r, _ = g.probe(o)
	m.Record(r)
	if strings.Contains(scrape(), `enrollgate_probe_step_seconds{door="acme",endpoint="e",step="crl"}`) {
		t.Error("the time of a step that the last run did not take is still there")
	}
}

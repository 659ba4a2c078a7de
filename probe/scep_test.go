package probe

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/smallstep/scep"
)

// scepServer is a SCEP server over a gateway's CA. Tests change one thing.
type scepServer struct {
	*gateway
	ra      *x509.Certificate
	raKey   *rsa.PrivateKey
	cas     [][]byte
	replies map[string]http.HandlerFunc // instead of its own
	fail    scep.FailInfo
	signing *x509.Certificate // instead of the registration authority's
	issued  int64
	stale   []byte // the reply to the first request, given again
	again   bool
}

func newSCEPServer(t *testing.T) (*scepServer, *SCEP) {
	t.Helper()
	e := &scepServer{gateway: newGateway(t), replies: map[string]http.HandlerFunc{}}
	var err error
	if e.raKey, err = rsa.GenerateKey(rand.Reader, rsaBits); err != nil {
		t.Fatal(err)
	}
	e.ra = sign(t, &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "RA"}, NotBefore: e.now.Add(-1e9), NotAfter: e.leaf.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}, e.issuer, e.raKey.Public(), e.key)
	e.cas = [][]byte{e.ra.Raw, e.issuer.Raw}
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(e.root)
	door, err := NewSCEP(SCEPOptions{URL: s.URL + "/scep/", Secret: "secret", Names: []string{"host.example"}, HTTP: NewClient(nil), Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return e, door
}

func (e *scepServer) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	operation := q.URL.Query().Get("operation")
	if f := e.replies[operation]; f != nil {
		f(w, q)
		return
	}
	switch operation {
	case "GetCACaps":
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "AES\nSHA-256\nPOSTPKIOperation\n")
	case "GetCACert":
		w.Header().Set("Content-Type", "application/x-x509-ca-ra-cert")
		w.Write(bundle(e.t, e.cas...))
	case "PKIOperation":
		w.Header().Set("Content-Type", "application/x-pki-message")
		w.Write(e.reply(q))
	}
}

// reply answers as another project's library does.
func (e *scepServer) reply(q *http.Request) []byte {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		e.t.Error(err)
	}
	if e.again && e.stale != nil {
		return e.stale
	}
	message, err := scep.ParsePKIMessage(body)
	if err != nil {
		e.t.Error(err)
		return nil
	}
	if err := message.DecryptPKIEnvelope(e.ra, e.raKey); err != nil {
		e.t.Error(err)
		return nil
	}
	signer, key := e.ra, e.raKey
	if e.signing != nil {
		signer = e.signing
	}
	renewal := message.MessageType == scep.RenewalReq
	if e.fail != "" || !renewal && message.ChallengePassword != "secret" {
		info := e.fail
		if info == "" {
			info = scep.BadMessageCheck
		}
		refused, err := message.Fail(signer, key, info)
		if err != nil {
			e.t.Error(err)
		}
		return refused.Raw
	}
	csr := message.CSRReqMessage.CSR
	template := *e.leaf
	template.DNSNames = csr.DNSNames
	template.SerialNumber = new(big.Int).Add(e.leaf.SerialNumber, big.NewInt(e.issued))
	e.gateway.answer.SerialNumber = template.SerialNumber
	e.issued++
	out, err := message.Success(signer, key, sign(e.t, &template, e.issuer, csr.PublicKey, e.key))
	if err != nil {
		e.t.Error(err)
	}
	e.stale = out.Raw
	return out.Raw
}

func TestSCEP(t *testing.T) {
	t.Parallel()
	e, door := newSCEPServer(t)
	r := Run(t.Context(), &Target{Endpoint: "e", Protocol: "scep", Door: door, Renew: true}, e.options())
	var steps []string
	for _, s := range r.Steps {
		steps = append(steps, string(s.Step)+s.Error)
	}
	if got := strings.Join(steps, " "); !r.OK || got != "cacaps cacert enroll chain ocsp crl renew" || e.issued != 2 {
		t.Fatalf("%d: %s", e.issued, got)
	}
	if err := door.Revoke(t.Context(), nil, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := NewSCEP(SCEPOptions{}); err == nil {
		t.Error("nothing is enough for a client")
	}
}

// TestSCEPFailures: what a SCEP server must not do fails its step.
func TestSCEPFailures(t *testing.T) {
	t.Parallel() // making keys takes long
	says := func(operation string, status int, media, body string) func(*scepServer, *SCEP) {
		return func(e *scepServer, _ *SCEP) {
			e.replies[operation] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", media)
				w.WriteHeader(status)
				io.WriteString(w, body)
			}
		}
	}
	for name, test := range map[string]struct {
		change func(*scepServer, *SCEP)
		step   Step
		says   string
	}{
		"nobody there":          {says("GetCACaps", 404, "text/plain", "no such thing"), CACaps, "no such thing"},
		"no AES":                {says("GetCACaps", 200, "text/plain", "SHA-256\nPOSTPKIOperation\n"), CACaps, "AES"},
		"a page":                {says("GetCACert", 200, "text/html", "<html>"), CACert, "content type"},
		"without end":           {says("GetCACert", 200, "application/x-x509-ca-ra-cert", strings.Repeat("A", maxReply+1)), CACert, "more than"},
		"no RA":                 {func(e *scepServer, _ *SCEP) { e.cas = e.cas[1:] }, CACert, "registration authority"},
		"an RA of nobody":       {func(_ *scepServer, c *SCEP) { c.Roots = x509.NewCertPool() }, CACert, "unknown authority"},
		"a wrong secret":        {func(_ *scepServer, c *SCEP) { c.Secret = "other" }, Enroll, "failInfo"},
		"a reply that is none":  {says("PKIOperation", 200, "application/x-pki-message", "hello"), Enroll, "no CertRep"},
		"a failure inside":      {says("PKIOperation", 503, "text/plain", "no store"), Enroll, "no store"},
		"a reply to another":    {func(e *scepServer, _ *SCEP) { e.again = true }, Renew, "another request"},
		"signed by another key": {func(e *scepServer, _ *SCEP) { e.signElsewhere() }, Enroll, "no CertRep"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, door := newSCEPServer(t)
			test.change(e, door)
			r := Run(t.Context(), &Target{Door: door, Renew: true}, e.options())
			last := r.Steps[len(r.Steps)-1]
			if r.OK || last.Step != test.step || !strings.Contains(last.Error, test.says) || last.Do == "" {
				t.Errorf("%+v", last)
			}
		})
	}
}

// signElsewhere has replies signed by a certificate that GetCACert does not give.
func (e *scepServer) signElsewhere() {
	template := *e.ra
	template.SerialNumber = big.NewInt(4)
	e.signing = sign(e.t, &template, e.issuer, e.raKey.Public(), e.key)
}

package admin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
)

// stamps is a Revoker that remembers what it was asked.
type stamps struct {
	mu    sync.Mutex
	asked map[ca.Serial]*ca.RevokeRequest
	most  int // requests at once
	now   int
	fail  map[ca.Serial]error
	hold  chan struct{} // nil: nobody waits
}

func (s *stamps) Revoke(_ context.Context, r *ca.RevokeRequest) (*ca.Status, error) {
	s.mu.Lock()
	s.now++
	s.most = max(s.most, s.now)
	if s.hold != nil && s.now == atOnce {
		close(s.hold)
		s.hold = nil
	}
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		<-hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now--
	s.asked[r.Serial] = r
	if err := s.fail[r.Serial]; err != nil {
		return nil, err
	}
	return &ca.Status{}, nil
}

func operatorOf(tenant string) (caller.Caller, error) {
	return caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: tenant, User: "ann", UID: 1, At: time.Now()})
}

// TestSweep goes through two CAs in pages, with some that are so already and some
// that fail.
func TestSweep(t *testing.T) {
	now := time.Now().Truncate(time.Second).UTC()
	s := shelf{certificates: map[string][]ca.Certificate{"a": nil, "b": nil, "empty": nil}}
	a := &stamps{asked: map[ca.Serial]*ca.RevokeRequest{}, fail: map[ca.Serial]error{
		{0x5f, 3}: ca.UnavailableError(fmt.Errorf("away"), time.Second), {0x5f, 4}: ca.Errorf(ca.Conflict, "already")}, hold: make(chan struct{})}
	for i := range 100 {
		id := map[bool]string{true: "a", false: "b"}[i < 70]
		c := ca.Certificate{Tenant: "t", CA: id, Serial: ca.Serial{0x5f, byte(i)}, State: ca.Issued, NotBefore: now.Add(time.Duration(i-100) * time.Hour)}
		if i == 0 {
			c.State = ca.Revoked
		}
		s.certificates[id] = append(s.certificates[id], c)
	}
	job := Bulk{Selection: Selection{Tenants: []string{"t"}}, Reason: ca.Superseded, Invalid: now.Add(-50 * time.Hour), Job: ca.NewTrace(), Actor: operatorOf, Now: now, Limit: atOnce + 3}
	var total Tally
	var failures []Failure
	for pages := 0; ; pages++ {
		out, err := Sweep(t.Context(), s, a, job)
		if err != nil || pages > 5 {
			t.Fatalf("page %d: %v", pages, err)
		}
		total.Add(out.Tally)
		failures = append(failures, out.Failures...)
		if job.Page = out.Next; job.Page == "" {
			break
		}
	}
	if want := (Tally{Matched: 100, Changed: 97, Already: 2, Failed: 1}); total != want {
		t.Errorf("%+v, want %+v", total, want)
	}
	if want := []Failure{{"t", "a", ca.Serial{0x5f, 3}.String(), "unavailable", failures[0].Error}}; !cmp.Equal(failures, want) || failures[0].Error == "" {
		t.Errorf("%+v, want %+v", failures, want)
	}
	if len(a.asked) != 99 || a.most != atOnce {
		t.Errorf("%d were asked for, %d at once", len(a.asked), a.most)
	}
	for serial, r := range a.asked {
		begin := now.Add(time.Duration(int(serial[1])-100) * time.Hour)
		if r.Trace != job.Job || r.Caller.ID() != "operator:ann" || !r.Again || r.Invalid.Before(begin) || serial[1] < 50 && !r.Invalid.Equal(job.Invalid) {
			t.Errorf("%s: %+v", serial, r)
		}
	}
}

// TestSweepCompromised: what is revoked for another reason is asked for again
// where the key is compromised.
func TestSweepCompromised(t *testing.T) {
	serial := ca.Serial{0x5f, 1}
	s := shelf{certificates: map[string][]ca.Certificate{"a": {{Tenant: "t", CA: "a", Serial: serial, State: ca.Revoked}}}}
	for reason, want := range map[ca.Reason]int{ca.KeyCompromise: 1, ca.CACompromise: 1, ca.Superseded: 0, ca.CertificateHold: 0, ca.RemoveFromCRL: 0} {
		a := &stamps{asked: map[ca.Serial]*ca.RevokeRequest{}}
		out, err := Sweep(t.Context(), s, a, Bulk{Selection: Selection{Tenants: []string{"t"}}, Reason: reason, Job: ca.NewTrace(), Actor: operatorOf, Now: time.Now(), Limit: 9})
		if err != nil || out.Changed != want || out.Already != 1-want || len(a.asked) != want {
			t.Errorf("%s: %+v, %v", reason, out, err)
		}
	}
}

func TestSweepRefuses(t *testing.T) {
	s, now := shelf{certificates: map[string][]ca.Certificate{"a": nil}}, time.Now()
	good := Bulk{Selection: Selection{Tenants: []string{"t"}}, Job: ca.NewTrace(), Actor: operatorOf, Now: now, Limit: 1}
	for what, change := range map[string]func(*Bulk){
		"no limit": func(b *Bulk) { b.Limit = 0 }, "a big page": func(b *Bulk) { b.Limit = MaxBulk + 1 },
		"many serials": func(b *Bulk) { b.Selection.Serials = make([]ca.Serial, MaxBulk+1) },
		"no job":       func(b *Bulk) { b.Job = "" }, "another job": func(b *Bulk) { b.Job = "0123456789\n" }, "small letters": func(b *Bulk) { b.Job = "abcdefghjk" },
		"a date to come": func(b *Bulk) { b.Invalid = now.Add(time.Minute) },
		"no page":        func(b *Bulk) { b.Page = "a" }, "another tenant's page": func(b *Bulk) { b.Page = "u/a/" + ca.Serial{1}.String() },
	} {
		b := good
		change(&b)
		if _, err := Sweep(t.Context(), s, nil, b); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%s: %v", what, err)
		}
	}
	good.Selection.Filter.CA = "b"
	if _, err := Sweep(t.Context(), s, nil, good); !ca.IsKind(err, ca.NotFound) {
		t.Errorf("another CA: %v", err)
	}
}

func TestCountSelected(t *testing.T) {
	key := newKey(t)
	states := map[string][]ca.State{"a": {ca.Issued, ca.Held, ca.Revoked, ca.Issued}, "b": nil, "c": {ca.Revoked}}
	s := shelf{certificates: map[string][]ca.Certificate{}}
	for id, list := range states {
		s.certificates[id] = nil
		for i, state := range list {
			by := key
			if i == 3 {
				by = newKey(t)
			}
			s.certificates[id] = append(s.certificates[id], ca.Certificate{Tenant: "t", CA: id, Serial: ca.Serial{0x5f, byte(i)}, State: state, DER: selfSigned(t, by)})
		}
	}
	all := &Selection{Tenants: []string{"t"}}
	proof, err := ParseProof(request(t, key, ProofSubject))
	if err != nil {
		t.Fatal(err)
	}
	hash := proof.Key.Hash()
	for _, c := range []struct {
		s    *Selection
		want Count
	}{
		{all, Count{Matched: 5, Issued: 2, Held: 1, Revoked: 2}},
		{&Selection{Tenants: []string{"t"}, Filter: ca.Filter{CA: "c"}}, Count{Matched: 1, Revoked: 1}},
		{&Selection{Tenants: []string{"t"}, Key: &hash}, Count{Matched: 4, Issued: 1, Held: 1, Revoked: 2}},
	} {
		if got, err := CountSelected(t.Context(), s, c.s); err != nil || got != c.want {
			t.Errorf("%+v: %+v, %v", c.s, got, err)
		}
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func selfSigned(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"host.example"}, NotAfter: time.Now()}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func request(t *testing.T, key *ecdsa.PrivateKey, cn string) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: cn}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestParseProof: only a request that verifies and says what it is for is a proof.
func TestParseProof(t *testing.T) {
	key := newKey(t)
	for cn, want := range map[string]bool{
		"Proof of key compromise": true, "Proof of Key Compromise for Example CA": true, "This key is compromised.": true,
		"The key that signed this CSR has been publicly disclosed. It should not be used for any purpose.": true,
		"": false, "host.example": false, "key.compromise.example": false, "compromise": false, "key-compromise": false, "monkey compromised": false,
	} {
		for form, text := range map[string][]byte{"DER": request(t, key, cn),
			"PEM": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request(t, key, cn)}),
			"old": append([]byte("Certificate Request:\n"), pem.EncodeToMemory(&pem.Block{Type: "NEW CERTIFICATE REQUEST", Bytes: request(t, key, cn)})...)} {
			csr, err := ParseProof(text)
			if (err == nil) != want || want && !csr.Verified() || !want && !ca.IsKind(err, ca.BadProof) {
				t.Errorf("%q in %s: %v", cn, form, err)
			}
		}
	}
	forged := request(t, key, ProofSubject)
	forged[len(forged)-1] ^= 1
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: selfSigned(t, key)})
	for what, text := range map[string][]byte{"forged": forged, "a certificate": cert, "nothing": nil, "half": []byte("-----BEGIN CERTIFICATE REQUEST-----\n")} {
		if _, err := ParseProof(text); !ca.IsKind(err, ca.BadProof) || !strings.Contains(ca.AsError(err).Public, "openssl req") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

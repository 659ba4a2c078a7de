package hierarchy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/hierarchy"
	"github.com/enrollgate/enrollgate/ca/issuer"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// remembered is what a store keeps of generations.
type remembered struct {
	generations []ca.Generation
	activations []ca.Activation
	audit       []ca.Audit
}

func (r *remembered) AddGeneration(_ context.Context, g *ca.Generation, a ca.Audit) error {
	r.generations, r.audit = append(r.generations, *g), append(r.audit, a)
	return nil
}

func (r *remembered) Generations(context.Context, string) ([]ca.Generation, error) {
	return r.generations, nil
}

func (r *remembered) Activate(_ context.Context, a *ca.Activation, audit ca.Audit) error {
	r.activations, r.audit = append(r.activations, *a), append(r.audit, audit)
	return nil
}

func (r *remembered) Activations(context.Context, string) ([]ca.Activation, error) {
	return r.activations, nil
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestRollover takes a CA over a switch of its key: a replica that runs finds
// the next generation, signs with it from its time on, and keeps the chain and
// the published certificate of what was issued before.
func TestRollover(t *testing.T) {
	dir, ctx, now := t.TempDir(), t.Context(), time.Now()
	ring, secret, store := keys.NewRing(), keys.LiteralSecret("correct horse battery staple"), &remembered{}
	actor := must[caller.Caller](t)(caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: "default", User: "test", At: now}))
	target := hierarchy.Target{Tenant: "default", CA: "issuing", Actor: actor, Now: now}
	key := func(name, algorithm string) hierarchy.Key {
		return hierarchy.Key{URI: "file:" + filepath.Join(dir, name+".pem"), Secret: secret, Algorithm: algorithm}
	}
	name := must[pkix.RawName](t)(hierarchy.Name("Example Ltd", "Example Ltd Root CA"))
	root := must[[]byte](t)(hierarchy.MakeRoot(ctx, ring, lint.Linter{}, key("root", "ecdsa-p256"), name, -1, 20, now, nil))
	subject := must[pkix.RawName](t)(hierarchy.Name("Example Ltd", hierarchy.IssuingName("Example Ltd", "issuing", 1)))
	csr := must[[]byte](t)(hierarchy.Request(ctx, ring, key("first", "ecdsa-p256"), subject, 0, nil))
	sign := hierarchy.Signing{Root: key("root", ""), Certificate: root, CSR: csr, Years: 10, CDP: []string{"http://pki.example/root.crl"}, Now: now}
	first := must[[]byte](t)(hierarchy.Sign(ctx, ring, lint.Linter{}, sign))
	in := hierarchy.Import{Target: target, Key: key("first", ""), Certificate: first, Root: root}
	must[*ca.Generation](t)(hierarchy.Accept(ctx, store, ring, in))

	at := now
	registry := must[*issuer.Registry](t)(issuer.Load(ctx, store, ring, []issuer.Binding{{Tenant: "default", CA: "issuing", Secret: secret,
		URLs: issuer.URLs{AIA: []string{"http://pki.example"}}}}, func() time.Time { return at }))
	issue := func() *ca.Certificate {
		t.Helper()
		current := must[ca.Issuer](t)(registry.Issuer("default", "issuing"))
		leaf, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		public := must[pkix.PublicKey](t)(pkix.NewPublicKey(leaf.Public()))
		f := current.Facts()
		template := &pkix.Template{Serial: []byte{1}, Signature: f.Signature, Issuer: f.Subject, NotBefore: now, NotAfter: now.Add(time.Hour), Subject: subject, Key: public,
			Extensions: []pkix.Extension{must[pkix.Extension](t)(pkix.MarshalAuthorityKeyID(f.KeyID))}}
		tbs := must[[]byte](t)(template.MarshalTBS())
		signature := must[[]byte](t)(current.Sign(ctx, ca.LaneEnrollment, tbs))
		return &ca.Certificate{Tenant: "default", CA: "issuing", DER: must[[]byte](t)(pkix.Assemble(tbs, f.Signature, signature))}
	}
	verify := func(c *ca.Certificate, want []byte, aia string) {
		t.Helper()
		facts := must[ca.Issuer](t)(registry.IssuerOf(c)).Facts()
		if !bytes.Equal(facts.Chain[0], want) || facts.AIA[0] != "http://pki.example/aia/default/"+aia {
			t.Errorf("the chain or AIA %q is not that of the generation that signed", facts.AIA)
		}
		roots, between := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(must[*x509.Certificate](t)(x509.ParseCertificate(root)))
		between.AddCert(must[*x509.Certificate](t)(x509.ParseCertificate(facts.Chain[0])))
		leaf := must[*x509.Certificate](t)(x509.ParseCertificate(c.DER))
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Error(err)
		}
		if der, ok := registry.Certificate("default", aia); !ok || !bytes.Equal(der, want) {
			t.Errorf("%s is not published", aia)
		}
	}
	before := issue()
	verify(before, first, "issuing.cer")

	// Staged: known to the replica, and not used.
	staged := must[*ca.Generation](t)(hierarchy.Stage(ctx, store, ring, lint.Linter{}, hierarchy.NewGeneration{Target: target, Name: "Example Ltd",
		Root: key("root", ""), Issuing: key("second", "ecdsa-p384")}))
	if points := must[*x509.Certificate](t)(x509.ParseCertificate(staged.DER)).CRLDistributionPoints; len(points) != 1 || points[0] != sign.CDP[0] {
		t.Errorf("the next certificate names the lists %q", points)
	}
	if closed, err := registry.Refresh(ctx); err != nil || len(closed) > 0 {
		t.Fatalf("%v, %v", closed, err)
	}
	meanwhile := issue()
	verify(meanwhile, first, "issuing.cer")

	// Activated for later: the time decides.
	must[*ca.Activation](t)(hierarchy.Activate(ctx, store, ring, target, 2, secret, now.Add(time.Hour)))
	must[map[string][]int](t)(registry.Refresh(ctx))
	verify(issue(), first, "issuing.cer")
	at = now.Add(time.Hour)
	after := issue()
	verify(after, staged.DER, "issuing.2.cer")
	verify(before, first, "issuing.cer")
	verify(meanwhile, first, "issuing.cer")

	// Another certificate for the first key: a chain that may be chosen.
	sign.Years = 5
	in.Certificate, in.Place = must[[]byte](t)(hierarchy.Sign(ctx, ring, lint.Linter{}, sign)), hierarchy.Cross
	must[*ca.Generation](t)(hierarchy.Accept(ctx, store, ring, in))
	must[map[string][]int](t)(registry.Refresh(ctx))
	if others := registry.Alternates("default", "issuing", [][]byte{first}); len(others) != 1 || !bytes.Equal(others[0][0], in.Certificate) {
		t.Errorf("%d other chains of the first key", len(others))
	}
	if others := registry.Alternates("default", "issuing", [][]byte{staged.DER}); len(others) != 0 {
		t.Errorf("%d other chains of the second key", len(others))
	}
	at = now.AddDate(6, 0, 0)
	if others := registry.Alternates("default", "issuing", [][]byte{first}); len(others) != 0 {
		t.Errorf("%d other chains, when they have ended", len(others))
	}
	if len(store.audit) != 4 {
		t.Errorf("%d audit rows", len(store.audit))
	}
}

// TestKeyMissing: a replica without the key of a generation that does not sign
// goes on, says so, and finds the key once it is there; without the one that
// signs it does not start.
func TestKeyMissing(t *testing.T) {
	dir, ctx, now := t.TempDir(), t.Context(), time.Now()
	ring, secret, store := keys.NewRing(), keys.LiteralSecret("correct horse battery staple"), &remembered{}
	actor := must[caller.Caller](t)(caller.FromOperator(caller.NewVerifier(caller.Operator), caller.OperatorIdentity{Tenant: "default", User: "test", At: now}))
	target := hierarchy.Target{Tenant: "default", CA: "issuing", Actor: actor, Now: now}
	name := must[pkix.RawName](t)(hierarchy.Name("Example Ltd", "Example Ltd Root CA"))
	key := func(file, algorithm string) hierarchy.Key {
		return hierarchy.Key{URI: "file:" + filepath.Join(dir, file+".pem"), Secret: secret, Algorithm: algorithm}
	}
	root := must[[]byte](t)(hierarchy.MakeRoot(ctx, ring, lint.Linter{}, key("root", "ecdsa-p256"), name, -1, 20, now, nil))
	csr := must[[]byte](t)(hierarchy.Request(ctx, ring, key("first", "ecdsa-p256"), must[pkix.RawName](t)(hierarchy.Name("Example Ltd", "Issuing")), 0, nil))
	first := must[[]byte](t)(hierarchy.Sign(ctx, ring, lint.Linter{}, hierarchy.Signing{Root: key("root", ""), Certificate: root, CSR: csr, Years: 10, Now: now}))
	must[*ca.Generation](t)(hierarchy.Accept(ctx, store, ring, hierarchy.Import{Target: target, Key: key("first", ""), Certificate: first, Root: root}))
	must[*ca.Generation](t)(hierarchy.Stage(ctx, store, ring, lint.Linter{}, hierarchy.NewGeneration{Target: target, Name: "Example Ltd",
		Root: key("root", ""), Issuing: key("second", "ecdsa-p256")}))
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	move("second.pem", "away.pem")
	_, _, err := hierarchy.OpenOrMake(ctx, ring, key("second", "").URI, "ecdsa-p256", secret) // another key in its place
	if err != nil {
		t.Fatal(err)
	}
	bindings, clock := []issuer.Binding{{Tenant: "default", CA: "issuing", Secret: secret}}, func() time.Time { return now }
	replica := keys.NewRing() // another machine
	registry := must[*issuer.Registry](t)(issuer.Load(ctx, store, replica, bindings, clock))
	if closed := must[map[string][]int](t)(registry.Refresh(ctx)); len(closed["default/issuing"]) != 1 || closed["default/issuing"][0] != 2 {
		t.Errorf("keys that do not open: %v", closed)
	}
	move("second.pem", "wrong.pem")
	store.activations = []ca.Activation{{Tenant: "default", CA: "issuing", Position: 1, Generation: 2, From: now}}
	must[map[string][]int](t)(registry.Refresh(ctx))
	if _, err := registry.Issuer("default", "issuing"); !ca.IsKind(err, ca.Unavailable) {
		t.Errorf("a CA whose key is not there: %v", err)
	}
	if _, err := issuer.Load(ctx, store, replica, bindings, clock); err == nil {
		t.Error("a replica starts without the key that signs")
	}
	signing := func() string {
		var all []int
		for _, i := range registry.Generations() {
			all = append(all, i.Facts().Generation)
		}
		return fmt.Sprintf("%v of %d", all, len(registry.All("default", "issuing")))
	}
	if got := signing(); got != "[1] of 2" {
		t.Errorf("without the key generations %s sign their status", got)
	}
	// The key comes, and then what its certificates name.
	move("away.pem", "second.pem")
	prepared, fails := 0, errors.New("its list cannot be made")
	registry.Prepare(func(_ context.Context, i ca.Issuer) error {
		if prepared += i.Facts().Generation; registry.Generations()[0].Facts().Generation != 1 || len(registry.Generations()) != 1 {
			t.Error("somebody had the generation before it was prepared")
		}
		return fails
	})
	if closed := must[map[string][]int](t)(registry.Refresh(ctx)); len(closed["default/issuing"]) != 1 || prepared != 2 {
		t.Errorf("a generation that is not prepared: %v, prepared %d", closed, prepared)
	}
	if _, err := registry.Issuer("default", "issuing"); !ca.IsKind(err, ca.Unavailable) || !errors.Is(err, fails) {
		t.Errorf("a CA that is not prepared: %v", err)
	}
	fails = nil
	must[map[string][]int](t)(registry.Refresh(ctx))
	must[ca.Issuer](t)(registry.Issuer("default", "issuing"))
	if got := signing(); got != "[1 2] of 2" || prepared != 4 {
		t.Errorf("with the key generations %s sign their status, prepared %d", got, prepared)
	}
	if must[map[string][]int](t)(registry.Refresh(ctx)); prepared != 4 {
		t.Error("prepared twice")
	}
}

// TestFirstList: a root's first list is what openssl and crypto/x509 take for
// it, whatever the key, and the next certificate names what the one before did.
func TestFirstList(t *testing.T) {
	dir, ctx, now := t.TempDir(), t.Context(), time.Now()
	ring, secret := keys.NewRing(), keys.LiteralSecret("correct horse battery staple")
	name := must[pkix.RawName](t)(hierarchy.Name("Example Ltd", "Example Ltd Root CA"))
	for _, algorithm := range []string{"ecdsa-p384", "ed25519"} {
		key := hierarchy.Key{URI: "file:" + filepath.Join(dir, algorithm+".pem"), Secret: secret, Algorithm: algorithm}
		root := must[[]byte](t)(hierarchy.MakeRoot(ctx, ring, lint.Linter{}, key, name, -1, 20, now, nil))
		var text bytes.Buffer
		log := hierarchy.NewLog(&text, time.Now, "test", "tester", "host")
		list := must[*x509.RevocationList](t)(x509.ParseRevocationList(must[[]byte](t)(hierarchy.FirstListOf(ctx, ring, key, root, now, 30, log))))
		above := must[*x509.Certificate](t)(x509.ParseCertificate(root))
		if err := list.CheckSignatureFrom(above); err != nil || list.Number.Sign() != 0 || len(list.RevokedCertificateEntries) != 0 ||
			!bytes.Equal(list.AuthorityKeyId, above.SubjectKeyId) || !list.ThisUpdate.Before(now) || list.NextUpdate.Sub(list.ThisUpdate) != 30*24*time.Hour {
			t.Errorf("%s: %v, %+v", algorithm, err, list)
		}
		if !strings.Contains(text.String(), "first CRL    issuer O=Example Ltd") {
			t.Errorf("the ceremony log says\n%s", text.String())
		}
		if _, err := hierarchy.FirstListOf(ctx, ring, hierarchy.Key{URI: "file:" + filepath.Join(dir, "ecdsa-p384.pem"), Secret: secret}, root, now, 30, nil); (err == nil) != (algorithm == "ecdsa-p384") {
			t.Errorf("with another key: %v", err)
		}
	}
}

package everydoor_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	stdpkix "crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"log/slog"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/lint"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/store/memory"
	"github.com/enrollgate/enrollgate/store/sqlite"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
)

const (
	tenant  = "default"
	issuing = "issuing"
)

// now is the clock of every decision: it stands still, so that dates are equal, too.
var now = time.Now().Truncate(time.Second)

// clock is that of everything but the stores.
func clock() time.Time { return now }

// bound is a profile with its endpoints.
type bound struct {
	*profile.Profile
	est, acme, scep ca.Endpoint // acme is a variant of the hub
}

// heardAlike tells whether grants by assertion hold at two doors, or count for nothing in the subject.
func (p *bound) heardAlike(one, two caller.Door) bool {
	w := p.Written()
	heard := func(d caller.Door) bool {
		for _, text := range w.AssertedBy {
			if text == string(d) {
				return true
			}
		}
		return false
	}
	return heard(one) == heard(two) || len(w.Subject.Asserted) == 0
}

// hub is the profile of the ACME endpoint that all profiles are variants of: what
// it issues, an account can prove before it orders.
const hub = `
- id: hub
  keys: [ecdsa-p256]
  key_usage: {bits: [digitalSignature]}
  ext_key_usage: {mode: none}
  validity: {default: P7D}
  subject_alt_name:
    dns: {methods: [http-01, dns-01, tls-alpn-01], wildcard: true}
    ip: {methods: [http-01]}
    permanent: {methods: [device-attest-01]}
    hardware: {methods: [device-attest-01]}
`

// gateway is two cores that differ in their ledger alone, as ACME keeps its orders
// in a database, with the doors before them.
type gateway struct {
	*testing.T
	profiles []*bound
	issuer   *testCA
	memory   *memory.Store
	sqlite   *sqlite.Store
	seen     *counted
	core     *ca.Authority // over memory
	durable  *ca.Authority // over sqlite
	hub      ca.Endpoint
	devices  []*device
	root     *x509.Certificate // of the devices
	keys     map[string][]crypto.Signer
}

func newGateway(t *testing.T, profiles []*profile.Profile) *gateway {
	t.Helper()
	g := &gateway{T: t, issuer: newTestCA(t), seen: &counted{}, memory: memory.New(memory.Options{Clock: clock}), keys: keyPool(t)}
	t.Cleanup(func() { g.memory.Close() })
	path := filepath.Join(t.TempDir(), "equality.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	g.sqlite = fixture.Must(sqlite.Open(t.Context(), sqlite.Options{Path: path, Log: slog.New(slog.DiscardHandler), Replica: "test"}))(t)
	t.Cleanup(func() {
		if err := g.sqlite.Close(); err != nil {
			t.Error(err)
		}
	})
	flat, problems := profile.Flatten(fixture.Must(profile.Read([]byte(hub)))(t), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	accounts := [][]caller.Method{{caller.ACMEAccount}, {caller.ACMEAccount, caller.ExternalAccount}}
	g.hub = ca.Endpoint{ID: "acme-hub", Door: caller.ACME, Tenant: tenant, CA: issuing, Profile: "hub", Policies: accounts}
	endpoints, bindings, policies := []ca.Endpoint{g.hub}, map[string]*profile.Profile{g.hub.ID: fixture.Must(profile.Compile(flat[0]))(t)}, map[string]ruleset.Policy{}
	for _, p := range profiles {
		b := &bound{p, ca.Endpoint{ID: "est-" + p.ID(), Door: caller.EST, Tenant: tenant, CA: issuing, Profile: p.ID(), Policies: [][]caller.Method{{caller.Password}, {caller.DeviceCertificate}, {caller.Certificate}}},
			ca.Endpoint{ID: "acme-" + p.ID(), Of: g.hub.ID, Door: caller.ACME, Tenant: tenant, CA: issuing, Profile: p.ID(), Policies: accounts},
			ca.Endpoint{ID: "scep-" + p.ID(), Door: caller.SCEP, Tenant: tenant, CA: issuing, Profile: p.ID(), Policies: [][]caller.Method{{caller.SCEPSecret}, {caller.Certificate}}}}
		g.profiles = append(g.profiles, b)
		for _, e := range []ca.Endpoint{b.est, b.acme, b.scep} {
			endpoints, bindings[e.ID] = append(endpoints, e), p
		}
		policies[p.ID()] = p.Lint()
	}
	parts := ca.Parts{Endpoints: endpoints, Policy: core.Engine(t, bindings, g.memory, g.sqlite), Issuers: g.issuer, Ledger: g.memory, Log: slog.New(slog.DiscardHandler), Now: clock, Observer: g.seen,
		Linter: fixture.Must(lint.New(lint.Options{Policies: policies, Log: slog.New(slog.DiscardHandler)}))(t)}
	g.core = fixture.Must(ca.NewAuthority(parts))(t)
	parts.Ledger = g.sqlite
	g.durable = fixture.Must(ca.NewAuthority(parts))(t)
	g.makeDevices()
	return g
}

// counted is what the cores did.
type counted struct{ issued, signed, discarded int }

func (c *counted) Issued(*ca.Endpoint)               { c.issued++ }
func (c *counted) Refused(*ca.Endpoint, ca.Kind)     {}
func (c *counted) Signed(string, string, ca.Lane)    { c.signed++ }
func (c *counted) Discarded(string, string)          { c.discarded++ }
func (c *counted) Revoked(string, string, ca.Reason) {}

// holders are what credentials were given for.
var holders = []caller.Binding{{}, {Subject: "alice"}, {Device: "FCZ123"}, {Subject: "bob@corp.example", Device: "D-1"}, {CommonName: "device-7"}, {Names: []string{"*.corp.example", "10.0.0.0/8"}}}

// holder is a registered credential with its secret.
type holder struct {
	*credential.Credential
	secret credential.Secret
}

// register makes a credential for each of the holders.
func (g *gateway) register(store interface {
	credential.Store
	seal.Store
}, kind credential.Kind, door caller.Door) (*credential.Registry, []holder) {
	g.Helper()
	registry := credential.NewRegistry(store, fixture.Must(seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize), store))(g))
	var all []holder
	for _, b := range holders {
		c := credential.Credential{Tenant: tenant, Kind: kind, Door: door, Binding: b, Granted: credential.Unlimited, Left: credential.Unlimited, Expires: now.Add(time.Hour)}
		made, secret := core.Register(g, registry, c)
		all = append(all, holder{made, secret})
	}
	return registry, all
}

// keyPool is a key of each type for each door: what the key decides is masked.
func keyPool(t *testing.T) map[string][]crypto.Signer {
	pool := map[string][]crypto.Signer{}
	for range ways {
		_, small, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pool["ed25519"] = append(pool["ed25519"], small)
		pool["ecdsa-p256"] = append(pool["ecdsa-p256"], fixture.Key(t))
		pool["ecdsa-p384"] = append(pool["ecdsa-p384"], fixture.Must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t))
		pool["rsa-2048"] = append(pool["rsa-2048"], fixture.Must(rsa.GenerateKey(rand.Reader, 2048))(t))
	}
	return pool
}

// The keys of the ways in.
const (
	keyOfGo = iota
	keyOfEST
	keyOfACME
	keyOfSCEP
	ways
)

// csr is what a client of a way in sends for an identity; more are further
// attributes, DER.
func (g *gateway) csr(i *identity, way int, more ...[]byte) []byte {
	g.Helper()
	return signedBy(g, requestInfo(g, i.subject, g.keys[i.keyType][way].Public(), i.requested(g.T), more...), g.keys[i.keyType][way])
}

// requestInfo is a CertificationRequestInfo (RFC 2986 section 4.1).
func requestInfo(t testing.TB, subject pkix.RawName, public crypto.PublicKey, extensions []pkix.Extension, more ...[]byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(subject)
		b.AddBytes(fixture.Must(x509.MarshalPKIXPublicKey(public))(t))
		b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			for _, attribute := range more {
				b.AddBytes(attribute)
			}
			if len(extensions) > 0 {
				addExtensionRequest(b, extensions)
			}
		})
	})
	return fixture.Must(b.Bytes())(t)
}

// addExtensionRequest adds the attribute of RFC 2985 section 5.4.2.
func addExtensionRequest(b *cryptobyte.Builder, extensions []pkix.Extension) {
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(pkix.OIDExtensionRequest)
		b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, e := range extensions {
					b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1ObjectIdentifier(e.ID)
						if e.Critical {
							b.AddASN1Boolean(true)
						}
						b.AddASN1OctetString(e.Value)
					})
				}
			})
		})
	})
}

// signedBy makes a request of its info with the algorithm of a key.
func signedBy(t testing.TB, info []byte, signer crypto.Signer) []byte {
	t.Helper()
	algorithm := fixture.Must(pkix.SignatureFor(fixture.Must(pkix.NewPublicKey(signer.Public()))(t)))(t)
	return fixture.Must(pkix.Assemble(info, algorithm, fixture.Must(signer.Sign(rand.Reader, algorithm.Digest(info), algorithm.Hash))(t)))(t)
}

// devices is how many device certificates there are.
const devices = 3

// device is a certificate that a manufacturer gave a device (IEEE 802.1AR).
type device struct {
	certificate *x509.Certificate
	serial      string
}

func serialOf(i int) string { return fmt.Sprintf("SN-%d", i) }

func (g *gateway) makeDevices() {
	g.Helper()
	vendor := fixture.Key(g)
	sign := func(c, parent *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
		c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), now.Add(-time.Hour), now.Add(time.Hour)
		return fixture.Must(x509.ParseCertificate(fixture.Must(x509.CreateCertificate(rand.Reader, c, parent, key, vendor))(g)))(g)
	}
	root := &x509.Certificate{Subject: stdpkix.Name{CommonName: "vendor"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	g.root = sign(root, root, vendor.Public())
	for i := range devices {
		name := fixture.Must(pkix.NewHardwareModule(pkix.OID{1, 3, 6, 1, 4, 1, 47196, 1}, []byte(serialOf(i))))(g)
		leaf := &x509.Certificate{Subject: stdpkix.Name{CommonName: "device", SerialNumber: serialOf(i)},
			ExtraExtensions: []stdpkix.Extension{{Id: asn1.ObjectIdentifier(pkix.OIDSubjectAltName), Value: fixture.Must(pkix.MarshalGeneralNames([]pkix.GeneralName{name}))(g)}}}
		g.devices = append(g.devices, &device{sign(leaf, g.root, fixture.Key(g).Public()), serialOf(i)})
	}
}

// testCA signs with a key in memory. Its CRL has shards, as that makes a difference
// between any two certificates.
type testCA struct {
	key   *ecdsa.PrivateKey
	facts *ca.Facts
}

func newTestCA(t *testing.T) *testCA {
	t.Helper()
	key := fixture.Key(t)
	public := fixture.Must(pkix.NewPublicKey(key.Public()))(t)
	facts := &ca.Facts{Tenant: tenant, CA: issuing, Generation: 1, Subject: fixture.Name(t, fixture.Printable(t, "C", "DE"), fixture.UTF8(t, "CN", "Test Issuing CA")), KeyID: public.KeyID(), Key: public,
		Signature: fixture.Must(pkix.SignatureFor(public))(t), NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(5, 0, 0),
		AIA: []string{"http://pki.example/aia/default/issuing.cer"}, OCSP: []string{"http://pki.example/ocsp/default/issuing"}}
	for i := range 4 {
		facts.Shards = append(facts.Shards, "http://pki.example"+ca.CRLPath(tenant, issuing, ca.CRLScope(1, i+1)))
	}
	return &testCA{key, facts}
}

func (c *testCA) Issuer(string, string) (ca.Issuer, error) { return c, nil }

func (c *testCA) IssuerOf(*ca.Certificate) (ca.Issuer, error) { return c, nil }

func (c *testCA) Generations(string, string) []ca.Issuer { return []ca.Issuer{c} }

func (c *testCA) Facts() *ca.Facts { return c.facts }

func (c *testCA) Sign(_ context.Context, _ ca.Lane, tbs []byte) ([]byte, error) {
	digest := sha256.Sum256(tbs)
	return ecdsa.SignASN1(rand.Reader, c.key, digest[:])
}

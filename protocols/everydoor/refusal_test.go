package everydoor_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"os"
	"regexp"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/protocols/acme/state"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// way is one operation of a door that takes a PKCS #10 request: a new one is a row
// of ways.
type way struct {
	name    string
	refuse  map[fault]string // what the door says, a regular expression
	prepare func(t *testing.T, f *foreign) (ask func() outcome)
}

// without says why a door takes no request from outside.
var without = map[caller.Door]string{
	caller.System:   "the daemon's own keys are made by it",
	caller.Operator: "operators enroll nobody by a request",
	caller.CMP:      "there is no such door yet",
	caller.WSTEP:    "there is no such door yet",
}

// open is the profile that all ask under: it takes every key that the floor takes.
const open = `
- id: open
  keys: [ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519, "rsa>=2048"]
  key_usage: {bits: [digitalSignature]}
  ext_key_usage: {mode: none}
  validity: {default: P7D}
  subject_alt_name: {dns: {methods: [http-01], asserted: ["*"]}}
`

// TestForeignSignatures sends requests that prove nothing, or ask for keys that
// nobody gets a certificate for, through every way of every door: each is refused in
// the door's own form, and nothing is signed or recorded.
func TestForeignSignatures(t *testing.T) {
	flat, problems := profile.Flatten(fixture.Must(profile.Read([]byte(open)))(t), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g := newGateway(t, []*profile.Profile{fixture.Must(profile.Compile(flat[0]))(t)})
	ways := waysOf(t, g)
	for _, d := range caller.Doors() {
		why, left := without[d]
		if left == (len(ways[d]) > 0) {
			t.Errorf("door %s has %d ways in this test, and it says %q of it", d, len(ways[d]), why)
		}
		if _, err := os.Stat("../" + string(d)); left && err == nil {
			t.Errorf("there is a door %s, whose ways belong into this test", d)
		}
	}
	blocked := blockedKey(t, g)
	for _, f := range foreignRequests(t, g, blocked) {
		for _, d := range caller.Doors() {
			for _, w := range ways[d] {
				t.Run(string(d)+" "+w.name+": "+f.name, func(t *testing.T) {
					ask := w.prepare(t, &f)
					before := *g.seen
					got := ask()
					did := counted{g.seen.issued - before.issued, g.seen.signed - before.signed, g.seen.discarded - before.discarded}
					switch {
					case f.fault == none && (got.certificate == nil || did != counted{1, 1, 0}):
						t.Errorf("a sound request: %+v %s", did, got.wire)
					case f.fault == none:
					case got.certificate != nil || did.issued > 0 || did.signed > did.discarded:
						t.Errorf("%+v", did)
					case did.signed > 0 && f.holder != blocked: // that one is found in the commit
						t.Errorf("a signature was made: %+v", did)
					case !regexp.MustCompile(w.refuse[f.fault]).MatchString(got.wire):
						t.Errorf("answered by %q, want %s", got.wire, w.refuse[f.fault])
					}
				})
			}
		}
	}
}

// host is the name that all ask for.
const host = "host0.corp.example"

// waysOf are the ways of every door.
func waysOf(t *testing.T, g *gateway) map[caller.Door][]way {
	t.Helper()
	p := g.profiles[0]
	est, acme, scep := newEST(g), newACME(g), newSCEP(g)
	extensions := []pkix.Extension{fixture.Must(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS(host)}, true))(t)}
	secret := scep.holders[0].secret.Text()
	own := &foreign{holder: g.keys["ecdsa-p256"][keyOfEST]}
	return map[caller.Door][]way{
		caller.ACME: {{"finalize", map[fault]string{proof: "^400 .*:badCSR", key: "^400 .*:badCSR"}, func(t *testing.T, f *foreign) func() outcome {
			o, refused := acme.order(t, acme.accounts[0], newOrder{Identifiers: []state.Identifier{{Type: "dns", Value: host}}, Profile: p.ID()})
			if refused != nil {
				t.Fatal(refused)
			}
			der := f.der(t, extensions)
			return func() outcome {
				got := acme.finalize(t, acme.accounts[0], o, der)
				var now order
				if decode(t, acme.post(t, acme.accounts[0], o.url, ""), &now); (now.Status == string(state.Ready)) != (got.certificate == nil) {
					t.Errorf("the order is %s", now.Status)
				}
				return got
			}
		}}},
		caller.EST: {
			{"simpleenroll", map[fault]string{proof: "^400 ", key: "^403 "}, func(t *testing.T, f *foreign) func() outcome {
				der := f.der(t, extensions)
				return func() outcome { return est.send(t, p, "simpleenroll", der, est.holders[0], nil) }
			}},
			{"simplereenroll", map[fault]string{proof: "^400 ", key: "^403 "}, func(t *testing.T, f *foreign) func() outcome {
				first := est.send(t, p, "simpleenroll", own.der(t, extensions), est.holders[0], nil)
				if first.certificate == nil {
					t.Fatal(first)
				}
				client, der := fixture.Must(x509.ParseCertificate(first.certificate.Raw))(t), f.der(t, extensions)
				return func() outcome { return est.send(t, p, "simplereenroll", der, holder{}, client) }
			}},
		},
		caller.SCEP: {
			{"PKCSReq", map[fault]string{proof: "failInfo 1: .*cannot be used", key: "failInfo [012]: "}, func(t *testing.T, f *foreign) func() outcome {
				signer := f.holder
				if !signsMessages(signer) { // the request is then for another key than the message's
					signer = g.keys["rsa-2048"][keyOfSCEP]
				}
				client := fixture.Must(cms.ReadCertificate(certificateFor(t, signer.Public()).Raw))(t)
				der := f.der(t, extensions, challengePassword(secret))
				return func() outcome { return scep.send(t, p, pkcsReq, der, signer, client, secret) }
			}},
			{"RenewalReq", map[fault]string{proof: "failInfo 1: .*cannot be used", key: "failInfo 2: "}, func(t *testing.T, f *foreign) func() outcome {
				signer := g.keys["rsa-2048"][keyOfSCEP]
				first := scep.send(t, p, pkcsReq, (&foreign{holder: signer}).der(t, extensions, challengePassword(secret)), signer, scep.client(t, signer), secret)
				if first.certificate == nil {
					t.Fatal(first)
				}
				client, der := fixture.Must(cms.ReadCertificate(first.certificate.Raw))(t), f.der(t, extensions)
				return func() outcome { return scep.send(t, p, renewalReq, der, signer, client, "") }
			}},
		},
	}
}

// signsMessages tells whether package cms signs with a key.
func signsMessages(k crypto.Signer) bool {
	switch public := k.Public().(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return public.Curve != elliptic.P224()
	}
	return true
}

// blockedKey has a certificate revoked for the compromise of its key, at both cores.
func blockedKey(t *testing.T, g *gateway) crypto.Signer {
	t.Helper()
	signer := fixture.Key(t)
	_, possession, err := claim.VerifyCSR((&foreign{holder: signer}).der(t, nil), false)
	if err != nil {
		t.Fatal(err)
	}
	r := newGoAPI(g).request(t, g.profiles[0], &identity{evidence: byWord, names: []pkix.GeneralName{pkix.DNS(host)}, subject: pkix.EmptyName})
	r.Possession = possession
	for core, ledger := range map[*ca.Authority]ca.Ledger{g.core: g.memory, g.durable: g.sqlite} {
		result := core.Enroll(t.Context(), r)[0]
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		if _, err := ledger.Revoke(t.Context(), &ca.Revocation{Tenant: tenant, CA: issuing, Serial: result.Certificate.Serial, Reason: ca.KeyCompromise, BlockKey: true,
			Audit: ca.Audit{Tenant: tenant, Event: "certificate.revoked", Actor: "operator:x", Detail: []byte("{}")}}); err != nil {
			t.Fatal(err)
		}
	}
	return signer
}

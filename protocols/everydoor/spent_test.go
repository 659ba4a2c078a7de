package everydoor_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/ca/seal"
	"github.com/enrollgate/enrollgate/test/core"
	"github.com/enrollgate/enrollgate/test/fixture"
)

// TestSpentSecretSignsNothing: who goes on sending a secret that has no use left
// gets what the same request got, or is refused, and the CA's key does nothing for it.
func TestSpentSecretSignsNothing(t *testing.T) {
	flat, problems := profile.Flatten(fixture.Must(profile.Read([]byte(open)))(t), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g := newGateway(t, []*profile.Profile{fixture.Must(profile.Compile(flat[0]))(t)})
	p, est, scep := g.profiles[0], newEST(g), newSCEP(g)
	registry := credential.NewRegistry(g.memory, fixture.Must(seal.NewKeyring(bytes.Repeat([]byte{1}, seal.KeySize), g.memory))(t))
	once := func(kind credential.Kind, door caller.Door) holder {
		made, secret := core.Register(t, registry, credential.Credential{Tenant: tenant, Kind: kind, Door: door, Granted: 1, Left: 1, Expires: now.Add(time.Hour)})
		return holder{made, secret}
	}
	code, secret := once(credential.Password, caller.EST), once(credential.OneTime, caller.SCEP)
	extensions := []pkix.Extension{fixture.Must(pkix.MarshalSubjectAltName([]pkix.GeneralName{pkix.DNS(host)}, true))(t)}
	for door, ask := range map[string]func(*rsa.PrivateKey) outcome{
		"EST": func(k *rsa.PrivateKey) outcome {
			return est.send(t, p, "simpleenroll", (&foreign{holder: k}).der(t, extensions), code, nil)
		},
		"SCEP": func(k *rsa.PrivateKey) outcome {
			scep.sent = int(k.N.Bits()[0] >> 33) // a transaction of the key's own, as clients have
			der := (&foreign{holder: k}).der(t, extensions, challengePassword(secret.secret.Text()))
			return scep.send(t, p, pkcsReq, der, k, scep.client(t, k), secret.secret.Text())
		},
	} {
		key, other := fixture.Must(rsa.GenerateKey(rand.Reader, 2048))(t), fixture.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
		first := ask(key)
		if first.certificate == nil {
			t.Fatalf("%s: %+v", door, first)
		}
		before := *g.seen
		if again := ask(key); again.certificate == nil || !bytes.Equal(again.certificate.Raw, first.certificate.Raw) {
			t.Errorf("%s: the same request again got %+v", door, again)
		}
		if got := ask(other); got.certificate != nil || !strings.Contains(got.wire, "used already") {
			t.Errorf("%s: another key got %+v", door, got)
		}
		if *g.seen != before {
			t.Errorf("%s: %+v were %+v", door, *g.seen, before)
		}
	}
}

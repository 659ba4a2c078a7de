package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/acme/va"
	"github.com/enrollgate/enrollgate/test/harness"
)

// TestOwnResolvers: an endpoint's resolvers take the place of the installation's,
// for it alone, in every way to prove a name and for CAA records.
func TestOwnResolvers(t *testing.T) {
	const keyAuthorization = "token.thumbprint"
	digest := sha256.Sum256([]byte(keyAuthorization))
	inside, outside := harness.DNS(t), harness.DNS(t)
	inside.SetTXT("_acme-challenge.host.example", base64.RawURLEncoding.EncodeToString(digest[:]))
	outside.SetRcode("host.example", 2) // SERVFAIL
	cfg := &config.Config{ACME: config.ACME{Resolvers: []string{outside.Addr()}}, ACMEOf: map[string]config.ACMEEndpoint{
		"inner": {Resolvers: []string{inside.Addr()}, CAA: []string{"ca.example"}}, "outer": {CAA: []string{"ca.example"}}}}
	own, err := ownOf(cfg, []ca.Endpoint{{ID: "inner"}, {ID: "outer"}})
	if err != nil {
		t.Fatal(err)
	}
	if own["outer"].Validators != nil || len(own["inner"].Validators) != 3 {
		t.Errorf("validators of their own: %d, %d", len(own["outer"].Validators), len(own["inner"].Validators))
	}
	if _, err := own["inner"].Validators[claim.DNS01].Validate(t.Context(), va.Question{Identifier: "host.example", Token: "token", KeyAuthorization: keyAuthorization}); err != nil {
		t.Error(err)
	}
	shared, err := newValidators(cfg.ACME, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p *va.Problem
	if _, err := shared[claim.DNS01].Validate(t.Context(), va.Question{Identifier: "host.example", Token: "token", KeyAuthorization: keyAuthorization}); !errors.As(err, &p) || p.Type != va.TypeDNS {
		t.Errorf("the installation's resolver: %v", err)
	}
	if err := own["inner"].CAA.Check(t.Context(), va.CAAQuestion{Domain: "host.example"}); err != nil {
		t.Error(err)
	}
	if err := own["outer"].CAA.Check(t.Context(), va.CAAQuestion{Domain: "host.example"}); !errors.As(err, &p) || p.Type != va.TypeCAA {
		t.Errorf("a resolver that fails: %v", err)
	}
}

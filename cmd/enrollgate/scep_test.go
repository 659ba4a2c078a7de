package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/credential"
	"github.com/enrollgate/enrollgate/ca/keys"
	"github.com/enrollgate/enrollgate/config"
	"github.com/enrollgate/enrollgate/protocols/scep"
)

// TestSCEPVocabulary: the words that a configuration may use are those that the door knows.
func TestSCEPVocabulary(t *testing.T) {
	var bundles []string
	for _, b := range scep.Bundles() {
		bundles = append(bundles, string(b))
	}
	for name, both := range map[string][2][]string{
		"quirks":          {config.QuirkSets(), scep.QuirkSets()},
		"legacy":          {config.LegacyAlgorithms(), scep.LegacyAlgorithms()},
		"ca_certificates": {config.CACertificates(), bundles},
	} {
		if diff := cmp.Diff(slices.Sorted(slices.Values(both[0])), slices.Sorted(slices.Values(both[1]))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestSCEPLifetime: clients that renew 30 days before the end are told of under a
// profile whose certificates live for less than twice as long.
func TestSCEPLifetime(t *testing.T) {
	const text = `
profiles:
  - {id: brief, extends: scep-digital-signature, validity: {default: P59D}}
  - {id: enough, extends: scep-digital-signature, validity: {default: P61D}}
endpoints:
  - {id: brief, protocol: scep, tenant: default, ca: issuing, profile: brief, authentication: [[scep-secret]], quirks: ilo}
  - {id: enough, protocol: scep, tenant: default, ca: issuing, profile: enough, authentication: [[scep-secret]], quirks: ilo}
  - {id: scep-dual, quirks: ilo}
  - {id: others, protocol: scep, tenant: default, ca: issuing, profile: scep-digital-signature, authentication: [[scep-secret]], quirks: cisco-ios}
`
	cfg, err := config.ParseOver(devDefaults(t.TempDir()), "f", []byte(text), config.Options{Dev: true})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	d := &daemon{log: slog.New(slog.NewTextHandler(&logged, nil))}
	for i := range cfg.Endpoints {
		if e := &cfg.Endpoints[i]; cfg.SCEPOf[e.ID].Quirks != "" {
			if err := d.lookAtLifetime(cfg, e, cfg.SCEPOf[e.ID].Quirks); err != nil {
				t.Error(err)
			}
		}
	}
	if strings.Count(logged.String(), "\n") != 1 || !strings.Contains(logged.String(), "msg=scep.lifetime endpoint=brief profile=brief lifetime=1416h0m0s quirks=ilo renews_before=720h0m0s") {
		t.Errorf("logged:\n%s", &logged)
	}
}

// TestStaticSecretFile: the secret that devices share is read when a policy is put in
// force, without the end of its line, and refused where it is missing, short or long.
func TestStaticSecretFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	secret, err := keys.ParseSecret("file:" + file)
	if err != nil {
		t.Fatal(err)
	}
	written := config.SCEPEndpoint{StaticSecret: secret, CACertificates: "chain", Legacy: []string{"sha1"}, Quirks: "juniper"}
	if _, err := scepOwn(written); err == nil || !strings.Contains(err.Error(), "static_secret") {
		t.Errorf("no file: %v", err)
	}
	for text, good := range map[string]bool{"open sesame\n": true, "12345678": true, "1234567\n": false, "\n": false, strings.Repeat("x", credential.MaxSecret): true, strings.Repeat("x", credential.MaxSecret+1): false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		own, err := scepOwn(written)
		if good && (err != nil || string(own.StaticSecret) != strings.TrimSpace(text) || own.Certificates != scep.BundleChain || own.Quirks != "juniper" || len(own.Legacy) != 1) {
			t.Errorf("%q: %+v, %v", text, own, err)
		}
		if !good && (err == nil || !strings.Contains(err.Error(), "static_secret")) {
			t.Errorf("%d octets: %v", len(text), err)
		}
		if text == "1234567\n" && (!ca.IsKind(err, ca.BadRequest) || strings.Contains(err.Error(), "1234567")) {
			t.Errorf("%v", err)
		}
	}
}

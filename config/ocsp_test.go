package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestOCSPDefaults(t *testing.T) {
	c, err := Parse("f", []byte(minimal), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := OCSP{Enabled: true, Signer: "delegated", Unknown: "unknown", Lifetime: 8 * time.Hour, MaxAge: 5 * time.Minute}
	if got := c.CAs[0].OCSP; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestOCSPIsChecked(t *testing.T) {
	for name, test := range map[string]struct{ written, want string }{
		"a signer that there is not":   {"{signer: nobody}", "ocsp.signer: \"nobody\" is not known"},
		"unknown as":                   {"{unknown: maybe}", "ocsp.unknown: \"maybe\" is not known"},
		"responder by":                 {"{responder_id: serial}", "ocsp.responder_id: \"serial\" is not known"},
		"direct with a store":          {"{signer: direct, store: /o.pem}", "ocsp.signer: direct signs with the CA's key"},
		"direct with a key":            {"{signer: direct, key: \"file:/o.key\"}", "ocsp.signer: direct signs with the CA's key"},
		"a key and a store":            {"{key: \"file:/o.key\", store: /o.pem}", "ocsp.store: it keeps a key that the gateway makes"},
		"a password without a key":     {"{key_password: \"env:X\"}", "ocsp.key_password: it belongs to key"},
		"a key that is no URI":         {"{key: /o.key}", "ocsp.key: this is not a key URI"},
		"a relative store":             {"{store: o.pem}", "ocsp.store: the absolute path"},
		"a short life":                 {"{lifetime: 4m}", "ocsp.lifetime: the duration must be between"},
		"a long life":                  {"{lifetime: P5D}", "ocsp.lifetime: the duration must be between"},
		"an age beyond a quarter":      {"{lifetime: PT1H, max_age: 16m}", "ocsp.max_age: at most a quarter of the lifetime"},
		"enabled without the listener": {"{enabled: true}", "ocsp.enabled: listen.http is not set"},
	} {
		text := strings.Replace(minimal, "    key: file:/c.key\n", "    key: file:/c.key\n    ocsp: "+test.written+"\n", 1)
		if text == minimal {
			t.Fatal("the CA of the minimal file looks otherwise")
		}
		if _, err := Parse("f", []byte(text), Options{}); err == nil || !strings.Contains(err.Error(), test.want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: %v, want %q alone", name, err, test.want)
		}
	}
}

// The age follows a short life, unless it is written.
func TestOCSPAgeFollowsLife(t *testing.T) {
	text := strings.Replace(minimal, "    key: file:/c.key\n", "    key: file:/c.key\n    ocsp: {lifetime: PT10M}\n", 1)
	c, err := Parse("f", []byte(text), Options{})
	if err != nil || c.CAs[0].OCSP.MaxAge != 150*time.Second {
		t.Errorf("%v, %v", c, err)
	}
}

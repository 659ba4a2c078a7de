package config

import (
	"reflect"
	"strings"
	"testing"
)

// withRA is the minimal file with a block for its CA's registration authority.
func withRA(t *testing.T, block string) string {
	t.Helper()
	text := strings.Replace(minimal, "    key: file:/c.key\n", "    key: file:/c.key\n    ra: "+block+"\n", 1)
	if text == minimal {
		t.Fatal("the CA of the minimal file looks otherwise")
	}
	return text
}

func TestRA(t *testing.T) {
	for name, test := range map[string]struct {
		block string
		want  RA
	}{
		"off by default": {"{}", RA{}},
		"on":             {"{enabled: true}", RA{Enabled: true}},
		"with its key":   {"{enabled: true, key: \"file:/ra.key\"}", RA{Enabled: true, Key: "file:/ra.key"}},
	} {
		c, err := Parse("f", []byte(withRA(t, test.block)), Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := c.CAs[0].RA; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestRAIsChecked(t *testing.T) {
	for block, want := range map[string]string{
		"{enabled: true, key_password: \"env:X\"}": "ra.key_password: it belongs to key",
		"{enabled: true, key: /ra.key}":            "ra.key: this is not a key URI",
		"{key: \"file:/ra.key\"}":                  "ra.key: nothing uses it",
	} {
		if _, err := Parse("f", []byte(withRA(t, block)), Options{}); err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "\n") > 0 {
			t.Errorf("%s: %v, want %q alone", block, err, want)
		}
	}
}

// Replicas agree on the key, not on where each finds its password.
func TestRADigest(t *testing.T) {
	digest := func(block string) [32]byte {
		c, err := Parse("f", []byte(withRA(t, block)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Digest()
	}
	one := digest(`{enabled: true, key: "file:/ra.key", key_password: "env:ONE"}`)
	if one != digest(`{enabled: true, key: "file:/ra.key", key_password: "env:TWO"}`) {
		t.Error("the place of the password is in the digest")
	}
	if one == digest(`{enabled: true, key: "file:/other.key"}`) || one == digest("{}") {
		t.Error("the key is not in the digest")
	}
}

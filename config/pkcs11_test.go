package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokenKeys(t *testing.T) {
	with := func(key, more string) []byte {
		return []byte("listen: {http: ':80'}\nbase_url: {http: 'http://h'}\nstore: {url: 'sqlite:///s.db'}\nseal: {key: 'env:S'}\n" +
			"tenants: [{id: t}]\ncas:\n  - {id: c, tenant: t, key: '" + key + "', key_password: 'env:PIN'}\n" + more)
	}
	for _, tt := range []struct {
		name, key, more string
		want            []string // problems
		modules         []string
		sessions        int
	}{
		{"the first module", "pkcs11:token=a;object=c", "pkcs11: {modules: [/m.so, /n.so], sessions: 3}\n", nil, []string{"/m.so", "/n.so"}, 3},
		{"a module in the URI", "pkcs11:token=a;object=c?module-path=/m.so", "", nil, []string{"/m.so"}, 8},
		{"both", "pkcs11:token=a;object=c?module-path=/n.so", "pkcs11: {modules: [/m.so]}\n", nil, []string{"/m.so", "/n.so"}, 8},
		{"listed", "pkcs11:token=a;object=c?module-path=/m.so", "pkcs11: {modules: [/m.so]}\n", nil, []string{"/m.so"}, 8},
		{"no module", "pkcs11:token=a;object=c", "", []string{
			"f:7: cas[c].key: nothing says which PKCS#11 module this key is behind; write pkcs11.modules, or add ?module-path=/path/of/module.so"}, nil, 0},
		{"not a URI", "pkcs11:object=a b?module-path=/m.so", "", []string{
			"f:7: cas[c].key: the attribute object of this pkcs11 URI has a character that must be written as %20"}, nil, 0},
		{"relative module in the URI", "pkcs11:object=a?module-path=m.so", "", []string{
			"f:7: cas[c].key: the attribute module-path of this pkcs11 URI is not the absolute path of a file"}, nil, 0},
		{"relative module and no sessions", "file:/k", "pkcs11:\n  modules: [m.so, '']\n  sessions: 0\n", []string{
			"f:9: pkcs11.modules[0]: the absolute path of a module is wanted here, such as /usr/lib/softhsm/libsofthsm2.so",
			"f:9: pkcs11.modules[1]: the text is empty; write a value or remove the key",
			"f:10: pkcs11.sessions: 1 to 256 sessions are possible, not 0"}, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("f", with(tt.key, tt.more), Options{})
			if diff := cmp.Diff(tt.want, lines(t, err)); diff != "" {
				t.Fatal(diff)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(PKCS11{tt.modules, tt.sessions}, c.PKCS11); diff != "" {
				t.Error(diff)
			}
			// Where modules lie differs between machines; the policy does not.
			other, err := Parse("f", with(tt.key, strings.Replace(tt.more, "/m.so", "/elsewhere/m.so", 1)), Options{})
			if err != nil || c.Digest() != other.Digest() {
				t.Errorf("another digest, %v", err)
			}
		})
	}
}

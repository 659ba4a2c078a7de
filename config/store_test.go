package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStoreURLs(t *testing.T) {
	tests := []struct {
		url  string
		want string // part of the one problem; empty: accepted
	}{
		{"sqlite:///var/eg.db", ""},
		{"sqlite:///var/with%20space.db", ""},
		{"sqlite://var/eg.db", "names one file"},
		{"sqlite:eg.db", "names one file"},
		{"sqlite:///var/eg.db?_pragma=synchronous(off)", "durability is not negotiable"},
		{"sqlite:///var/", "names one file"},
		{"mysql://h/d", "not the URL of a store"},
		{"/var/eg.db", "not the URL of a store"},
		{"postgres://eg@localhost/eg", ""},
		{"postgres://eg@127.0.0.1:5433/eg?sslmode=disable", ""},
		{"postgres://eg@[::1]:5433/eg", ""},
		{"postgres:///eg?host=/run/postgresql", ""},
		{"postgres://eg@:5433/eg?host=/run/postgresql", ""},
		{"postgres://eg@db/eg?host=/run/postgresql", "directory of a Unix socket"},
		{"postgres:///eg?host=db.example", "absolute path"},
		{"postgres://eg@db.example/eg?sslmode=verify-full", ""},
		{"postgresql://eg@db.example/eg?sslmode=verify-full&sslrootcert=/ca.pem", ""},
		{"postgres://eg@a.example:1,b.example:2/eg?sslmode=verify-full&target_session_attrs=read-write", ""},
		{"postgres://eg@localhost,b.example/eg", "must prove who it is"},
		{"postgres://eg@db.example/eg", "must prove who it is"},
		{"postgres://eg@db.example/eg?sslmode=require", "must prove who it is"},
		{"postgres://eg@db.example/eg?sslmode=verify-full&sslmode=disable", "twice"},
		{"postgres://eg@db.example/eg?sslmode=verify_full", "sslmode is not known"},
		{"postgres://eg@db.example/eg?sslmode=verify-full&sslrootcert=ca.pem", "absolute path"},
		{"postgres://eg@db.example/eg?sslmode=verify-full&options=-csynchronous_commit%3Doff", "not known"},
		{"postgres://eg@db.example?sslmode=verify-full", "names no database"},
		{"postgres://eg@/eg", "names no host"},
		{"postgres://eg@db.example:0/eg", "a port is a number"},
		{"postgres://eg@db.example/eg?sslmode=verify-full#x", "is wanted here"},
		{"postgres:eg", "is wanted here"},
		{"postgres://eg:hunter2@db.example/eg?sslmode=verify-full", "set store.password: file:/absolute/path or env:NAME"},
		{"postgres://eg:hunter2/x@db.example/eg", "a password does not belong"},
		{"postgres://eg:hunter2?hunter2@db.example/eg", "a password does not belong"},
		{"postgres://eg:@db.example/eg", "a password does not belong"},
		{"postgres://eg@db.example/eg?password=hunter2", "a password does not belong"},
		{"postgres://eg@db.example/eg?sslpassword=hunter2", "a password does not belong"},
		{"postgres://eg%zz@localhost/eg", "percent-encoded"},
	}
	for _, tt := range tests {
		text := strings.Replace(minimal, "sqlite:///var/eg.db", "'"+tt.url+"'", 1)
		c, err := Parse("f", []byte(text), Options{})
		got := lines(t, err)
		if strings.Contains(strings.Join(got, "\n"), "hunter2") {
			t.Errorf("%s: the password is shown: %q", tt.url, got)
		}
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %q", tt.url, got)
		case tt.want == "" && c.Store.URL != tt.url:
			t.Errorf("%s: became %s", tt.url, c.Store.URL)
		case tt.want != "" && !slices.ContainsFunc(got, func(l string) bool {
			return strings.HasPrefix(l, "f:9: store.url: ") && strings.Contains(l, tt.want)
		}):
			t.Errorf("%s: %q, want %q", tt.url, got, tt.want)
		}
	}
}

func TestStoreRoles(t *testing.T) {
	const base = "postgres://eg@db.example/eg?sslmode=verify-full"
	tests := []struct {
		name, store string
		want        []string
	}{
		{"sqlite with postgres keys", "sqlite:///eg.db\n  password: env:P\n  writers: 2", []string{
			"f:10: store.password: SQLite has no roles, passwords or durability settings; the key is for postgres:// URLs",
			"f:11: store.writers: SQLite has one writer; remove the key",
		}},
		{"migration elsewhere", base + "\n  migrate_url: sqlite:///eg.db\n  writers: 17", []string{
			"f:10: store.migrate_url: store.url is a postgres URL, and this must lead to the same database",
			"f:11: store.writers: 1 to 16 writers are possible, not 17",
		}},
		{"password without migration", base + "\n  migrate_password: env:P\n  unsafe_durability_reason: ''", []string{
			"f:10: store.migrate_password: there is no store.migrate_url that it could belong to",
			"f:11: store.unsafe_durability_reason: the text is empty; write a value or remove the key",
		}},
		{"migration with password", base + "\n  migrate_url: postgres://o:x@db.example/eg?sslmode=verify-full", []string{
			"f:10: store.migrate_url: a password does not belong into the URL, which is logged and shown; write it to a file or variable and set store.migrate_password: file:/absolute/path or env:NAME",
		}},
	}
	for _, tt := range tests {
		_, err := Parse("f", []byte(strings.Replace(minimal, "sqlite:///var/eg.db", tt.store, 1)), Options{})
		if diff := cmp.Diff(tt.want, lines(t, err)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// TestSecretsStayHidden prints a configuration whose references all resolve.
func TestSecretsStayHidden(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EG_TEST_SECRET", "hunter2")
	text := strings.NewReplacer(
		"url: sqlite:///var/eg.db", "url: postgres://eg@localhost/eg\n  password: env:EG_TEST_SECRET\n  migrate_url: postgres://o@localhost/eg\n  migrate_password: file:"+file,
		"env:SEAL", "file:"+file,
		"  key: file:/tls.key", "  key: file:/tls.key\n  key_password: env:EG_TEST_SECRET",
		"    key: file:/c.key", "    key: file:/c.key\n    key_password: env:EG_TEST_SECRET",
	).Replace(minimal)
	c, err := Parse("f", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range []interface{ Resolve() ([]byte, error) }{c.Store.Password, c.Store.MigratePassword, c.Seal, c.TLS.KeyPassword, c.CAs[0].KeyPassword} {
		if got, err := s.Resolve(); err != nil || string(got) != "hunter2" {
			t.Errorf("secret %d resolves to %q, %v", i, got, err)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{c, *c, c.Store, c.CAs} {
			if out := fmt.Sprintf(verb, value); strings.Contains(out, "hunter2") || strings.Contains(out, "EG_TEST_SECRET") {
				t.Errorf("%s of %T shows a secret or its place: %s", verb, value, out)
			}
		}
	}
}

func TestSealKey(t *testing.T) {
	tests := []struct {
		name, text string
		good       bool
	}{
		{"base64", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", true},
		{"base64 without padding", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", true},
		{"hexadecimal", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", true},
		{"raw", "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f", true},
		{"hexadecimal of 128 bits", "000102030405060708090a0b0c0d0e0f", false},
		{"base64 of 33 octets", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", false},
		{"base64 with stray bits", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", false},
		{"not hexadecimal", strings.Repeat("zz", 32), false},
		{"too short", "AAEC", false},
		{"empty", "", false},
	}
	for _, tt := range tests {
		key, err := SealKey([]byte(tt.text))
		if (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
		if wantLast := byte(0x1f); tt.good && key[31] != wantLast {
			t.Errorf("%s: ends with %x", tt.name, key[31])
		}
		if err != nil && (key != [32]byte{} || tt.text != "" && strings.Contains(err.Error(), tt.text)) {
			t.Errorf("%s: key or text shown with error %v", tt.name, err)
		}
	}
}

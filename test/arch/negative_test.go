package arch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// house draws a small sound graph, then adds the arrows "from -> to".
func house(arrows ...string) graph {
	g := graph{
		ours: map[string][]string{
			"cmd/enrollgate": {"protocols/acme", "store/sqlite", "ca", "config", "net/http"},
			"config":         {"ca/profile", "go.yaml.in/yaml/v3"},
			"protocols/acme": {"ca", "protocols/acme/state", "protocols/acme/va", "protocols/internal/httpx", "net/http"},
			"protocols/est":  {"ca", "protocols/est/state"}, "protocols/est/state": {"ca"},
			"protocols/acme/state":                {"ca"},
			"protocols/acme/va":                   {"protocols/internal/outbound"},
			"protocols/internal/httpx":            {"net/http"},
			"protocols/internal/outbound":         {"net"},
			"protocols/internal/outbound/dnstest": {"net"},
			"ca":                                  {"ca/pkix", "ca/caller", "ca/claim"}, "ca/caller": {"ca/pkix"}, "ca/claim": {"ca/caller", "ca/pkix"},
			"ca/pkix": {"crypto/x509", "golang.org/x/crypto/cryptobyte"}, "ca/profile": {"ca", "ca/pkix"},
			"ca/keys": {"ca"}, "ca/issuer": {"ca", "ca/keys"}, "ca/lint": {"ca"},
			"store/sqlite": {"ca", "protocols/acme/state", "store/commit", "modernc.org/sqlite"}, "store/commit": {"ca"},
			"store/postgres": {"ca", "github.com/jackc/pgx/v5"}, "store/memory": {"ca"}, "store/migrations": {},
			"store/conformance": {"ca"}, "test/harness": {"github.com/jackc/pgx/v5"}, "test/interop": {"test/harness"},
		},
		other: map[string][]string{"crypto/x509": {"net"}, "net": nil, "net/http": {"net"},
			"example.test/client": {"example.test/wire"}, "example.test/wire": {"net/http"}},
	}
	for _, arrow := range arrows {
		from, to, _ := strings.Cut(arrow, " -> ")
		g.ours[from] = append(g.ours[from], strings.Fields(to)...)
	}
	return g
}

func TestSoundHousePasses(t *testing.T) {
	if wrong := check(rules, house()); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}

func TestWrongArrowsAreReported(t *testing.T) {
	tests := []struct{ arrow, want string }{
		{"protocols/acme -> protocols/est", "its class may not"},
		{"protocols/acme -> protocols/est/state", "its class may not"},
		{"protocols/acme/va -> protocols/est/state", "its class may not"},
		{"protocols/acme -> store/sqlite", "its class may not"},
		{"protocols/acme -> ca/profile", "its class may not"},
		{"protocols/acme -> ca/keys", "its class may not"},
		{"protocols/acme -> github.com/jackc/pgx/v5", "its class may not"},
		{"protocols/acme/state -> protocols/acme", "its class may not"},
		{"protocols/acme/state -> protocols/internal/httpx", "its class may not"},
		{"protocols/acme/state -> net/http", "reaches what it must not"},
		{"protocols/internal/httpx -> protocols/acme", "its class may not"},
		{"protocols/internal/httpx -> store/sqlite", "its class may not"},
		{"protocols/internal/httpx -> protocols/internal/outbound/dnstest", "for tests only"},
		{"store/sqlite -> protocols/acme", "its class may not"},
		{"store/sqlite -> store/postgres", "its class may not"},
		{"store/sqlite -> ca/profile", "its class may not"},
		{"store/migrations -> ca", "its class may not"},
		{"ca -> protocols/acme/state", "its class may not"},
		{"ca -> ca/profile", "its class may not"},
		{"ca -> golang.org/x/crypto/argon2", "no other module's packages"},
		{"ca -> github.com/go-chi/chi/v5", "reaches what it must not"},
		{"ca/pkix -> ca", "its class may not"},
		{"ca/pkix -> go.yaml.in/yaml/v3", "no other module's packages"},
		{"ca/caller -> ca/claim", "its class may not"},
		{"ca/keys -> example.test/client", "ca/keys -> example.test/client -> example.test/wire -> net/http"},
		{"ca/lint -> net/http", "its class may not"},
		{"ca/lint -> database/sql", "reaches what it must not"},
		{"ca/keys -> database/sql", "reaches what it must not"},
		{"ca/issuer -> ca/profile", "its class may not"},
		{"ca/profile -> os", "its class may not"},
		{"ca/profile -> math/rand/v2", "its class may not"},
		{"ca/profile -> net", "its class may not"},
		{"config -> store/sqlite", "its class may not"},
		{"config -> protocols/acme", "its class may not"},
		{"cmd/enrollgate -> store/conformance", "for tests only"},
		{"cmd/enrollgate -> store/memory", "for tests only"},
		{"cmd/enrollgate -> test/harness", "for tests only"},
		{"test/harness -> ca", "its class may not"},
		{"config -> unsafe", "nobody may"},
		{"ca/helpers -> fmt", "no class"},
		{"protocols/ftp -> ca", "no class"},
		{"protocols/acme/codec -> ca", "no class"},
		{"cmd/other -> ca", "no class"},
	}
	for _, test := range tests {
		t.Run(test.arrow, func(t *testing.T) {
			wrong := check(rules, house(test.arrow))
			from, _, _ := strings.Cut(test.arrow, " ")
			for _, line := range wrong {
				if strings.HasPrefix(line, from) && strings.Contains(line, test.want) {
					return
				}
			}
			t.Errorf("want %q, got %q", test.want, wrong)
		})
	}
}

func TestTwoClassesAreReported(t *testing.T) {
	twice := append([]rule{{class: "second", packages: []string{"ca/*"}}}, rules...)
	wrong := check(twice, house())
	if len(wrong) == 0 || !strings.Contains(strings.Join(wrong, "\n"), `ca/pkix: 2 classes, "second" and "core leaf"`) {
		t.Errorf("got %q", wrong)
	}
}

func TestMatches(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"ca", "ca", true}, {"ca", "ca/pkix", false}, {"ca/...", "ca", true}, {"ca/...", "ca/keys/pkcs11", true},
		{"ca/...", "cache", false}, {"protocols/*/state", "protocols/acme/state", true},
		{"protocols/*/state", "protocols/acme/va/state", false}, {"protocols/internal/*", "protocols/internal/a/b", false},
		{"github.com/jackc/pgx/...", "github.com/jackc/pgx/v5/pgconn", true}, {"...", "anything/at/all", true},
		{"net", "net/http", false}, {"net/http/...", "net/http/httptest", true}, {"net/http/...", "net", false},
	}
	for _, test := range tests {
		if got := matches(test.pattern, test.path); got != test.want {
			t.Errorf("%s matches %s: %v", test.pattern, test.path, got)
		}
	}
}

func TestWrongSourceIsReported(t *testing.T) {
	long := func(n int) string { return "package x\n" + strings.Repeat("\n", n-1) }
	tests := []struct {
		name, text string
		want       []string
	}{
		{name: "ca/profile/decide.go", text: "package profile\nimport \"time\"\nvar f = time.Now", want: []string{"3: time.Now: the time is an argument here"}},
		{name: "ca/profile/decide.go", text: "package profile\nimport clock \"time\"\nvar f = clock.Since", want: []string{"3: time.Since: the time is an argument here"}},
		{name: "ca/profile/decide.go", text: "package profile\nimport \"time\"\nvar f = time.Hour"},
		{name: "ca/profile/decide_test.go", text: "package profile\nimport \"time\"\nvar f = time.Now"},
		{name: "ca/lint/lint.go", text: "package lint\nimport \"time\"\nvar f = time.Now"},
		{name: "protocols/acme/auth.go", text: "package acme\nvar v = caller.NewVerifier", want: []string{"2: NewVerifier: a verifier token is handed to a door by cmd, never made by one"}},
		{name: "ca/admin/admin.go", text: "package admin\nvar v = c.NewVerifier(1)", want: []string{"2: NewVerifier: a verifier token is handed to a door by cmd, never made by one"}},
		{name: "cmd/enrollgate/serve.go", text: "package main\nvar v = caller.NewVerifier"},
		{name: "protocols/acme/auth_test.go", text: "package acme\nvar v = caller.NewVerifier"},
		{name: "protocols/acme/auth.go", text: "package acme\nimport . \"strings\"", want: []string{"2: a dot import hides where names come from"}},
		{name: "ca/x.go", text: "package ca\ntype ledgerImpl struct{ x int }\nfunc f(aImpl int) {}", want: []string{
			"2: ledgerImpl: name it for what sets it apart, not Impl", "3: aImpl: name it for what sets it apart, not Impl"}},
		{name: "ca/util/x.go", text: "package util", want: []string{
			`1: the name "util" says nothing about what it holds`, `1: the name "util" says nothing about what it holds`}},
		{name: "ca/types_test.go", text: "package ca", want: []string{`1: the name "types" says nothing about what it holds`}},
		{name: "ca/x.go", text: long(400)},
		{name: "ca/x.go", text: long(401), want: []string{" 401 lines, more than 400"}},
		{name: "ca/x.go", text: "// Code generated by hand. DO NOT EDIT.\n" + long(500)},
		{name: "ca/x_test.go", text: long(800)},
		{name: "ca/x_test.go", text: long(801), want: []string{" 801 lines, more than 800"}},
	}
	for i, test := range tests {
		t.Run(fmt.Sprint(i, " ", test.name), func(t *testing.T) {
			f, err := parse(test.name, test.text)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, line := range test.want {
				want = append(want, test.name+":"+line)
			}
			if diff := cmp.Diff(want, checkFile(f)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

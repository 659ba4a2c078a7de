package profile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// read flattens and gives the profiles by id.
func read(t fatal, text string) map[string]Written {
	t.Helper()
	layers, err := Read([]byte(text))
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	base, err := Builtin()
	if err != nil {
		t.Fatalf("built-in: %v", err)
	}
	byID := map[string]Written{}
	for _, w := range base {
		byID[w.ID] = w
	}
	flat, problems := Flatten(layers, byID)
	if len(problems) > 0 {
		t.Fatalf("flattening: %v", problems)
	}
	out := map[string]Written{}
	for _, w := range flat {
		out[w.ID] = w
	}
	return out
}

// What is written wins, false and empty too; lists replace; blocks go key by key.
func TestExtend(t *testing.T) {
	got := read(t, `
- id: child
  extends: parent
  keys: [ed25519]
  ext_key_usage: {critical: false}
  subject_alt_name:
    dns: {wildcard: false}
  request_extensions: []
  urls: {ocsp: false}
- id: parent
  extends: privatessl-tls-server
  title: Parent
  ext_key_usage: {values: [clientAuth], critical: true}
  subject_alt_name: {ip: {methods: [service]}}
- id: privatessl-tls-server
  extends: privatessl-tls-server
  validity: {default: P30D}
`)
	child, parent, mine := got["child"], got["parent"], got["privatessl-tls-server"]
	if parent.Validity.Default != "P30D" || mine.Validity.Default != "P30D" || mine.Title != "TLS servers" {
		t.Errorf("a profile that replaces a built-in one: %+v", mine)
	}
	want := parent
	want.ID, want.Keys = "child", []string{"ed25519"}
	want.ExtKeyUsage.Critical = false
	dns, no := *parent.SubjectAltName.DNS, false
	dns.Wildcard = false
	want.SubjectAltName.DNS, want.RequestExtensions, want.URLs.OCSP = &dns, []string{}, &no
	if diff := cmp.Diff(want, child); diff != "" {
		t.Errorf("flat differs (-want +got):\n%s", diff)
	}
	if !parent.SubjectAltName.DNS.Wildcard || !parent.ExtKeyUsage.Critical {
		t.Error("the child changed its parent")
	}
	child.SubjectAltName.DNS.Methods[0] = "changed"
	if parent.SubjectAltName.DNS.Methods[0] == "changed" {
		t.Error("child and parent share a list")
	}
	p := compiled(t, got["parent"])
	if strings.Contains(string(p.Text()), "extends") {
		t.Errorf("the text is not flat:\n%s", p.Text())
	}
	if _, err := Compile(Written{ID: "p", Extends: "q"}); err == nil || !strings.Contains(err.Error(), "compiled flat") {
		t.Errorf("compiled although it is not flat: %v", err)
	}
}

func TestExtendRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says map[int]string
	}{
		"unknown":     {"[{id: a, extends: b}, {id: c}]", map[int]string{0: `there is no profile "b" to extend; allowed: c`}},
		"itself":      {"[{id: a, extends: a}]", map[int]string{0: "cannot extend itself"}},
		"circle":      {"[{id: a, extends: b}, {id: b, extends: c}, {id: c, extends: a}]", map[int]string{0: "circle", 1: "problems of its own", 2: "problems of its own"}},
		"of a circle": {"[{id: a, extends: b}, {id: b, extends: c}, {id: c, extends: b}]", map[int]string{0: "problems of its own", 1: "circle", 2: "problems of its own"}},
	} {
		layers, err := Read([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		_, problems := Flatten(layers, nil)
		if len(problems) != len(c.says) {
			t.Errorf("%s: %v", name, problems)
		}
		for i, says := range c.says {
			if !strings.Contains(problems[i].String(), says) {
				t.Errorf("%s: profile %d: %q, want %q", name, i, problems[i], says)
			}
		}
	}
	for _, bad := range []string{"", "id: a", "[{id: a, keyz: []}]", "[1]", strings.Repeat("#", maxText+1)} {
		if layers, err := Read([]byte(bad)); err == nil {
			t.Errorf("%.20q reads as %v", bad, layers)
		}
	}
}

package config

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func readExample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// withAll switches every setting of the example on.
func withAll(text string) string {
	lines := strings.Split(text, "\n")
	in := false // within a setting that is switched off, whose children are indented behind the #
	for i, line := range lines {
		body := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(body)]
		switch rest, comment := strings.CutPrefix(body, "#"); {
		case !comment || rest == "":
			in = false
		case rest[0] != ' ':
			lines[i], in = indent+rest, strings.HasSuffix(rest, ":")
		case in && strings.HasPrefix(rest, "  "):
			lines[i] = indent + rest
		}
	}
	return strings.Join(lines, "\n")
}

func TestExampleLoads(t *testing.T) {
	c, err := Load("example.yaml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("the example gives warnings: %q", c.Warnings)
	}
	if got, want := c.URL(&c.Endpoints[0]), "https://pki.example.com:8443/acme/default/issuing/web-server/directory"; got != want {
		t.Errorf("URL = %s, want %s", got, want)
	}
}

// TestExampleExplainsEveryKey holds the written types and the example together:
// each key is there exactly once, with prose above it.
func TestExampleExplainsEveryKey(t *testing.T) {
	text := withAll(readExample(t))
	root, problems := parseTree("example.yaml", []byte(text))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	d := newDecoder()
	d.decode(root, reflect.ValueOf(new(writtenFile)).Elem(), "")
	if len(d.problems) > 0 {
		t.Fatalf("with every setting switched on: %v", d.problems)
	}
	lines := strings.Split(text, "\n")
	shown := map[string]int{}
	for _, key := range keysOf(root, "", reflect.TypeFor[writtenFile]()) {
		shown[key.path]++
		if above := strings.TrimSpace(lines[key.line-2]); !strings.HasPrefix(above, "# ") {
			t.Errorf("line %d: nothing explains %s", key.line, key.path)
		}
	}
	for _, path := range schema(reflect.TypeFor[writtenFile](), "") {
		if language := strings.HasPrefix(path, "profiles[].") && shown[path] == 0; language {
			continue // docs/profiles.md has every key of the profile language; a test of ca/profile holds it there
		}
		if shown[path] != 1 {
			t.Errorf("%s is in the example %d times, not once", path, shown[path])
		}
	}
}

type shownKey struct {
	path string
	line int
}

// keysOf lists the keys of a tree, "[]" standing for every item of a list.
func keysOf(n *node, path string, typ reflect.Type) []shownKey {
	var out []shownKey
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ.Kind() == reflect.Struct:
		fields := fieldsOf(typ)
		for _, e := range n.entries {
			key := join(path, e.key)
			out = append(out, shownKey{key, e.at.line})
			out = append(out, keysOf(e.value, key, fields[indexOf(fields, e.key)].typ)...)
		}
	case typ.Kind() == reflect.Slice:
		for _, item := range n.items {
			out = append(out, keysOf(item, path+"[]", typ.Elem())...)
		}
	}
	return out
}

// schema lists every key of a written type in the same form.
func schema(typ reflect.Type, path string) []string {
	var out []string
	switch typ.Kind() {
	case reflect.Pointer:
		return schema(typ.Elem(), path)
	case reflect.Slice:
		return schema(typ.Elem(), path+"[]")
	case reflect.Struct:
		for _, f := range fieldsOf(typ) {
			key := join(path, f.name)
			out = append(append(out, key), schema(f.typ, key)...)
		}
	}
	return out
}

package profile

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Every example of docs/profiles.md loads, and together they show every key.
func TestDocumentedProfiles(t *testing.T) {
	page, err := os.ReadFile("../../docs/profiles.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllSubmatch(page, -1)
	for _, block := range blocks {
		for id, w := range read(t, string(block[1])) {
			if _, err := Compile(w); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		var document yaml.Node
		if err := yaml.Unmarshal(block[1], &document); err != nil {
			t.Fatal(err)
		}
		for _, item := range document.Content[0].Content {
			noteKeys(item, reflect.TypeFor[Written](), "", shown)
		}
	}
	for _, path := range schema(reflect.TypeFor[Written](), "") {
		if !shown[path] {
			t.Errorf("no example shows %s", path)
		}
		if key := path[strings.LastIndexByte(path, '.')+1:]; !strings.Contains(string(page), "`"+key) && !strings.Contains(string(page), key+":") {
			t.Errorf("the page does not name %s", path)
		}
	}
}

// noteKeys notes the keys of a node by path, "" standing for a list's items.
func noteKeys(n *yaml.Node, typ reflect.Type, path string, shown map[string]bool) {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Slice:
		for _, item := range n.Content {
			noteKeys(item, typ.Elem(), path, shown)
		}
	case reflect.Struct:
		for i := 0; i+1 < len(n.Content); i += 2 {
			for k := range typ.NumField() {
				if name, _, _ := strings.Cut(typ.Field(k).Tag.Get("yaml"), ","); name == n.Content[i].Value {
					shown[path+"."+name] = true
					noteKeys(n.Content[i+1], typ.Field(k).Type, path+"."+name, shown)
				}
			}
		}
	}
}

// schema lists every key of a written type. The types of names share their
// keys; those of dns stand for all.
func schema(typ reflect.Type, path string) (all []string) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct {
		return nil
	}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
		all = append(all, path+"."+name)
		if typ != reflect.TypeFor[WrittenAltName]() || name == "dns" || name == "other" {
			all = append(all, schema(typ.Field(i).Type, path+"."+name)...)
		}
	}
	return all
}

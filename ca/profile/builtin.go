package profile

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"go.yaml.in/yaml/v3"
)

// The catalogue, a file a family of uses, in this order.
//
//go:embed builtin/*.yaml
var builtinFiles embed.FS

var builtinNames = []string{"acme", "gateway", "devices", "mdm", "multiuse", "people", "authority"}

// Builtin gives the built-in profiles as written, flat, in catalogue order.
// The caller may change what it gets.
func Builtin() ([]Written, error) {
	all, err := catalogue()
	if err != nil {
		return nil, err
	}
	out := make([]Written, len(all))
	for i, w := range all {
		out[i] = deepCopy(w)
	}
	return out, nil
}

// BuiltinProfiles gives the built-in profiles validated, in catalogue order.
func BuiltinProfiles() ([]*Profile, error) { return validatedCatalogue() }

// BuiltinByID finds one built-in profile; ok is false where there is none.
func BuiltinByID(id string) (w Written, ok bool, err error) {
	all, err := catalogue()
	if err != nil {
		return Written{}, false, err
	}
	for _, w := range all {
		if w.ID == id {
			return deepCopy(w), true, nil
		}
	}
	return Written{}, false, nil
}

// catalogue reads the embedded files once; what it gives is not to be changed.
var catalogue = sync.OnceValues(func() ([]Written, error) {
	var layers []Layer
	for _, name := range builtinNames {
		text, err := builtinFiles.ReadFile("builtin/" + name + ".yaml")
		if err != nil {
			return nil, fmt.Errorf("profile: built-in catalogue: %w", err)
		}
		more, err := Read(text)
		if err != nil {
			return nil, fmt.Errorf("profile: built-in catalogue %s: %w", name, err)
		}
		layers = append(layers, more...)
	}
	flat, problems := Flatten(layers, nil)
	for i, p := range problems {
		return nil, fmt.Errorf("profile: built-in catalogue: %s: %s", flat[i].ID, p)
	}
	return flat, nil
})

var validatedCatalogue = sync.OnceValues(func() ([]*Profile, error) {
	written, err := catalogue()
	if err != nil {
		return nil, err
	}
	out := make([]*Profile, len(written))
	for i, w := range written {
		if out[i], err = Compile(w); err != nil {
			return nil, fmt.Errorf("profile: built-in catalogue: %s: %w", w.ID, err)
		}
	}
	return out, nil
})

// maxText bounds a list of profiles read from outside, in bytes.
const maxText = 1 << 20

// Read reads a YAML list of profiles strictly, for use without a configuration:
// an unknown key is an error with its line.
func Read(text []byte) ([]Layer, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("profile: the text has %d bytes; at most %d are read", len(text), maxText)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var all []Written
	if err := decoder.Decode(&all); err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 || len(document.Content[0].Content) != len(all) {
		return nil, errors.New("profile: the text is not one list of profiles")
	}
	layers := make([]Layer, len(all))
	for i, w := range all {
		node := document.Content[0].Content[i]
		layers[i] = Layer{w, func(path []string) bool { return lookUp(node, path) != nil }}
	}
	return layers, nil
}

// lookUp finds what was written at a path, nil for nothing.
func lookUp(n *yaml.Node, path []string) *yaml.Node {
	for _, step := range path {
		next := (*yaml.Node)(nil)
		if n.Kind == yaml.SequenceNode {
			if at, err := strconv.Atoi(step); err == nil && at < len(n.Content) {
				next = n.Content[at]
			}
		}
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				next = n.Content[i+1]
			}
		}
		if next == nil {
			return nil
		}
		n = next
	}
	return n
}

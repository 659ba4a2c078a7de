package profile

import (
	"bytes"
	_ "embed"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:embed builtin.yaml
var builtinText []byte

// Builtin gives the built-in profiles as written, in catalogue order.
func Builtin() ([]Written, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(builtinText))
	decoder.KnownFields(true)
	var all []Written
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("profile: built-in catalogue: %w", err)
	}
	return all, nil
}

// BuiltinByID finds one built-in profile; ok is false where there is none.
func BuiltinByID(id string) (w Written, ok bool, err error) {
	all, err := Builtin()
	if err != nil {
		return Written{}, false, err
	}
	for _, w := range all {
		if w.ID == id {
			return w, true, nil
		}
	}
	return Written{}, false, nil
}

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/config"
)

// profiles gives the profiles by id: those of the configuration or, without
// one, the built-in ones, bound nowhere.
func (s *source) profiles() (map[string]*profile.Profile, *config.Config, error) {
	if s.Dev || s.Config != "" {
		cfg, err := s.load()
		if err != nil {
			return nil, nil, err
		}
		return cfg.Profiles, cfg, nil
	}
	builtin, err := profile.BuiltinProfiles()
	if err != nil {
		return nil, nil, err
	}
	all := map[string]*profile.Profile{}
	for _, p := range builtin {
		all[p.ID()] = p
	}
	return all, &config.Config{}, nil
}

// findProfile gives the profile that a command is about: the id of one of all,
// a file with a list of profiles, or FILE#ID for one of several.
func findProfile(all map[string]*profile.Profile, what string) (*profile.Profile, error) {
	if p := all[what]; p != nil {
		return p, nil
	}
	name, id, _ := strings.Cut(what, "#")
	if _, err := os.Stat(name); err != nil {
		return nil, fmt.Errorf("there is no profile %s, nor a file of this name; `enrollgate profile list` shows the profiles there are (with --config FILE, those of the file too)", printable(what))
	}
	return readProfile(all, filepath.Clean(name), id)
}

// readProfile reads a file of profiles, which may extend those of all, and
// gives the one with the id, or the only one.
func readProfile(all map[string]*profile.Profile, name, id string) (*profile.Profile, error) {
	text, err := config.ReadFile(name)
	if err != nil {
		return nil, err
	}
	layers, err := profile.Read(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; a file of profiles is what stands under `profiles` in a configuration", printable(name), err)
	}
	base := map[string]profile.Written{}
	for _, p := range all {
		base[p.ID()] = p.Written()
	}
	builtin, err := profile.Builtin() // what is extended has no defaults yet
	if err != nil {
		return nil, err
	}
	for _, w := range builtin {
		if p := all[w.ID]; p == nil || isBuiltin(p) {
			base[w.ID] = w
		}
	}
	flat, problems := profile.Flatten(layers, base)
	at := slices.IndexFunc(flat, func(w profile.Written) bool { return w.ID == id })
	switch {
	case id == "" && len(flat) == 1:
		at = 0
	case id == "" || at < 0:
		var ids []string
		for _, w := range flat {
			ids = append(ids, printable(w.ID))
		}
		return nil, fmt.Errorf("say which profile of %s is meant, as %s#ID; it has %s", printable(name), printable(name), strings.Join(ids, ", "))
	}
	if problem, bad := problems[at]; bad {
		return nil, fmt.Errorf("%s: %s: %s", printable(name), printable(flat[at].ID), problem)
	}
	p, err := profile.Compile(flat[at])
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", printable(name), printable(flat[at].ID), err)
	}
	return p, nil
}

// keptProfile compiles the text of a profile as a store keeps it.
func keptProfile(text []byte, hash [32]byte) (*profile.Profile, error) {
	var w profile.Written
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&w); err != nil {
		return nil, fmt.Errorf("the kept profile is of another version of this program: %w", err)
	}
	p, err := profile.Compile(w)
	if err != nil {
		return nil, fmt.Errorf("the kept profile is of another version of this program: %w", err)
	}
	if p.Hash() != hash {
		return nil, errors.New("the kept profile is not what it was: this version of the program fills in other defaults")
	}
	return p, nil
}

// parseHash reads the SHA-256 of a profile's text.
func parseHash(what string) (hash [32]byte, ok bool) {
	raw, err := hex.DecodeString(what)
	return [32]byte(append(raw, make([]byte, 32)...)), err == nil && len(raw) == len(hash)
}

// isBuiltin tells whether a profile is a built-in one as it is built in.
func isBuiltin(p *profile.Profile) bool {
	w, ok, err := profile.BuiltinByID(p.ID())
	if err != nil || !ok {
		return false
	}
	own, err := profile.Compile(w)
	return err == nil && own.Hash() == p.Hash()
}

// chosen gives the profiles with these ids, or all of them, by id.
func chosen(all map[string]*profile.Profile, ids []string) ([]*profile.Profile, error) {
	if len(ids) == 0 {
		ids = slices.Sorted(maps.Keys(all))
	}
	var list []*profile.Profile
	for _, id := range ids {
		p, err := findProfile(all, id)
		if err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

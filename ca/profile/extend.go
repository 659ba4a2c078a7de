package profile

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Layer is a written profile that may extend another, together with which of
// its keys were written: a key that was written as false or as an empty list
// overrides, one that was left out does not.
type Layer struct {
	Written
	Wrote func(path []string) bool // yaml keys from the profile down
}

// Flatten resolves extends: the result, in the order of the layers, is each
// profile with what it takes over from the one it extends. A key that is written wins, whole
// where it is a list and key by key where it is a block; id and extends are
// never taken over.
//
// A profile extends another layer, one of base, or, by its own id, the one of
// base that it replaces. Problems are by position: an id that is nowhere, and
// circles.
func Flatten(layers []Layer, base map[string]Written) ([]Written, map[int]Problem) {
	f := flattener{layers: layers, base: base, state: make([]flattening, len(layers)), out: make([]Written, len(layers)), problems: map[int]Problem{}}
	for i := range layers {
		f.flatten(i)
	}
	return f.out, f.problems
}

type flattening uint8

const (
	untouched flattening = iota
	underway
	flat
)

type flattener struct {
	layers   []Layer
	base     map[string]Written
	state    []flattening
	out      []Written
	problems map[int]Problem
}

// flatten does one layer; false where it, or what it extends, cannot be done.
func (f *flattener) flatten(i int) bool {
	layer := f.layers[i]
	switch f.state[i] {
	case flat:
		_, bad := f.problems[i]
		return !bad
	case underway:
		f.problems[i] = Problem{Path: []string{"extends"}, Message: "the profiles extend each other in a circle; one of them must stand alone"}
		return false
	}
	f.state[i] = underway
	defer func() { f.state[i] = flat }()
	f.out[i] = layer.Written
	f.out[i].Extends = ""
	if layer.Extends == "" {
		return true
	}
	at := slices.IndexFunc(f.layers, func(l Layer) bool { return l.ID == layer.Extends })
	parent, known := f.base[layer.Extends]
	switch {
	case at >= 0 && layer.Extends != layer.ID:
		if !f.flatten(at) {
			if _, bad := f.problems[i]; !bad {
				f.problems[i] = Problem{Path: []string{"extends"}, Message: "the profile it extends has problems of its own"}
			}
			return false
		}
		parent = f.out[at]
	case !known && layer.Extends == layer.ID:
		f.problems[i] = Problem{Path: []string{"extends"}, Message: "a profile cannot extend itself, and no built-in one has this id"}
		return false
	case !known:
		f.problems[i] = Problem{Path: []string{"extends"}, Message: "there is no profile " + quoted(layer.Extends) + " to extend", Allowed: f.known(layer.ID)}
		return false
	}
	merged := deepCopy(f.out[i])
	overlay(reflect.ValueOf(&merged).Elem(), reflect.ValueOf(deepCopy(parent)), nil, layer.Wrote)
	f.out[i] = merged
	return true
}

// known lists what a profile could extend.
func (f *flattener) known(but string) []string {
	ids := maps.Clone(f.base)
	if ids == nil {
		ids = map[string]Written{}
	}
	for _, l := range f.layers {
		if l.ID != but {
			ids[l.ID] = Written{}
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// overlay sets in child what only parent has.
func overlay(child, parent reflect.Value, path []string, wrote func([]string) bool) {
	for i := range child.NumField() {
		name, _, _ := strings.Cut(child.Type().Field(i).Tag.Get("yaml"), ",")
		if len(path) == 0 && (name == "id" || name == "extends") {
			continue
		}
		mine, theirs, at := child.Field(i), parent.Field(i), append(slices.Clone(path), name)
		switch {
		case !wrote(at):
			mine.Set(theirs)
		case mine.Kind() == reflect.Struct:
			overlay(mine, theirs, at, wrote)
		case mine.Kind() == reflect.Pointer && mine.Type().Elem().Kind() == reflect.Struct && !mine.IsNil() && !theirs.IsNil():
			overlay(mine.Elem(), theirs.Elem(), at, wrote)
		}
	}
}

// deepCopy copies a written profile with everything it points to, so that no
// two share a list.
func deepCopy(w Written) Written {
	out := w
	copyDeep(reflect.ValueOf(&out).Elem())
	return out
}

func copyDeep(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			copyDeep(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			copyDeep(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		if !v.IsNil() {
			fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(fresh, v)
			for i := range fresh.Len() {
				copyDeep(fresh.Index(i))
			}
			v.Set(fresh)
		}
	case reflect.Map:
		if !v.IsNil() {
			v.Set(reflect.ValueOf(maps.Clone(v.Interface().(map[string]string))))
		}
	}
}

package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// decoder fills a written type from a tree and notes every unknown key and
// wrong type. It keeps where each value stands, by path, for the checks that
// follow.
type decoder struct {
	places   map[string]position // of keys and items
	items    map[string][]string // paths of a list's items, by the list's path
	bad      map[string]bool     // paths whose value was refused
	problems Problems
}

func newDecoder() *decoder {
	return &decoder{places: map[string]position{}, items: map[string][]string{}, bad: map[string]bool{}}
}

func (d *decoder) refuse(at position, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: at.file, Line: at.line, Field: path, Message: fmt.Sprintf(format, args...)})
	d.bad[path] = true
}

// decode stores n in v. The values of wrong types are never repeated: they may
// be secrets in the wrong place.
func (d *decoder) decode(n *node, v reflect.Value, path string) {
	if n.kind == nullKind {
		d.refuse(n.at, path, "the key has no value; write one or remove the key")
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if d.decode(n, v.Elem(), path); d.bad[path] {
			v.SetZero() // as if nothing were written, so that nobody judges the zero
		}
	case reflect.Struct:
		if d.expect(n, mappingKind, path, "a mapping of keys to values") {
			d.structure(n, v, path)
		}
	case reflect.Map:
		if d.expect(n, mappingKind, path, "a mapping of keys to values") {
			d.mapping(n, v, path)
		}
	case reflect.Slice:
		if d.expect(n, listKind, path, "a list") {
			d.list(n, v, path)
		}
	default:
		if d.expect(n, scalarKind, path, wanted(v)) {
			d.scalar(n, v, path)
		}
	}
}

// wanted says what a scalar of v's type is, for messages.
func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	default:
		return "text"
	}
}

func (d *decoder) expect(n *node, k kind, path, what string) bool {
	if n.kind == k {
		return true
	}
	got := [...]string{"a single value", "a mapping", "a list", "nothing"}[n.kind]
	d.refuse(n.at, path, "%s is wanted here, not %s", what, got)
	return false
}

func (d *decoder) structure(n *node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	for _, e := range n.entries {
		field := join(path, e.key)
		d.places[field] = e.at
		i := indexOf(fields, e.key)
		if i < 0 {
			known := names(fields)
			d.problems = append(d.problems, Problem{
				File: e.at.file, Line: e.at.line, Field: field,
				Message: "unknown key" + suggest(e.key, known), Allowed: known,
			})
			continue
		}
		d.decode(e.value, v.FieldByIndex(fields[i].index), field)
	}
}

func (d *decoder) mapping(n *node, v reflect.Value, path string) {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	for _, e := range n.entries {
		field := join(path, e.key)
		d.places[field] = e.at
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(e.value, value, field)
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}

func (d *decoder) list(n *node, v reflect.Value, path string) {
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		field := path + d.label(item, i, path)
		d.places[field] = item.at
		d.items[path] = append(d.items[path], field)
		d.decode(item, v.Index(i), field)
	}
}

// label is label, but the second item with the same id goes by its position.
func (d *decoder) label(item *node, i int, path string) string {
	text := label(item, i)
	if _, taken := d.places[path+text]; taken {
		return "[" + strconv.Itoa(i) + "]"
	}
	return text
}

func (d *decoder) scalar(n *node, v reflect.Value, path string) {
	switch {
	case v.Kind() == reflect.String && (n.tag == "!!str" || n.tag == flagTag):
		v.SetString(n.text)
	case v.Kind() == reflect.String:
		d.refuse(n.at, path, "text is wanted here, and YAML reads this as another type; put it in quotes if it is meant so")
	case v.Kind() == reflect.Bool && (n.tag == "!!bool" || n.tag == flagTag && (n.text == "true" || n.text == "false")):
		v.SetBool(strings.EqualFold(n.text, "true"))
	case v.Kind() == reflect.Int && (n.tag == "!!int" || n.tag == flagTag):
		number, err := strconv.ParseInt(n.text, 10, 32)
		if err != nil || strconv.FormatInt(number, 10) != n.text {
			d.refuse(n.at, path, "a whole number in decimal digits is wanted here, without leading zeros and below 2147483648")
			return
		}
		v.SetInt(number)
	default:
		d.refuse(n.at, path, "%s is wanted here", wanted(v))
	}
}

// field is a key of a written type.
type field struct {
	name  string
	index []int
	typ   reflect.Type
}

// fieldsOf lists the keys of a written type in the order of declaration, those
// of an inlined struct at its place.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if option == "inline" {
			for _, inner := range fieldsOf(f.Type) {
				out = append(out, field{inner.name, append([]int{i}, inner.index...), inner.typ})
			}
			continue
		}
		out = append(out, field{name, []int{i}, f.Type})
	}
	return out
}

func indexOf(fields []field, name string) int {
	for i, f := range fields {
		if f.name == name {
			return i
		}
	}
	return -1
}

func names(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}

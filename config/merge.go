package config

import (
	"fmt"
	"strings"
)

// merger lays one file over another: mappings merge key by key, lists whose
// items have an id merge by it, everything else is replaced. Values keep the
// place where they were written.
type merger struct{ problems Problems }

func (m *merger) merge(base, over *node, path string) *node {
	switch {
	case base.kind == mappingKind && over.kind == mappingKind:
		return m.mappings(base, over, path)
	case base.kind == listKind && over.kind == listKind && identified(base):
		return m.lists(base, over, path)
	default:
		return over
	}
}

// identified tells whether every item of a list is a mapping with an id.
func identified(list *node) bool {
	for _, item := range list.items {
		if item.kind != mappingKind || item.get("id") == nil {
			return false
		}
	}
	return true
}

func (m *merger) mappings(base, over *node, path string) *node {
	merged := &node{kind: mappingKind, at: over.at, entries: append([]entry(nil), base.entries...)}
	for _, e := range over.entries {
		if i := base.index(e.key); i < 0 { // keys of over are unique
			merged.entries = append(merged.entries, e)
		} else {
			merged.entries[i] = entry{e.key, e.at, m.merge(merged.entries[i].value, e.value, join(path, e.key))}
		}
	}
	return merged
}

func (m *merger) lists(base, over *node, path string) *node {
	merged := &node{kind: listKind, at: over.at, items: append([]*node(nil), base.items...)}
	for i, item := range over.items {
		field := path + label(item, i)
		found := matches(base, item, path == "cas")
		switch {
		case len(found) == 1:
			merged.items[found[0]] = m.merge(merged.items[found[0]], item, field)
		case len(found) > 1:
			m.refuse(item, field, fmt.Sprintf("the id %q stands for %d entries of different tenants in what this file is merged over; write the tenant too", item.get("id").text, len(found)))
		case removes(item):
			m.refuse(item, field, "enabled: false removes nothing here: what this file is merged over has no entry with this id"+suggest(item.get("id").text, ids(base)))
		default:
			merged.items = append(merged.items, item)
		}
	}
	return merged
}

func (m *merger) refuse(at *node, field, message string) {
	m.problems = append(m.problems, Problem{File: at.at.file, Line: at.at.line, Field: field, Message: message})
}

// matches gives the items of base that item speaks of: those with the same id
// and, where perTenant says that ids are unique within a tenant only, the same
// tenant if item names one.
func matches(base, item *node, perTenant bool) []int {
	if item.kind != mappingKind || item.get("id") == nil {
		return nil
	}
	var found []int
	for i, b := range base.items {
		tenant, own := b.get("tenant"), item.get("tenant")
		elsewhere := perTenant && tenant != nil && own != nil && tenant.text != own.text
		if b.get("id").text == item.get("id").text && !elsewhere {
			found = append(found, i)
		}
	}
	return found
}

func removes(item *node) bool {
	if item.kind != mappingKind || item.get("id") == nil {
		return false
	}
	enabled := item.get("enabled")
	return enabled != nil && enabled.tag == "!!bool" && strings.EqualFold(enabled.text, "false")
}

func ids(list *node) []string {
	out := make([]string, len(list.items))
	for i, item := range list.items {
		out[i] = item.get("id").text
	}
	return out
}

// flagTag marks a scalar that comes from a flag: its type is what the key wants.
const flagTag = ""

// setting gives the tree of one value that a flag sets: the keys of path are
// separated by dots, and after the key of a list the id of its item follows.
func setting(s Setting) *node {
	at := position{file: s.From}
	value := &node{kind: scalarKind, at: at, tag: flagTag, text: s.Value}
	keys := strings.Split(s.Path, ".")
	for i := len(keys) - 1; i >= 0; i-- {
		if i > 0 && listed(keys[i-1]) {
			id := &node{kind: scalarKind, at: at, tag: flagTag, text: keys[i]}
			value.entries = append([]entry{{"id", at, id}}, value.entries...)
			value = &node{kind: listKind, at: at, items: []*node{value}}
			continue
		}
		value = &node{kind: mappingKind, at: at, entries: []entry{{keys[i], at, value}}}
	}
	return value
}

// listed tells whether the items of a top-level key are found by id.
func listed(key string) bool {
	switch key {
	case "tenants", "cas", "profiles", "endpoints":
		return true
	}
	return false
}

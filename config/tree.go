package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

const (
	// maxFile bounds a configuration file, in bytes.
	maxFile = 1 << 20
	// maxDepth bounds how deeply lists and mappings nest.
	maxDepth = 32
	// maxItems bounds how many items a list or keys a mapping has.
	maxItems = 4096
)

type kind uint8

const (
	scalarKind kind = iota
	mappingKind
	listKind
	nullKind
)

// node is a YAML value that remembers where it was written. A tree of nodes has
// no aliases, no duplicate keys and a bounded depth.
type node struct {
	kind    kind
	at      position
	tag     string // of a scalar: "!!str", "!!int", "!!bool", ...
	text    string // of a scalar
	entries []entry
	items   []*node
}

type entry struct {
	key   string
	at    position // of the key
	value *node
}

// position is a place in a file. Line 0 means that the whole is meant.
type position struct {
	file string
	line int
}

// get gives the value of a key of a mapping, or nil.
func (n *node) get(key string) *node {
	if i := n.index(key); i >= 0 {
		return n.entries[i].value
	}
	return nil
}

func (n *node) index(key string) int {
	return slices.IndexFunc(n.entries, func(e entry) bool { return e.key == key })
}

// parseTree reads one YAML document. The tree is usable, without the parts that
// are refused, even where there are problems; it is nil where YAML itself fails.
func parseTree(name string, data []byte) (*node, Problems) {
	if len(data) > maxFile {
		return nil, Problems{{File: name, Message: fmt.Sprintf("the file has %d bytes; at most %d are read", len(data), maxFile)}}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	err := decoder.Decode(&document)
	switch {
	case errors.Is(err, io.EOF): // nothing but white space and comments
		return &node{kind: mappingKind, at: position{file: name}}, nil
	case err != nil:
		return nil, Problems{syntaxProblem(name, err)}
	}
	c := converter{file: name}
	root := c.convert(document.Content[0], "", 0)
	var second yaml.Node
	if err := decoder.Decode(&second); err == nil {
		c.refuse(&second, "", "the file holds a second YAML document; write everything into one")
	} else if !errors.Is(err, io.EOF) {
		return nil, Problems{syntaxProblem(name, err)}
	}
	if root.kind == nullKind {
		root = &node{kind: mappingKind, at: root.at}
	}
	return root, c.problems
}

var yamlError = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)

// syntaxProblem takes the line out of the library's error. What it says of an
// unknown anchor is replaced: the name may be a password that begins with an asterisk.
func syntaxProblem(name string, err error) Problem {
	p := Problem{File: name, Message: "this is not YAML"}
	m := yamlError.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return p
	case regexp.MustCompile(`^unknown anchor`).MatchString(m[2]):
		p.Message = "a value that begins with * is a YAML alias, which is not read here; put it in quotes"
		return p
	}
	if line, err := strconv.Atoi(m[1]); err == nil {
		p.Line = line
	}
	p.Message += ": " + m[2]
	return p
}

// converter makes nodes of yaml's nodes and refuses what this format leaves out.
type converter struct {
	file     string
	problems Problems
}

func (c *converter) refuse(y *yaml.Node, path, format string, args ...any) {
	c.problems = append(c.problems, Problem{File: c.file, Line: y.Line, Field: path, Message: fmt.Sprintf(format, args...)})
}

func (c *converter) convert(y *yaml.Node, path string, depth int) *node {
	n := &node{kind: nullKind, at: position{c.file, y.Line}}
	switch {
	case depth > maxDepth:
		c.refuse(y, "", "lists and mappings nest deeper than %d levels", maxDepth)
		return n
	case len(y.Content) > maxItems*2 || y.Kind == yaml.SequenceNode && len(y.Content) > maxItems:
		c.refuse(y, path, "at most %d items or keys are read here", maxItems)
		return n
	case y.Kind == yaml.AliasNode:
		c.refuse(y, path, "YAML aliases are not read here; write the value out, or put a text that begins with * in quotes")
		return n
	case y.Anchor != "":
		c.refuse(y, path, "YAML anchors are not read here; write the value out each time, or put a text that begins with & in quotes")
	case y.Style&yaml.TaggedStyle != 0:
		c.refuse(y, path, "YAML tags are not read here; remove it, or put a text that begins with ! in quotes")
	}
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = mappingKind
		c.mapping(n, y, path, depth)
	case yaml.SequenceNode:
		n.kind = listKind
		for i, item := range y.Content {
			n.items = append(n.items, c.convert(item, path+yamlLabel(item, i), depth+1))
		}
	case yaml.ScalarNode:
		if n.tag = y.ShortTag(); n.tag != "!!null" {
			n.kind, n.text = scalarKind, y.Value
		}
	}
	return n
}

func (c *converter) mapping(n *node, y *yaml.Node, path string, depth int) {
	seen := make(map[string]int, len(y.Content)/2) // key to line
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || key.Style&yaml.TaggedStyle != 0:
			c.refuse(key, path, "a key is plain text, without list, mapping, anchor or tag")
			continue
		case key.ShortTag() == "!!merge":
			c.refuse(key, path, "YAML merge keys are not read here; write the values out")
			continue
		case seen[key.Value] > 0:
			c.refuse(key, join(path, key.Value), "the key is written twice, first on line %d; remove one", seen[key.Value])
			continue
		}
		seen[key.Value] = key.Line
		field := join(path, key.Value)
		n.entries = append(n.entries, entry{key.Value, position{c.file, key.Line}, c.convert(value, field, depth+1)})
	}
}

// yamlLabel gives what label will give for the converted item.
func yamlLabel(item *yaml.Node, i int) string {
	if item.Kind == yaml.MappingNode {
		for k := 0; k+1 < len(item.Content); k += 2 {
			if item.Content[k].Value == "id" && item.Content[k+1].Kind == yaml.ScalarNode {
				return label(&node{kind: mappingKind, entries: []entry{{key: "id", value: &node{text: item.Content[k+1].Value}}}}, i)
			}
		}
	}
	return label(nil, i)
}

// label names an item of a list in a path: `[id]`, or `[0]` counted from 0
// where it has no proper id.
func label(item *node, i int) string {
	if item != nil && item.kind == mappingKind {
		if id := item.get("id"); id != nil && wellFormedID(id.text) {
			return "[" + id.text + "]"
		}
	}
	return "[" + strconv.Itoa(i) + "]"
}

// join appends a key to a path: "", "store" -> "store"; "store", "url" -> "store.url".
// A key that is no plain word is quoted, so that it cannot write lines of its own.
func join(path, key string) string {
	if !wellFormedID(key) {
		key = quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

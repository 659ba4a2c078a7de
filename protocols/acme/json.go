package acme

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

const jsonSpace = " \t\r\n"

// jsonMembers splits one JSON object in UTF-8 into its members. Two members of one
// name are an error (RFC 7515 section 4), as is anything after the object; names are
// compared after unescaping and with case. The nesting is bounded by json.Valid.
func jsonMembers(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) { // encoding/json would replace, and make two texts one
		return nil, errors.New("not UTF-8")
	}
	if members, ok := plainMembers(text); ok {
		return members, nil
	}
	rest := bytes.TrimLeft(text, jsonSpace)
	if len(rest) == 0 || rest[0] != '{' || !json.Valid(rest) {
		return nil, errors.New("not a JSON object")
	}
	members := make(map[string]json.RawMessage, 8)
	for rest = rest[1:]; ; {
		rest = bytes.TrimLeft(rest, jsonSpace+",")
		if rest[0] == '}' {
			return members, nil
		}
		quoted, after := cutValue(rest)
		name, ok := jsonString(quoted)
		if _, twice := members[name]; twice || !ok {
			return nil, errors.New("two members of one name")
		}
		members[name], rest = cutValue(bytes.TrimLeft(after, jsonSpace+":"))
	}
}

// plainMembers is jsonMembers for the objects that clients send, whose names and
// values are texts without escapes; ok is false for every other text.
func plainMembers(text []byte) (members map[string]json.RawMessage, ok bool) {
	whole := string(text) // names are parts of it
	members = make(map[string]json.RawMessage, 8)
	for at, first := 0, true; ; first = false {
		at = skipSpace(text, at)
		switch {
		case at == len(text):
			return nil, false
		case first && text[at] == '{', !first && text[at] == ',':
		case !first && text[at] == '}':
			return members, skipSpace(text, at+1) == len(text)
		default:
			return nil, false
		}
		at = skipSpace(text, at+1)
		afterName := skipPlain(text, at)
		colon := skipSpace(text, afterName)
		if afterName == at || colon == len(text) || text[colon] != ':' {
			return nil, false
		}
		value := skipSpace(text, colon+1)
		afterValue := skipPlain(text, value)
		name := whole[at+1 : afterName-1]
		if _, twice := members[name]; twice || afterValue == value {
			return nil, false
		}
		members[name], at = text[value:afterValue], afterValue
	}
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n') {
		at++
	}
	return at
}

// skipPlain gives the place after the quoted text without escapes at a place,
// or that place if there is none.
func skipPlain(text []byte, at int) int {
	if at == len(text) || text[at] != '"' {
		return at
	}
	for i := at + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1
		case c == '\\' || c < ' ':
			return at
		}
	}
	return at
}

// cutValue splits off the value that text, the inside of valid JSON, starts with.
func cutValue(text []byte) (value, rest []byte) {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\':
			i++
			continue
		case c == '"':
			quoted = !quoted
		case quoted:
			continue
		case c == '{' || c == '[':
			depth++
			continue
		case (c == '}' || c == ']') && depth > 0:
			depth--
		case depth == 0 && strings.IndexByte(jsonSpace+",}", c) >= 0: // ends a number or word
			return text[:i], text[i:]
		default:
			continue
		}
		if depth == 0 && !quoted {
			return text[:i+1], text[i+1:]
		}
	}
	return text, nil
}

// jsonString gives the text of a JSON string; ok is false for every other value
// and for a missing one.
func jsonString(value json.RawMessage) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 { // nothing to unescape
		return string(value[1 : len(value)-1]), true
	}
	return text, json.Unmarshal(value, &text) == nil
}

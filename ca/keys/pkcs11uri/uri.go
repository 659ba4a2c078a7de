// Package pkcs11uri reads the URIs of RFC 7512 that name a private key in a
// token: which module to load, which token it is in, and which object it is.
// It needs no cgo, so that a configuration can be checked anywhere.
//
// It is stricter than the RFC where a mistake would be silent: an attribute
// that would not be looked at is refused by name instead of ignored (section
// 2.3 allows both), and so is one without a value. Left out: the library-*
// attributes, slot-description, slot-manufacturer, module-name, vendor
// attributes, objects other than private keys, and both PIN attributes, since
// URIs end up in logs (section 2.4).
package pkcs11uri

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	scheme    = "pkcs11:"
	maxLength = 8 << 10 // octets of a URI
)

// URI names a key. An empty field was not written and matches anything.
type URI struct {
	Token        string // CK_TOKEN_INFO.label
	Manufacturer string // CK_TOKEN_INFO.manufacturerID
	Serial       string // CK_TOKEN_INFO.serialNumber
	Model        string // CK_TOKEN_INFO.model
	SlotID       *uint  // CK_SLOT_ID; nil: any
	Object       string // CKA_LABEL
	ID           string // CKA_ID, its octets
	ModulePath   string // absolute path of the module's library
}

// attribute is a row of the table of attributes (RFC 7512 section 2.3).
type attribute struct {
	name  string
	query bool // stands after the "?"
	limit int  // octets, decoded; the size of the field in PKCS #11, or a bound of ours
	set   func(u *URI, value string) error
}

func attributes() []attribute {
	text := func(field func(*URI) *string) func(*URI, string) error {
		return func(u *URI, value string) error {
			if !utf8.ValidString(value) {
				return errors.New("is not UTF-8")
			}
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				return errors.New("has a control character")
			}
			*field(u) = value
			return nil
		}
	}
	return []attribute{
		{"token", false, 32, text(func(u *URI) *string { return &u.Token })},
		{"manufacturer", false, 32, text(func(u *URI) *string { return &u.Manufacturer })},
		{"serial", false, 16, text(func(u *URI) *string { return &u.Serial })},
		{"model", false, 16, text(func(u *URI) *string { return &u.Model })},
		{"slot-id", false, 10, setSlot},
		{"object", false, 255, text(func(u *URI) *string { return &u.Object })},
		{"id", false, 255, func(u *URI, value string) error { u.ID = value; return nil }},
		{"type", false, 16, setType},
		{"module-path", true, 4095, func(u *URI, value string) error {
			if !strings.HasPrefix(value, "/") || strings.HasSuffix(value, "/") {
				return errors.New("is not the absolute path of a file")
			}
			return text(func(u *URI) *string { return &u.ModulePath })(u, value)
		}},
	}
}

// setSlot reads slot-id: decimal digits (RFC 7512 section 2.3, 1*DIGIT).
func setSlot(u *URI, value string) error {
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || value[0] == '+' {
		return errors.New("is not a decimal number below 2^32")
	}
	slot := uint(n)
	u.SlotID = &slot
	return nil
}

func setType(_ *URI, value string) error {
	if value != "private" {
		return errors.New(`is not "private", and only private keys are opened`)
	}
	return nil
}

// hints say what to do about attributes that are refused.
func hints() map[string]string {
	return map[string]string{
		"pin-value":   "a key URI has no pin-value, because URIs end up in logs; give the PIN as key_password: file:/absolute/path or env:NAME",
		"pin-source":  "a key URI has no pin-source, because URIs end up in logs; give the PIN as key_password: file:/absolute/path or env:NAME",
		"module-name": "module-name is not looked up here; write module-path=/absolute/path/of/the/module.so",
	}
}

// Parse reads a pkcs11 URI. Errors name the attribute, never its value: a PIN
// may stand there.
func Parse(text string) (URI, error) {
	if len(text) > maxLength {
		return URI{}, fmt.Errorf("this pkcs11 URI has more than %d octets", maxLength)
	}
	if len(text) < len(scheme) || !strings.EqualFold(text[:len(scheme)], scheme) {
		return URI{}, errors.New("a pkcs11 URI begins with pkcs11:")
	}
	path, query, _ := strings.Cut(text[len(scheme):], "?")
	u, seen := URI{}, map[string]bool{}
	if err := u.read(path, ";", false, seen); err != nil {
		return URI{}, err
	}
	if err := u.read(query, "&", true, seen); err != nil {
		return URI{}, err
	}
	return u, nil
}

// read takes one of the two lists of name=value.
func (u *URI) read(list, separator string, query bool, seen map[string]bool) error {
	if list == "" {
		return nil
	}
	for _, part := range strings.Split(list, separator) {
		name, raw, ok := strings.Cut(part, "=")
		if !ok || !isName(name) {
			return errors.New("a pkcs11 URI is a list of name=value separated by ; with percent-encoding (RFC 7512); what follows the ? is separated by &")
		}
		if hint := hints()[name]; hint != "" {
			return errors.New(hint)
		}
		if seen[name] {
			return fmt.Errorf("the attribute %s stands twice in this pkcs11 URI (RFC 7512 section 2.3)", name)
		}
		seen[name] = true
		if err := u.set(name, raw, query); err != nil {
			return err
		}
	}
	return nil
}

func (u *URI) set(name, raw string, query bool) error {
	var names []string
	for _, a := range attributes() {
		names = append(names, a.name)
		if a.name != name {
			continue
		}
		if a.query != query {
			return fmt.Errorf("the attribute %s stands on the wrong side of the ? in this pkcs11 URI", name)
		}
		value, err := decode(raw, query)
		if err == nil && value == "" {
			err = errors.New("is empty")
		}
		if err == nil && len(value) > a.limit {
			err = fmt.Errorf("has more than %d octets", a.limit)
		}
		if err == nil {
			err = a.set(u, value)
		}
		if err != nil {
			return fmt.Errorf("the attribute %s of this pkcs11 URI %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("the attribute %s of this pkcs11 URI is not one that is looked at: %s", name, strings.Join(names, ", "))
}

// isName bounds what an error repeats (RFC 7512 section 2.3, pk11-v-attr-nm).
func isName(s string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// Characters that stand for themselves (RFC 7512 section 2.3, pk11-pchar and
// pk11-qchar) beside letters and digits. A space, a plus sign's meaning in
// forms, and "/" in the path are where hand-written URIs go wrong.
const (
	pathMarks  = "-._~:[]@!$'()*+,=&"
	queryMarks = "-._~:[]@!$'()*+,=/?|"
)

// decode undoes percent-encoding (RFC 3986 section 2.1).
func decode(raw string, query bool) (string, error) {
	marks := pathMarks
	if query {
		marks = queryMarks
	}
	var out []byte
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == '%':
			if i+2 >= len(raw) || hexDigit(raw[i+1]) < 0 || hexDigit(raw[i+2]) < 0 {
				return "", errors.New("has a % without two hexadecimal digits")
			}
			out = append(out, byte(hexDigit(raw[i+1])<<4|hexDigit(raw[i+2])))
			i += 2
		case isAlphanumeric(c) || strings.IndexByte(marks, c) >= 0:
			out = append(out, c)
		default:
			return "", fmt.Errorf("has a character that must be written as %%%02X", c)
		}
	}
	return string(out), nil
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// hexDigit gives the value of a hexadecimal digit, -1 for what is none.
func hexDigit(c byte) int {
	if 'A' <= c && c <= 'F' {
		c += 'a' - 'A'
	}
	return strings.IndexByte("0123456789abcdef", c)
}

// CheckKey tells whether u names a key at all.
func (u URI) CheckKey() error {
	if u.Object == "" && u.ID == "" {
		return errors.New("this pkcs11 URI names no key; add object=LABEL or id=%01...")
	}
	return nil
}

// String writes u in the form that Parse reads back, attributes in the order
// of the table; type=private is left out.
func (u URI) String() string {
	var b strings.Builder
	b.WriteString(scheme)
	slot := ""
	if u.SlotID != nil {
		slot = strconv.FormatUint(uint64(*u.SlotID), 10)
	}
	separator := ""
	for _, part := range []struct{ name, value string }{{"token", u.Token}, {"manufacturer", u.Manufacturer}, {"serial", u.Serial},
		{"model", u.Model}, {"slot-id", slot}, {"object", u.Object}, {"id", u.ID}} {
		if part.value == "" {
			continue
		}
		b.WriteString(separator + part.name + "=")
		// All octets of an id are written as %XX (RFC 7512 section 2.3).
		encode(&b, part.value, part.name == "id", "")
		separator = ";"
	}
	if u.ModulePath != "" {
		b.WriteString("?module-path=")
		encode(&b, u.ModulePath, false, "/")
	}
	return b.String()
}

func encode(b *strings.Builder, value string, all bool, marks string) {
	for _, c := range []byte(value) {
		if !all && (isAlphanumeric(c) || strings.IndexByte("-._~"+marks, c) >= 0) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

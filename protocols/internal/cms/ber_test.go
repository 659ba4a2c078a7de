package cms

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	return must[[]byte](t)(hex.DecodeString(strings.ReplaceAll(s, " ", "")))
}

func TestDER(t *testing.T) {
	for name, c := range map[string]struct{ ber, der string }{
		"DER already":                      {"30 05 02 01 01 05 00", "30 05 02 01 01 05 00"},
		"primitive alone":                  {"04 00", "04 00"},
		"indefinite":                       {"30 80 02 01 01 00 00", "30 03 02 01 01"},
		"indefinite in indefinite":         {"30 80 30 80 00 00 30 80 02 01 05 00 00 00 00", "30 07 30 00 30 03 02 01 05"},
		"definite in indefinite":           {"30 80 30 03 02 01 05 00 00", "30 05 30 03 02 01 05"},
		"indefinite in definite":           {"30 07 30 80 02 01 05 00 00", "30 05 30 03 02 01 05"},
		"length in more octets":            {"30 81 03 02 01 01", "30 03 02 01 01"},
		"length in many octets":            {"30 88 00 00 00 00 00 00 00 03 02 01 01", "30 03 02 01 01"},
		"length of a primitive":            {"30 04 02 81 01 07", "30 03 02 01 07"},
		"OCTET STRING in pieces":           {"24 08 04 02 01 02 04 02 03 04", "04 04 01 02 03 04"},
		"in indefinite pieces":             {"24 80 04 02 01 02 04 01 03 00 00", "04 03 01 02 03"},
		"in pieces of pieces":              {"24 80 24 80 04 01 01 04 01 02 00 00 24 03 04 01 03 04 00 00 00", "04 03 01 02 03"},
		"in no pieces":                     {"24 00", "04 00"},
		"in no indefinite pieces":          {"30 80 24 80 00 00 00 00", "30 02 04 00"},
		"explicit tag around pieces":       {"a0 80 24 80 04 01 01 04 01 02 00 00 00 00", "a0 04 04 02 01 02"},
		"implicit tag stays":               {"a0 80 04 01 01 04 01 02 00 00", "a0 06 04 01 01 04 01 02"},
		"what is in a string is its own":   {"04 04 30 80 00 00", "04 04 30 80 00 00"},
		"primitive contents are their own": {"30 80 01 01 01 00 00", "30 03 01 01 01"},
	} {
		got, err := DER(unhex(t, c.ber), Limits{})
		if err != nil || !bytes.Equal(got, unhex(t, c.der)) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
	// A content that needs two and three octets for its length.
	for _, size := range []int{127, 128, 255, 256, 65535, 65536} {
		piece := append(appendLength([]byte{4}, size), make([]byte, size)...)
		ber := append(append([]byte{0x30, 0x80, 0x24, 0x80}, piece...), 0, 0, 0, 0)
		want := append(appendLength([]byte{0x30}, len(piece)), piece...)
		if got, err := DER(ber, Limits{}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: %v", size, err)
		}
	}
}

func TestDERRefuses(t *testing.T) {
	for name, c := range map[string]struct{ ber, says string }{
		"nothing":                         {"", "truncated"},
		"a tag alone":                     {"30", "truncated"},
		"truncated content":               {"30 05 02 01", "beyond the message"},
		"truncated length":                {"30 84 00 00", "truncated"},
		"octets after the end":            {"05 00 00", "1 octets after the end"},
		"end-of-contents first":           {"00 00", "out of place"},
		"end-of-contents in definite":     {"30 04 05 00 00 00", "out of place"},
		"no end-of-contents":              {"30 80 05 00", "truncated"},
		"half an end-of-contents":         {"30 80 05 00 00", "truncated"},
		"indefinite beyond its parent":    {"30 04 30 80 05 00 00 00", "truncated"},
		"indefinite primitive":            {"04 80 00 00", "primitive element of indefinite length"},
		"reserved length":                 {"30 ff 00", "truncated"},
		"giant length":                    {"30 84 ff ff ff ff 00", "beyond the message"},
		"length beyond 64 bits":           {"30 89 01 00 00 00 00 00 00 00 00", "beyond the message"},
		"negative length":                 {"30 88 80 00 00 00 00 00 00 00", "beyond the message"},
		"long tag":                        {"1f 81 01 00", "tag number above 30"},
		"BIT STRING in pieces":            {"23 04 03 02 00 01", "string of type 3"},
		"INTEGER in pieces":               {"22 03 02 01 01", "string of type 2"},
		"other types in a string":         {"24 03 02 01 01", "of other types"},
		"child beyond its parent":         {"30 03 04 05 01 02 03 04 05", "beyond the message"},
		"constructed NULL, as tag of 25h": {"25 00", "string of type 5"},
	} {
		_, err := DER(unhex(t, c.ber), Limits{})
		if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a hostile message may cost: the recursion ends at the depth, the memory
// at the elements.
func TestDERBounds(t *testing.T) {
	deep := func(n int, header []byte, end []byte) []byte {
		return append(bytes.Repeat(header, n), bytes.Repeat(end, n)...)
	}
	for name, c := range map[string]struct {
		ber    []byte
		limits Limits
		says   string
	}{
		"deep at the bound":  {deep(32, []byte{0x30, 0x80}, []byte{0, 0}), Limits{}, ""},
		"deep":               {deep(33, []byte{0x30, 0x80}, []byte{0, 0}), Limits{}, "more than 32 elements within each other"},
		"very deep":          {bytes.Repeat([]byte{0x30, 0x80}, 1<<19), Limits{}, "more than 32 elements within each other"},
		"deep strings":       {bytes.Repeat([]byte{0x24, 0x80}, 1<<19), Limits{}, "more than 32 elements within each other"},
		"many elements":      {append([]byte{0x30, 0x83, 0x08, 0, 0}, make([]byte, 0x80000)...), Limits{}, "out of place"},
		"many NULLs":         {append([]byte{0x30, 0x83, 0x08, 0, 0}, bytes.Repeat([]byte{5, 0}, 0x40000)...), Limits{}, "more than 16384 elements"},
		"many empty strings": {append([]byte{0x24, 0x83, 0x08, 0, 0}, bytes.Repeat([]byte{4, 0}, 0x40000)...), Limits{}, "more than 16384 elements"},
		"elements of others": {unhex(t, "30 04 05 00 05 00"), Limits{Elements: 2}, "more than 2 elements"},
		"size":               {make([]byte, 1<<20+1), Limits{}, "more than 1048576"},
		"size of others":     {make([]byte, 11), Limits{Size: 10}, "more than 10"},
		"depth of others":    {unhex(t, "30 02 30 00"), Limits{Depth: 1}, "more than 1 elements"},
	} {
		_, err := DER(c.ber, c.limits)
		if (c.says == "") != (err == nil) || err != nil && (!errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every fixture reads the same after its DER was spread as BER senders do.
func TestDERUndoesBER(t *testing.T) {
	for _, name := range []string{"sign-rsa.der", "sign-two.der", "encrypt-several.der", "degenerate.der"} {
		der := must[[]byte](t)(DER(fixture(t, name), Limits{}))
		ber := spread(der)
		if len(ber) <= len(der) {
			t.Errorf("%s: was not spread", name)
		}
		if got, err := DER(ber, Limits{}); err != nil || !bytes.Equal(got, der) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// spread writes SEQUENCEs, SETs and tagged ones with indefinite lengths, OCTET
// STRINGs in pieces of pieces, and other lengths in four octets.
func spread(der []byte) (ber []byte) {
	n := normalizer{in: der}
	for at := 0; at < len(der); {
		h, err := n.header(at, len(der))
		if err != nil {
			panic(err) // it is DER
		}
		content := der[at+h.size : at+h.size+h.length]
		at += h.size + h.length
		switch {
		case h.tag == octetString && len(content) > 1:
			half := len(content) / 2
			ber = append(ber, 0x24, 0x80, 0x24, 0x80, 0x04, 0x84, 0, 0, byte(half>>8), byte(half))
			ber = append(append(ber, content[:half]...), 0, 0)
			ber = appendLength(append(ber, 4), len(content)-half)
			ber = append(append(ber, content[half:]...), 0, 0)
		case h.tag&constructed != 0:
			ber = append(append(append(ber, h.tag, 0x80), spread(content)...), 0, 0)
		default:
			ber = append(ber, h.tag, 0x84, 0, byte(h.length>>16), byte(h.length>>8), byte(h.length))
			ber = append(ber, content...)
		}
	}
	return ber
}

package pkix

import (
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// challenges makes a request with challengePassword attributes, each with the
// content of its SET.
func challenges(t testing.TB, sets ...[]byte) []byte {
	t.Helper()
	var b cryptobyte.Builder
	b.AddASN1(casn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		for _, set := range sets {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(OIDChallengePassword)
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(set) })
			})
		}
	})
	return buildCSR(t, 0, b.BytesOrPanic())
}

func TestChallengePassword(t *testing.T) {
	printable := "\x13\x03abc"
	for name, c := range map[string]struct {
		sets []string
		want string
		ok   bool
	}{
		"none":             {nil, "", true},
		"PrintableString":  {[]string{printable}, "abc", true},
		"UTF8String":       {[]string{"\x0c\x04a\xc3\xbcb"}, "aüb", true},
		"IA5String":        {[]string{"\x16\x03a@b"}, "a@b", true},
		"T61String":        {[]string{"\x14\x03abc"}, "abc", true},
		"BMPString":        {[]string{"\x1e\x04\x00a\x00b"}, "ab", true},
		"OCTET STRING":     {[]string{"\x04\x03abc"}, "", false},
		"a SEQUENCE":       {[]string{"\x30\x05" + printable}, "", false},
		"no value":         {[]string{""}, "", false},
		"two values":       {[]string{printable + printable}, "", false},
		"two attributes":   {[]string{printable, printable}, "", false},
		"UTF8 that is not": {[]string{"\x0c\x02\xff\xfe"}, "", false},
		"half a character": {[]string{"\x1e\x03\x00a\x00"}, "", false},
	} {
		var sets [][]byte
		for _, s := range c.sets {
			sets = append(sets, []byte(s))
		}
		csr, err := ParseCSR(challenges(t, sets...))
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := csr.ChallengePassword()
		if got != c.want || (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "RFC 2985 section 5.4.1") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzChallengePassword: what is given is text, and nothing where there is an error.
func FuzzChallengePassword(f *testing.F) {
	for _, seed := range []string{"\x13\x03abc", "\x0c\x02\xff\xfe", "\x1e\x04\x00a\x00b", "\x14\x01\xe9", "\x16\x01a\x16\x01b", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, set []byte) {
		if len(set) > 4096 {
			return
		}
		csr, err := ParseCSR(challenges(t, set))
		if err != nil {
			return
		}
		text, err := csr.ChallengePassword()
		if !utf8.ValidString(text) || err != nil && text != "" {
			t.Fatalf("%q %v", text, err)
		}
	})
}

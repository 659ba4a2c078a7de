package pkix

import (
	"fmt"
	"strings"
	"unicode/utf8"

	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Check holds an attribute that came from outside against the character set
// of its string type (X.680 section 41) and the length bound of its attribute
// type (RFC 5280 appendix A.1). Values that are empty, not a character string
// or hold a control character are errors: they read as something else than
// they are.
func (a Attribute) Check() error {
	name := AttributeName(a.Type)
	text, ok := a.Text()
	switch {
	case !ok:
		return fmt.Errorf("attribute %s: value is not a character string that decodes", name)
	case text == "":
		return fmt.Errorf("attribute %s: value is empty", name)
	case strings.IndexFunc(text, func(r rune) bool { return r < 0x20 || 0x7f <= r && r < 0xa0 }) >= 0:
		return fmt.Errorf("attribute %s: value holds a control character", name)
	case casn1.Tag(a.Tag) == casn1.PrintableString && !isPrintable(text):
		return fmt.Errorf("attribute %s: value is not a PrintableString", name)
	case a.Tag == 18 && strings.Trim(text, "0123456789 ") != "":
		return fmt.Errorf("attribute %s: value is not a NumericString", name)
	}
	if spec, known := attributeSpecs[a.Type.String()]; known && spec.max > 0 && utf8.RuneCountInString(text) > spec.max {
		return fmt.Errorf("attribute %s: value is longer than %d characters", name, spec.max)
	}
	return nil
}

package profile

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"slices"
	"strconv"
	"strings"

	"github.com/enrollgate/enrollgate/ca/pkix"
)

// family groups keys by what key usages mean for them.
type family uint8

const (
	familyRSA family = iota
	familyEC
	familyEd25519
	families
)

func (f family) String() string { return [...]string{"RSA", "EC", "Ed25519"}[f] }

func familyOf(key pkix.PublicKey) (family, bool) {
	switch key.Parsed().(type) {
	case *rsa.PublicKey:
		return familyRSA, true
	case *ecdsa.PublicKey:
		return familyEC, true
	case ed25519.PublicKey:
		return familyEd25519, true
	}
	return 0, false
}

// keyRule says which subject keys are issued to.
type keyRule struct {
	exact  []string // pkix.PublicKey.Algorithm values
	rsaMin int      // bits; 0: only exact sizes
}

var keyForms = []string{"ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-N", "rsa>=N"}

func compileKeys(written []string, problems *problemList) keyRule {
	var rule keyRule
	if len(written) == 0 {
		problems.choose([]string{"keys"}, keyForms, "no key algorithm is listed, so nothing could be issued")
	}
	for i, text := range written {
		path := []string{"keys", strconv.Itoa(i)}
		switch {
		case strings.HasPrefix(text, "rsa"):
			bits, least, ok := rsaForm(text)
			switch {
			case !ok:
				problems.choose(path, keyForms, "%q is not a key algorithm", clip(text))
			case bits < 2048 || bits > 8192:
				problems.add(path, "RSA keys have 2048 to 8192 bits; the global floor refuses others in any profile")
			case least:
				rule.rsaMin = bits
			default:
				rule.exact = append(rule.exact, text)
			}
		case slices.Contains(keyForms[:4], text):
			rule.exact = append(rule.exact, text)
		default:
			problems.choose(path, keyForms, "%q is not a key algorithm", clip(text))
		}
		if slices.Contains(written[:i], text) {
			problems.add(path, "%q is listed twice", clip(text))
		}
	}
	return rule
}

// rsaForm reads rsa-N (least false) and rsa>=N.
func rsaForm(text string) (bits int, least, ok bool) {
	digits, exact := strings.CutPrefix(text, "rsa-")
	if !exact {
		if digits, least = strings.CutPrefix(text, "rsa>="); !least {
			return 0, false, false
		}
	}
	bits, err := strconv.Atoi(digits)
	return bits, least, err == nil && strconv.Itoa(bits) == digits
}

func (r keyRule) allows(key pkix.PublicKey) bool {
	if slices.Contains(r.exact, key.Algorithm()) {
		return true
	}
	pub, ok := key.Parsed().(*rsa.PublicKey)
	return ok && r.rsaMin > 0 && pub.N.BitLen() >= r.rsaMin
}

// families tells which key families the rule lets in.
func (r keyRule) families() (in [families]bool) {
	in[familyRSA] = r.rsaMin > 0
	for _, name := range r.exact {
		switch {
		case strings.HasPrefix(name, "rsa"):
			in[familyRSA] = true
		case strings.HasPrefix(name, "ecdsa"):
			in[familyEC] = true
		default:
			in[familyEd25519] = true
		}
	}
	return in
}

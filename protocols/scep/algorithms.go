package scep

import (
	"crypto"
	"fmt"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// LegacyAlgorithms are what an endpoint can grant below the floor, by name.
func LegacyAlgorithms() []string { return []string{"des", "des3", "md5", "sha1"} }

// floorOf grants algorithms by their names.
func floorOf(granted []string) (f cms.Floor, err error) {
	for _, name := range granted {
		switch name {
		case "des":
			f.DES = true
		case "des3":
			f.DES3 = true
		case "md5":
			f.MD5 = true
		case "sha1":
			f.SHA1 = true
		default:
			return f, fmt.Errorf("%q is no old algorithm that can be granted", name)
		}
	}
	return f, nil
}

// capabilities is the text of GetCACaps (RFC 8894 section 3.5.2). Triple DES and
// SHA-1 stand there where they are granted alone: clients take the best that they
// find. There is no word for DES and MD5.
func capabilities(f cms.Floor, own []string) []byte {
	if len(own) > 0 {
		return []byte(strings.Join(own, "\n") + "\n")
	}
	// strongSwan looks for SHA-384 before it looks at anything else.
	all := []string{"AES", "POSTPKIOperation", "SHA-256", "SHA-384", "SHA-512", "Renewal", "SCEPStandard"}
	if f.DES3 {
		all = append(all, "DES3")
	}
	if f.SHA1 {
		all = append(all, "SHA-1")
	}
	return []byte(strings.Join(all, "\n") + "\n")
}

// legacyOf names what a message used that is below the floor, for the counter.
func legacyOf(hash crypto.Hash, cipher cms.Cipher) (used []string) {
	if name := map[crypto.Hash]string{crypto.SHA1: "sha1", crypto.MD5: "md5"}[hash]; name != "" {
		used = append(used, name)
	}
	if name := map[cms.Cipher]string{cms.DES3CBC: "des3", cms.DESCBC: "des"}[cipher]; name != "" {
		used = append(used, name)
	}
	slices.Sort(used)
	return used
}

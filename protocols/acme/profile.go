package acme

import (
	"iter"
	"net/http"
	"slices"
	"strings"
)

// unknownProfile refuses a profile that the directory does not list
// (draft-ietf-acme-profiles section 4).
func unknownProfile(name string, known iter.Seq[string]) *problem {
	names := strings.Join(slices.Sorted(known), ", ")
	if names == "" {
		return fail(http.StatusBadRequest, typeInvalidProfile, "there are no profiles to choose from here; leave \"profile\" out of the order")
	}
	return fail(http.StatusBadRequest, typeInvalidProfile, "there is no profile %q; the directory lists %s", clip(name), names)
}

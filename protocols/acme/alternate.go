package acme

import (
	"fmt"
	"net/http"
	"strconv"
)

// bundles are the forms that a certificate can be downloaded in: with its chain
// first, then with each of the other chains that lead to its issuer.
func (d *Door) bundles(tenant, authority string, der []byte, chain [][]byte) (all [][]byte) {
	all = [][]byte{bundle(der, chain)}
	if d.Alternates == nil {
		return all
	}
	for _, other := range d.Alternates(tenant, authority, chain) {
		all = append(all, bundle(der, other))
	}
	return all
}

// choose gives the form that a URL names, the first for the certificate's own
// URL, and links to the others (RFC 8555 section 7.4.2).
func (r *request) choose(w http.ResponseWriter, found issued) ([]byte, error) {
	chosen := 0
	if text := r.param("chain"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n >= len(found.pem) || strconv.Itoa(n) != text {
			return nil, fail(http.StatusNotFound, typeMalformed, "there is no such chain")
		}
		chosen = n
	}
	own := r.endpoint.base + "/certificate/" + r.param("id")
	for i := range found.pem {
		url := own
		if i > 0 {
			url += "/" + strconv.Itoa(i)
		}
		if i != chosen {
			w.Header().Add("Link", fmt.Sprintf("<%s>;rel=%q", url, "alternate"))
		}
	}
	return found.pem[chosen], nil
}

package est

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/protocols/internal/cms"
)

// cacerts gives the certificates of the CA that signs now, up to its root, and
// after them those of its other generations, so that what they issued is still
// verified (RFC 7030 section 4.1). Nobody needs to say who asks (4.1.1).
func (d *Door) cacerts(w http.ResponseWriter, r *request) error {
	issuer, err := d.Issuers.Issuer(r.endpoint.Tenant, r.endpoint.CA)
	if err != nil {
		return err
	}
	var all [][]byte
	add := func(i ca.Issuer) {
		facts := i.Facts()
		for _, der := range append(slices.Clone(facts.Chain), facts.Root) {
			if len(der) > 0 && !slices.ContainsFunc(all, func(have []byte) bool { return bytes.Equal(have, der) }) {
				all = append(all, der)
			}
		}
	}
	add(issuer)
	for _, other := range d.Generations(r.endpoint.Tenant, r.endpoint.CA) {
		if d.Now().Before(other.Facts().NotAfter) {
			add(other)
		}
	}
	der, err := cms.Degenerate(all, nil)
	if err != nil {
		return ca.InternalError(err)
	}
	return r.answer(w, typeCertificates, der)
}

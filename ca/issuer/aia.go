package issuer

import (
	"fmt"

	"github.com/enrollgate/enrollgate/ca"
)

// Certificate gives the certificate that the AIA publisher serves as
// TENANT/FILE: see AIAPath.
func (r *Registry) Certificate(tenant, file string) (der []byte, ok bool) {
	all := r.loaded.Load()
	if all == nil {
		return nil, false
	}
	for name, a := range *all {
		for _, l := range a.all {
			if name == tenant+"/"+a.id && file == aiaFile(a.id, l.facts.Generation) {
				return l.certificate, true
			}
		}
	}
	return nil, false
}

// AIAPath is where the certificate of a generation is published:
// /aia/TENANT/CA.cer the first, /aia/TENANT/CA.N.cer the others, for as long as
// what they issued may be looked at. No id has a dot in it.
func AIAPath(tenant, id string, generation int) string {
	return "/aia/" + tenant + "/" + aiaFile(id, generation)
}

func aiaFile(id string, generation int) string {
	if generation == ca.FirstGeneration {
		return id + ".cer"
	}
	return fmt.Sprintf("%s.%d.cer", id, generation)
}

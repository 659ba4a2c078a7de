package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Selection says which certificates an operation on many is about: those that
// are named, or in the tenants those that the filter lets through.
type Selection struct {
	Tenants []string
	Filter  ca.Filter   // CA may be empty: every one of a tenant; Tenant and Limit are not looked at
	Serials []ca.Serial // these, in the tenants and the CA of the filter; the rest of the filter is not looked at
	Key     *[32]byte   // SHA-256 of the SubjectPublicKeyInfo: only with this very key; the filter then has its identifier
}

// Failure is a certificate whose status did not change, and why.
type Failure struct {
	Tenant string `json:"tenant,omitempty"`
	CA     string `json:"ca,omitempty"`
	Serial string `json:"serial"`
	Kind   string `json:"kind"`
	Error  string `json:"error"` // a sentence
}

func failureOf(tenant, id string, serial ca.Serial, err error) Failure {
	e := ca.AsError(err)
	return Failure{tenant, id, serial.String(), e.Kind.String(), e.Public}
}

// selected is a part of a selection.
type selected struct {
	certificates []ca.Certificate
	missing      []Failure // named serials that there are not
	next         string    // where the next part begins: TENANT/CA/SERIAL; empty after the last
}

// part reads at most limit certificates; those with another key than Key are left
// out of them. Named serials are one part.
func (s *Selection) part(ctx context.Context, r Records, at string, limit int) (*selected, error) {
	if len(s.Serials) > 0 {
		return s.named(ctx, r)
	}
	places, err := s.places(ctx, r)
	if err != nil {
		return nil, err
	}
	out, f, start := &selected{}, s.Filter, 0
	if f.Limit = limit; at != "" {
		place, serial, _ := cutLast(at)
		start = slices.Index(places, place)
		if f.After, err = ca.ParseSerial(serial); err != nil || start < 0 {
			return nil, ca.Errorf(ca.BadRequest, "%q is not where a page of this selection ends", clip(at))
		}
	}
	for _, place := range places[start:] {
		f.Tenant, f.CA, _ = strings.Cut(place, "/")
		found, err := r.FindCertificates(ctx, &f)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			f.After = ca.Serial{}
			continue
		}
		out.next = place + "/" + found[len(found)-1].Serial.String()
		out.certificates, err = s.withKey(found)
		return out, err
	}
	return out, nil
}

// places lists TENANT/CA.
func (s *Selection) places(ctx context.Context, r Records) (all []string, err error) {
	for _, tenant := range s.Tenants {
		cas, err := authoritiesOf(ctx, r, tenant, s.Filter.CA)
		if ca.IsKind(err, ca.NotFound) && len(s.Tenants) > 1 {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, id := range cas {
			all = append(all, tenant+"/"+id)
		}
	}
	return all, nil
}

func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexByte(text, '/')
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

func (s *Selection) named(ctx context.Context, r Records) (*selected, error) {
	out := &selected{}
	for _, serial := range s.Serials {
		c, err := Find(ctx, r, s.Tenants, s.Filter.CA, serial)
		switch {
		case ca.IsKind(err, ca.NotFound), ca.IsKind(err, ca.Conflict):
			out.missing = append(out.missing, failureOf("", s.Filter.CA, serial, err))
		case err != nil:
			return nil, err
		default:
			out.certificates = append(out.certificates, *c)
		}
	}
	return out, nil
}

func (s *Selection) withKey(found []ca.Certificate) (same []ca.Certificate, _ error) {
	if s.Key == nil {
		return found, nil
	}
	for _, c := range found {
		parsed, err := pkix.ParseCertificate(c.DER)
		if err != nil {
			return nil, ca.InternalError(err)
		}
		if parsed.Key.Hash() == *s.Key {
			same = append(same, c)
		}
	}
	return same, nil
}

// Count is how many certificates a selection has, by state.
type Count struct {
	Matched int `json:"matched"` // with the missing ones
	Issued  int `json:"issued"`
	Held    int `json:"held"`
	Revoked int `json:"revoked"`
	Missing int `json:"missing"` // named serial numbers that there are not
}

// CountSelected reads a selection from one end to the other, in parts.
func CountSelected(ctx context.Context, r Records, s *Selection) (c Count, err error) {
	for at := ""; ; {
		part, err := s.part(ctx, r, at, ca.MaxFound)
		if err != nil {
			return c, err
		}
		c.Matched += len(part.certificates) + len(part.missing)
		c.Missing += len(part.missing)
		for i := range part.certificates {
			switch part.certificates[i].State {
			case ca.Issued:
				c.Issued++
			case ca.Held:
				c.Held++
			default:
				c.Revoked++
			}
		}
		if at = part.next; at == "" {
			return c, nil
		}
	}
}

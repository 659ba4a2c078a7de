package admin

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Records is what operators' questions are answered from.
type Records interface {
	ca.Archive
	Generations(ctx context.Context, tenant string) ([]ca.Generation, error)
	Certificate(ctx context.Context, tenant, ca string, serial ca.Serial) (*ca.Certificate, error)
	Decision(ctx context.Context, tenant, ca string, serial ca.Serial) (detail []byte, profileHash [32]byte, err error)
	Profile(ctx context.Context, hash [32]byte) ([]byte, error)
	// Month gives the record of a month whose certificates were dropped; NotFound for any other.
	Month(ctx context.Context, m ca.Month) (*ca.MonthRecord, error)
}

// Certificate is an issued certificate as lists show it.
type Certificate struct {
	Tenant    string    `json:"tenant"`
	CA        string    `json:"ca"`
	Serial    string    `json:"serial"` // 32 hexadecimal digits
	State     ca.State  `json:"state"`
	Subject   string    `json:"subject"`
	Names     []string  `json:"names"` // subject alternative names: dns:..., ip:..., email:...
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Profile   string    `json:"profile"`
	Requester string    `json:"requester"`
	Endpoint  string    `json:"endpoint"`
	KeyID     string    `json:"key_id"` // hexadecimal
	IssuedAt  time.Time `json:"issued_at"`
	Trace     string    `json:"trace"`
}

// describe reads a recorded certificate.
func describe(c *ca.Certificate) (*Certificate, *pkix.Certificate, error) {
	parsed, err := pkix.ParseCertificate(c.DER)
	if err != nil {
		return nil, nil, ca.InternalError(err)
	}
	names, err := parsed.AltNames()
	if err != nil {
		return nil, nil, ca.InternalError(err)
	}
	row := &Certificate{Tenant: c.Tenant, CA: c.CA, Serial: c.Serial.String(), State: c.State, Subject: parsed.Subject.String(), Names: []string{},
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Profile: c.Profile, Requester: c.Requester, Endpoint: c.Endpoint,
		KeyID: hex.EncodeToString(parsed.Key.KeyID()), IssuedAt: c.IssuedAt, Trace: c.Trace}
	for _, n := range names {
		row.Names = append(row.Names, n.String())
	}
	return row, parsed, nil
}

// Query says which certificates to list. Filter.CA may be empty: every CA of the tenant.
type Query struct {
	Filter ca.Filter
	Page   string // Page.Next of the page before; empty: the first
}

// Page is a part of a list.
type Page struct {
	Certificates []Certificate `json:"certificates"`
	Next         string        `json:"next,omitempty"` // where the next page begins; empty on the last
}

// List gives a page of certificates, by CA and serial number. Errors:
// BadRequest for a page that is none, NotFound for a CA that there never was.
func List(ctx context.Context, r Records, q Query) (*Page, error) {
	cas, err := authoritiesOf(ctx, r, q.Filter.Tenant, q.Filter.CA)
	if err != nil {
		return nil, err
	}
	f := q.Filter
	if f.Limit < 1 || f.Limit > ca.MaxFound {
		return nil, ca.Errorf(ca.BadRequest, "a page has 1 to %d certificates", ca.MaxFound)
	}
	if q.Page != "" {
		id, serial, _ := strings.Cut(q.Page, "/")
		at := slices.Index(cas, id)
		if f.After, err = ca.ParseSerial(serial); err != nil || at < 0 {
			return nil, ca.Errorf(ca.BadRequest, "%q is not the `next` of an earlier page of this list", q.Page)
		}
		cas = cas[at:]
	}
	page, left := &Page{Certificates: []Certificate{}}, f.Limit
	for _, id := range cas {
		f.CA, f.Limit = id, max(left, 1) // with nothing left: is there anything at all?
		found, err := r.FindCertificates(ctx, &f)
		if err != nil {
			return nil, err
		}
		if left == 0 && len(found) > 0 {
			return page.until(), nil
		}
		for i := range found {
			row, _, err := describe(&found[i])
			if err != nil {
				return nil, err
			}
			page.Certificates = append(page.Certificates, *row)
		}
		if left -= len(found); left == 0 && len(found) > 0 {
			f.After, f.Limit = found[len(found)-1].Serial, 1
			if more, err := r.FindCertificates(ctx, &f); err != nil || len(more) > 0 {
				return page.until(), err
			}
		}
		left, f.After = max(left, 0), ca.Serial{}
	}
	return page, nil
}

// until marks that something comes after the page's last row.
func (p *Page) until() *Page {
	last := p.Certificates[len(p.Certificates)-1]
	p.Next = last.CA + "/" + last.Serial
	return p
}

// Find looks for a serial number in every CA of the tenants, or in one CA where
// it is given. NotFound says where else to look; Conflict where several CAs have
// it, because nobody must be shown, or revoke, another one than was meant.
func Find(ctx context.Context, r Records, tenants []string, id string, serial ca.Serial) (*ca.Certificate, error) {
	var found []*ca.Certificate
	var places []string
	for _, tenant := range tenants {
		cas, err := authorityIDs(ctx, r, tenant)
		if err != nil {
			return nil, err
		}
		for _, each := range cas {
			if id != "" && id != each {
				continue
			}
			c, err := r.Certificate(ctx, tenant, each, serial)
			switch {
			case err == nil:
				found, places = append(found, c), append(places, "CA "+each+" of tenant "+tenant)
			case !ca.IsKind(err, ca.NotFound):
				return nil, err
			}
		}
	}
	switch len(found) {
	case 0:
	case 1:
		return found[0], nil
	default:
		return nil, ca.Errorf(ca.Conflict, "several certificates have serial number %s: of %s; say which with --tenant and --ca", serial, strings.Join(places, ", "))
	}
	in := "tenant " + strings.Join(tenants, ", ")
	if id != "" {
		in = "CA " + id + " of " + in
	}
	switch m, err := r.Month(ctx, serial.Month()); {
	case err == nil:
		return nil, ca.Errorf(ca.NotFound, "%s has no certificate with serial number %s any more, if it ever had: what expired in %s was dropped on %s "+
			"(retention.certificates). `enrollgate explain` tells what is left: revocations and the audit trail", in, serial, m.Month, m.Dropped.Format(time.DateOnly))
	case !ca.IsKind(err, ca.NotFound):
		return nil, err
	}
	return nil, ca.Errorf(ca.NotFound, "%s issued no certificate with serial number %s; look in another tenant (--tenant), in the store that it was issued from "+
		"(--config, --store), and in the log for `signature.discarded`: what was signed and not recorded never left", in, serial)
}

// authoritiesOf gives the CA that is named, or without a name every CA that the
// tenant ever had; NotFound for one that there never was.
func authoritiesOf(ctx context.Context, r Records, tenant, id string) ([]string, error) {
	cas, err := authorityIDs(ctx, r, tenant)
	switch {
	case err != nil:
		return nil, err
	case id == "":
		return cas, nil
	case !slices.Contains(cas, id):
		return nil, ca.Errorf(ca.NotFound, "tenant %s has no CA %s; `enrollgate ca list` shows the ones there are", tenant, id)
	}
	return []string{id}, nil
}

// authorityIDs lists the CAs that a tenant ever had, by id.
func authorityIDs(ctx context.Context, r Records, tenant string) (ids []string, err error) {
	generations, err := r.Generations(ctx, tenant)
	for _, g := range generations {
		ids = append(ids, g.CA)
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

package profile

import (
	"bytes"
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// request makes the trial of a record; why is not empty where it cannot.
func (r *Replayer) request(in *Issued, issuer *ca.Facts) (t *Trial, why string) {
	possession, err := claim.OwnKey(r.Keys, in.Certificate.Key)
	if err != nil {
		return nil, err.Error()
	}
	t = &Trial{Request: &ca.Request{Operation: in.Operation, Possession: possession}, Issuer: issuer, Door: in.Door, Caller: in.Caller,
		Endpoint: in.Endpoint, Tenant: in.Tenant, Methods: in.Methods, Possession: "csr-signature"}
	if len(t.Methods) == 0 {
		for m, doors := range caller.Methods() {
			if slices.Contains(doors, in.Door) {
				t.Methods = append(t.Methods, m)
			}
		}
	}
	for _, f := range in.Fields {
		if _, method, ok := strings.Cut(f.Note, "possession shown by "); ok && f.Name == "key" {
			t.Possession = method
		}
	}
	for _, part := range []func(*Issued, *ca.Request) string{r.names, r.subject, r.extensions, r.dates} {
		if why := part(in, t.Request); why != "" {
			return nil, why
		}
	}
	return t, ""
}

// grantedSource begins the source of a value that was asserted and granted.
const grantedSource = "asserted, granted by "

// provenBy gives the method of a source that is a claim's.
func provenBy(source string) (claim.Method, bool) {
	word, _, _ := strings.Cut(source, " ")
	return claim.Method(word), slices.Contains(claim.Methods(), claim.Method(word)) && strings.Contains(source, " at ")
}

// names restores the claims that are names, and the names that were asked for.
func (r *Replayer) names(in *Issued, out *ca.Request) (why string) {
	names, err := in.Certificate.AltNames()
	if err != nil {
		return "the names of the certificate do not read"
	}
	copied, left := map[string]bool{}, []pkix.GeneralName(nil)
	for _, f := range in.Fields {
		if f.Name != "san" && !strings.HasPrefix(f.Name, "san.") || f.Value == "" {
			continue
		}
		if strings.HasSuffix(f.Source, " copy_cn_to_dns") {
			copied[f.Value] = true
		}
		kind, value, _ := strings.Cut(f.Value, ":")
		if f.Source == "asserted" && kind == "uri" { // a security identifier, which was left out
			left = append(left, pkix.NewURI(value))
		}
		method, proven := provenBy(f.Source)
		if !proven {
			continue
		}
		c, err := claim.FromOffline(r.Claims, claim.Offline{Kind: claim.Kind(kind), Value: value, Method: method, At: in.At})
		if err != nil {
			return "a proven name of the record cannot be read: " + clip(f.Value)
		}
		out.Claims = append(out.Claims, c)
	}
	for _, n := range names {
		if !copied[n.String()] {
			out.Asserted.AltNames = append(out.Asserted.AltNames, n)
		}
	}
	out.Asserted.AltNames = append(out.Asserted.AltNames, left...)
	return ""
}

// subject restores what the request said of its subject, and claims about the
// holder as far as the record names them.
func (r *Replayer) subject(in *Issued, out *ca.Request) (why string) {
	rdns, err := pkix.ParseName(in.Certificate.Subject)
	if err != nil {
		return "the subject of the certificate does not read"
	}
	names, err := in.Certificate.AltNames()
	if err != nil {
		return "the names of the certificate do not read"
	}
	granted, extra := map[string]int{}, []pkix.RDN(nil)
	for _, f := range in.Fields {
		attribute, about := strings.CutPrefix(f.Name, "subject.")
		if !about || f.Value == "" && f.Source != "asserted" {
			continue
		}
		_, proven := provenBy(f.Source)
		switch {
		case strings.Contains(f.Source, "; ") && (strings.Contains(f.Source, grantedSource) || !oneOfNames(names, f.Value)):
			return f.Name + " was made of several parts, which the record does not keep apart"
		case strings.HasPrefix(f.Source, grantedSource):
			of := f.Source[strings.LastIndexByte(f.Source, '.')+1:]
			if of == attribute || of == anyAttribute {
				granted[f.Name+"="+f.Value]++
				continue
			}
			why, rdn := restored(of, f.Value)
			if why != "" {
				return why
			}
			extra = append(extra, rdn)
		case f.Source == "asserted":
			why, rdn := restored(attribute, f.Value)
			if why != "" && r.New.heeds(attribute) {
				return why
			}
			if why == "" {
				extra = append(extra, rdn)
			}
		case proven && !oneOfNames(names, f.Value):
			return f.Name + " says something that a claim which is no name proved, and the record does not say which"
		case proven && attribute == "CN" && len(names) > 0 && f.Value != firstDNS(names):
			why, rdn := restored(attribute, f.Value) // only a request picks another one
			if why != "" {
				return why
			}
			extra = append(extra, rdn)
		}
	}
	var asked []pkix.RDN
	for _, rdn := range rdns {
		var kept pkix.RDN
		for _, a := range rdn {
			text, _ := a.Text()
			key := "subject." + pkix.AttributeName(a.Type) + "=" + clip(text)
			if granted[key] > 0 {
				granted[key]--
				kept = append(kept, a)
			}
		}
		if len(kept) > 0 {
			asked = append(asked, kept)
		}
	}
	if out.Asserted.Subject, err = pkix.MarshalName(append(asked, extra...)); err != nil {
		return "the subject that was asked for cannot be made again"
	}
	return ""
}

// heeds tells whether it matters what a request says of an attribute.
func (p *Profile) heeds(attribute string) bool {
	if p.cnFromDNS && attribute == "CN" {
		return true
	}
	oid, ok := pkix.AttributeOID(attribute)
	return ok && grantFor(p.subject.grants, oid) != nil
}

// restored makes an attribute again from how it was recorded.
func restored(attribute, value string) (why string, rdn pkix.RDN) {
	oid, ok := pkix.AttributeOID(attribute)
	if !ok || strings.HasSuffix(value, "...") {
		return "the record keeps the requested " + attribute + " only in part", nil
	}
	a, err := pkix.NewAttribute(oid, value)
	if err != nil {
		return "the record keeps the requested " + attribute + " only in part", nil
	}
	return "", pkix.RDN{a}
}

func oneOfNames(names []pkix.GeneralName, text string) bool {
	return slices.ContainsFunc(names, func(n pkix.GeneralName) bool { plain, ok := n.Text(); return ok && plain == text })
}

func firstDNS(names []pkix.GeneralName) string {
	for _, n := range names {
		if n.Kind == pkix.DNSName {
			return string(n.Raw)
		}
	}
	return ""
}

// couldHaveAsked gives what the request can have asked for where one asked for
// all the names: a request that names nothing gets all that was proven, and a
// common name may have been asked for, and have stood for a proven name.
func couldHaveAsked(fields []ca.Field, all ca.Asserted) (could []ca.Asserted) {
	cns, subject := askedCNs(fields, all.Subject)
	subjects, names := [][]byte{all.Subject}, [][]pkix.GeneralName{all.AltNames}
	if !bytes.Equal(subject, all.Subject) {
		subjects = append(subjects, subject)
	}
	if namedNothing(fields) {
		names = [][]pkix.GeneralName{nil}
	} else if len(all.AltNames) > 0 && onlyProven(fields) {
		names = append(names, nil)
	}
	rest := slices.DeleteFunc(slices.Clone(all.AltNames), func(n pkix.GeneralName) bool { return containsName(cns, n) })
	if len(rest) > 0 && len(rest) < len(all.AltNames) {
		names = append(names, rest)
	}
	for _, of := range names {
		for _, subject := range subjects {
			one := all
			one.AltNames, one.Subject = of, subject
			could = append(could, one)
		}
	}
	return could
}

// askedCNs gives the names that the recorded common names stand for, and a
// subject that asks for these common names besides.
func askedCNs(fields []ca.Field, subject []byte) (stand []pkix.GeneralName, with []byte) {
	rdns, err := pkix.ParseName(subject)
	if err != nil {
		return nil, subject // made by MarshalName
	}
	asked := pkix.CommonNames(rdns)
	for _, f := range fields {
		if f.Name != "subject.CN" || f.Value == "" {
			continue
		}
		stand = append(stand, nameOfCN(f.Value))
		if why, rdn := restored("CN", f.Value); why == "" && !slices.Contains(asked, f.Value) {
			rdns, asked = append(rdns, rdn), append(asked, f.Value)
		}
	}
	if with, err = pkix.MarshalName(rdns); err != nil {
		return stand, subject
	}
	return stand, with
}

// namedNothing tells whether the record says that the request had no names.
func namedNothing(fields []ca.Field) bool {
	return slices.ContainsFunc(fields, func(f ca.Field) bool { return f.Name == "san" && f.Note == noteNotIssued })
}

// onlyProven tells whether all that was proven, and nothing else, is among the names.
func onlyProven(fields []ca.Field) bool {
	for _, f := range fields {
		_, proven := provenBy(f.Source)
		if f.Name == "san" || strings.HasPrefix(f.Name, "san.") && !proven && !strings.HasSuffix(f.Source, " copy_cn_to_dns") {
			return false
		}
	}
	return true
}

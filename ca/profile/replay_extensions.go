package profile

import (
	"slices"
	"strings"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Notes of the record about what a request said and did not get.
const (
	noteUsagesUnused = "what the request asks is not used"
	noteUsagesLeft   = "not granted, left out: "
)

// extensions restores the requested extensions.
func (r *Replayer) extensions(in *Issued, out *ca.Request) (why string) {
	for _, f := range in.Fields {
		name, about := strings.CutPrefix(f.Name, "extension.")
		switch {
		case f.Name == "ext_key_usage":
			if why := r.usages(in, f, out); why != "" {
				return why
			}
			continue
		case !about:
			continue
		}
		id, known := extensionByName(name)
		if !known {
			return "the record names an extension that is not known: " + clip(name)
		}
		held, there := pkix.FindExtension(in.Certificate.Extensions, id)
		method, proven := provenBy(f.Source)
		switch {
		case strings.HasPrefix(f.Source, grantedSource) && f.Value != "":
			if !there {
				return "the certificate lacks the extension " + clip(name) + " of its record"
			}
			out.Asserted.Extensions = append(out.Asserted.Extensions, pkix.Extension{ID: held.ID, Value: held.Value})
		case f.Source == "asserted":
			if _, takes := r.New.requests(id); takes {
				return "the request's extension " + clip(name) + " was left out, and the record does not keep it"
			}
			out.Asserted.Extensions = append(out.Asserted.Extensions, pkix.Extension{ID: id, Value: []byte{0x05, 0x00}}) // neither profile reads it
		case proven && id.Equal(pkix.OIDMSSecurityID):
			c, err := claim.FromOffline(r.Claims, claim.Offline{Kind: claim.SID, Value: f.Note, Method: method, At: in.At})
			if err != nil {
				return "the record's security identifier does not read"
			}
			out.Claims = append(out.Claims, c)
		case proven:
			return f.Name + " says something that a claim proved, and the record does not say which"
		}
	}
	return ""
}

// usages restores the extended key usages that were asked for.
func (r *Replayer) usages(in *Issued, f ca.Field, out *ca.Request) (why string) {
	asked := strings.HasPrefix(f.Source, grantedSource)
	switch {
	case f.Note == noteUsagesUnused && r.New.extKeyUsage.requested:
		return "the request asked for extended key usages, which were not used and which the record does not keep"
	case !asked:
		return ""
	}
	held, there := pkix.FindExtension(in.Certificate.Extensions, pkix.OIDExtKeyUsage)
	usages, err := pkix.ParseExtKeyUsage(held.Value)
	if !there || err != nil {
		return "the extended key usages of the certificate do not read"
	}
	if left, some := strings.CutPrefix(f.Note, noteUsagesLeft); some {
		for word := range strings.FieldsSeq(left) {
			oid, ok := pkix.ExtKeyUsages[word]
			if !ok {
				oid, ok = pkix.ParseOID(word)
			}
			if !ok {
				return "the record keeps the requested extended key usages only in part"
			}
			usages = append(usages, oid)
		}
	}
	e, err := pkix.MarshalExtKeyUsage(usages, false)
	if err != nil {
		return "the extended key usages that were asked for cannot be made again"
	}
	out.Asserted.Extensions = append(out.Asserted.Extensions, e)
	return ""
}

// dates restores the dates that were asked for.
func (r *Replayer) dates(in *Issued, out *ca.Request) (why string) {
	for _, f := range in.Fields {
		if f.Name != "validity.not_before" && f.Name != "validity.not_after" {
			continue
		}
		switch {
		case strings.HasPrefix(f.Source, grantedSource) && f.Name == "validity.not_before":
			out.Asserted.NotBefore = in.Certificate.NotBefore
		case strings.HasPrefix(f.Source, grantedSource):
			out.Asserted.NotAfter = in.Certificate.NotAfter
		case slices.Contains([]string{noteDatesUnused, noteEarlierUnused, noteLaterUnused}, f.Note) && r.New.validity.requested != "ignore":
			return "the request asked for dates, which were not used and which the record does not keep"
		}
	}
	return ""
}

// Notes of the record about dates that were asked for.
const (
	noteDatesUnused   = "dates of the request are not used"
	noteEarlierUnused = "the request's earlier date is not used"
	noteLaterUnused   = "the request's later date is not used"
)

// extensionByName is the reverse of ExtensionName.
func extensionByName(name string) (pkix.OID, bool) {
	if id, ok := requestable[name]; ok {
		return id, true
	}
	for dotted, known := range forbidden {
		if known == name {
			return pkix.ParseOID(dotted)
		}
	}
	return pkix.ParseOID(name)
}

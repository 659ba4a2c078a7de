package profile

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Difference is one thing that two decisions on a request do not share.
type Difference struct {
	Field string `json:"field"` // as in the decision record
	Old   string `json:"old"`   // "" where there is none
	New   string `json:"new"`
}

// Differences lists what another decision would change, in the order of a
// certificate's fields. Where values come from is not compared.
func Differences(was, is *ca.Decision) (all []Difference) {
	add := func(field, a, b string, same bool) {
		if !same {
			all = append(all, Difference{field, a, b})
		}
	}
	add("subject", was.Subject.String(), is.Subject.String(), bytes.Equal(subjectOf(was), subjectOf(is)))
	a, b := namesOf(was), namesOf(is)
	add("san", a, b, a == b)
	add("validity.not_before", stamp(was.NotBefore), stamp(is.NotBefore), was.NotBefore.Equal(is.NotBefore))
	add("validity.not_after", stamp(was.NotAfter), stamp(is.NotAfter), was.NotAfter.Equal(is.NotAfter))
	for _, e := range was.Extensions {
		other, there := pkix.FindExtension(is.Extensions, e.ID)
		if e.ID.Equal(pkix.OIDSubjectAltName) && (!there || e.Critical == other.Critical) {
			continue // compared as names
		}
		field, text := printExtension(was, e)
		_, with := printExtension(is, other)
		add(field, text, with, there && e.Critical == other.Critical && bytes.Equal(e.Value, other.Value))
	}
	for _, e := range is.Extensions {
		if _, there := pkix.FindExtension(was.Extensions, e.ID); !there && !e.ID.Equal(pkix.OIDSubjectAltName) {
			field, text := printExtension(is, e)
			add(field, "", text, false)
		}
	}
	for _, field := range []string{"approval", "renewal", "unique.subject", "unique.san", "unique.key"} {
		a, b := valueOf(was, field), valueOf(is, field)
		add(field, a, b, a == b)
	}
	return all
}

func subjectOf(d *ca.Decision) pkix.RawName {
	if d.Subject.Empty() {
		return pkix.EmptyName
	}
	return d.Subject
}

func namesOf(d *ca.Decision) string {
	var all []string
	for _, n := range d.AltNames {
		all = append(all, n.String())
	}
	return strings.Join(all, " ")
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// valueOf gives what the record says of a field that is in the certificate.
func valueOf(d *ca.Decision, field string) string {
	at := slices.IndexFunc(d.Fields, func(f ca.Field) bool { return f.Name == field && f.Value != "" })
	if at < 0 {
		return ""
	}
	return d.Fields[at].Value
}

// fieldOfExtension is how the record names the extensions that it does not
// print as extension.NAME.
var fieldOfExtension = map[string][]string{
	pkix.OIDBasicConstraints.String():    {"basic_constraints"},
	pkix.OIDKeyUsage.String():            {"key_usage"},
	pkix.OIDExtKeyUsage.String():         {"ext_key_usage"},
	pkix.OIDSubjectKeyID.String():        {"subject_key_id"},
	pkix.OIDAuthorityKeyID.String():      {"authority_key_id"},
	pkix.OIDCertificatePolicies.String(): {"policies", "extension.certificatePolicies"},
	pkix.OIDCRLDistPoints.String():       {"urls.crl"},
	pkix.OIDAuthorityInfoAccess.String(): {"urls.ocsp", "urls.aia"},
	pkix.OIDOCSPNoCheck.String():         {"ocsp_no_check"},
	pkix.OIDNoRevAvail.String():          {"no_rev_avail"},
	pkix.OIDSubjectAltName.String():      {"san"},
}

// printExtension gives an extension's field and its value as the record prints
// it; "" for one that is not there.
func printExtension(d *ca.Decision, e pkix.Extension) (field, text string) {
	fields, ok := fieldOfExtension[e.ID.String()]
	if !ok {
		fields = []string{"extension." + ExtensionName(e.ID)}
	}
	if e.ID == nil {
		return fields[0], ""
	}
	var values []string
	for _, name := range fields {
		if value := valueOf(d, name); value != "" {
			values = append(values, value)
		}
	}
	if text = strings.Join(values, " "); text == "" {
		text = clip(hex.EncodeToString(e.Value))
	}
	if e.Critical {
		text += " (critical)"
	}
	return fields[0], text
}

// Setting is one key that two profiles say otherwise.
type Setting struct {
	Path string `json:"path"`
	Old  string `json:"old"` // "" where it is not written
	New  string `json:"new"`
}

// Settings lists the keys of the flat texts in which two profiles differ, in
// the order of the keys. Lists of texts are one setting.
func Settings(was, is *Profile) (all []Setting) {
	old, now := was.Lines(), is.Lines()
	for _, l := range old {
		if at := slices.IndexFunc(now, func(other [2]string) bool { return other[0] == l[0] }); at < 0 {
			all = append(all, Setting{l[0], l[1], ""})
		} else if now[at][1] != l[1] {
			all = append(all, Setting{l[0], l[1], now[at][1]})
		}
	}
	for _, l := range now {
		if !slices.ContainsFunc(old, func(other [2]string) bool { return other[0] == l[0] }) {
			all = append(all, Setting{l[0], "", l[1]})
		}
	}
	return all
}

// Lines gives what the profile says, flat, as pairs of key, its parts joined by
// dots, and value.
func (p *Profile) Lines() [][2]string {
	var document yaml.Node
	if err := yaml.Unmarshal(p.text, &document); err != nil || len(document.Content) != 1 { // we wrote it
		return nil
	}
	return linesOf(nil, "", document.Content[0])
}

func linesOf(all [][2]string, path string, n *yaml.Node) [][2]string {
	plain := func(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode }
	switch {
	case plain(n):
		return append(all, [2]string{path, n.Value})
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			all = linesOf(all, strings.TrimPrefix(path+"."+n.Content[i].Value, "."), n.Content[i+1])
		}
		return all
	case !slices.ContainsFunc(n.Content, func(item *yaml.Node) bool { return !plain(item) }):
		var items []string
		for _, item := range n.Content {
			items = append(items, item.Value)
		}
		return append(all, [2]string{path, strings.Join(items, ", ")})
	}
	for i, item := range n.Content {
		all = linesOf(all, path+"."+strconv.Itoa(i), item)
	}
	return all
}

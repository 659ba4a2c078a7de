package profile

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// ownExtension is an extension that the profile itself puts into certificates.
type ownExtension struct {
	pkix.Extension        // complete where parts is nil
	parts          []part // of a character string with variables
	tag            uint8
	field          string // "extension.1.2.3"
	value          string // as recorded, of a constant
	source         string
	rule           string // "extensions.0"
}

// elsewhere are the extensions that have a key of their own, or none on purpose.
var elsewhere = map[string]string{
	pkix.OIDBasicConstraints.String():    "kind and path_len",
	pkix.OIDKeyUsage.String():            "key_usage",
	pkix.OIDExtKeyUsage.String():         "ext_key_usage",
	pkix.OIDSubjectAltName.String():      "subject_alt_name",
	pkix.OIDCertificatePolicies.String(): "policies",
	pkix.OIDCRLDistPoints.String():       "urls.crl",
	pkix.OIDFreshestCRL.String():         "urls.crl",
	pkix.OIDAuthorityInfoAccess.String(): "urls.aia and urls.ocsp",
	pkix.OIDOCSPNoCheck.String():         "kind: responder",
	pkix.OIDNoRevAvail.String():          "the key for certificates without status",
	pkix.OIDSMIMECapabilities.String():   "smime_capabilities",
	pkix.OIDMSTemplate.String():          "ms_template",
	pkix.OIDMSTemplateName.String():      "ms_template",
	pkix.OIDMSSecurityID.String():        "ms_sid",
	pkix.OIDSubjectKeyID.String():        "nothing: it follows from the key",
	pkix.OIDAuthorityKeyID.String():      "nothing: it follows from the issuer",
	"1.3.6.1.4.1.11129.2.4.2":            "nothing: only a log makes signed certificate timestamps",
	"1.3.6.1.4.1.11129.2.4.3":            "nothing: precertificates are not made here",
}

// onlyCA are the extensions that mean something in CA certificates alone.
var onlyCA = []pkix.OID{pkix.OIDNameConstraints, {2, 5, 29, 33}, {2, 5, 29, 36}, {2, 5, 29, 54}}

func (p *Profile) compileExtensions(w []WrittenExtension, problems *problemList) {
	for i, written := range w {
		at := func(key string) []string { return []string{"extensions", strconv.Itoa(i), key} }
		id, ok := pkix.ParseOID(written.OID)
		own, taken := elsewhere[id.String()]
		switch {
		case !ok:
			problems.add(at("oid"), "%s is not a dotted OID", quoted(written.OID))
		case taken:
			problems.add(at("oid"), "this extension is not written here; use %s", own)
		case slices.ContainsFunc(onlyCA, id.Equal) && p.kind != KindCA:
			problems.add(at("oid"), "this extension belongs to profiles of kind ca (RFC 5280 section 4.2.1)")
		case slices.ContainsFunc(p.own, func(e ownExtension) bool { return e.ID.Equal(id) }):
			problems.add(at("oid"), "%s is listed twice (RFC 5280 section 4.2)", quoted(written.OID))
		}
		e := ownExtension{Extension: pkix.Extension{ID: id, Critical: written.Critical}, field: "extension." + ExtensionName(id),
			source: "profile " + p.id + " extensions", rule: "extensions." + strconv.Itoa(i)}
		tag, isText := stringTypes[written.Type]
		if !isText {
			var err error
			if e.Value, err = constantValue(written.Type, written.Value); err != nil {
				problems.choose(at("value"), nil, "%v", err)
			}
			if len(e.Value) > maxRequested {
				problems.add(at("value"), "the value is longer than %d octets", maxRequested)
			}
			e.value = clip(hex.EncodeToString(e.Value))
			p.own = append(p.own, e)
			continue
		}
		e.tag, e.parts = tag, compileValue(written.Value, at("value"), nil, problems)
		p.checkVariables(e.parts, at("value"), problems)
		if !slices.ContainsFunc(e.parts, func(p part) bool { return p.kind != constant }) {
			if err := e.setText(written.Value); err != nil {
				problems.add(at("value"), "%v", err)
			}
			e.parts, e.value = nil, clip(hex.EncodeToString(e.Value))
		}
		p.own = append(p.own, e)
	}
}

func (e *ownExtension) setText(text string) error {
	content, err := pkix.EncodeText(text, e.tag)
	if err != nil {
		return err
	}
	var b cryptobyte.Builder
	b.AddASN1(casn1.Tag(e.tag), func(b *cryptobyte.Builder) { b.AddBytes(content) })
	e.Value, err = b.Bytes()
	return err
}

// constantValue encodes a value that is no character string.
func constantValue(kind, text string) (value []byte, err error) {
	var b cryptobyte.Builder
	switch kind {
	case "hex":
		value, err = hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	case "base64":
		value, err = base64.StdEncoding.DecodeString(text)
	case "integer":
		n, bad := strconv.ParseInt(text, 10, 64)
		b.AddASN1Int64(n)
		value, err = b.BytesOrPanic(), bad
	case "boolean":
		if text != "true" && text != "false" {
			return nil, errors.New(`a boolean is "true" or "false", in quotes`)
		}
		b.AddASN1Boolean(text == "true")
		value = b.BytesOrPanic()
	case "oid":
		id, ok := pkix.ParseOID(text)
		if !ok {
			return nil, errors.New("the value is not a dotted OID")
		}
		b.AddASN1ObjectIdentifier(id)
		value, err = b.Bytes()
	case "null":
		if text != "" {
			return nil, errors.New("null has no value")
		}
		value = []byte{0x05, 0x00}
	default:
		return nil, errors.New("type is one of hex, base64, utf8, printable, ia5, bmp, integer, boolean, oid, null")
	}
	if err != nil {
		return nil, errors.New("the value does not read as " + kind)
	}
	in := cryptobyte.String(value)
	var body cryptobyte.String
	var tag casn1.Tag
	if !in.ReadAnyASN1(&body, &tag) || !in.Empty() {
		return nil, errors.New("the value is not one DER value")
	}
	return value, nil
}

// smimeAlgorithms are the capabilities that a profile can name (RFC 8551
// section 2.7, RFC 5084); others go by their dotted OID.
var smimeAlgorithms = map[string]pkix.OID{
	"aes128-cbc": {2, 16, 840, 1, 101, 3, 4, 1, 2}, "aes192-cbc": {2, 16, 840, 1, 101, 3, 4, 1, 22}, "aes256-cbc": {2, 16, 840, 1, 101, 3, 4, 1, 42},
	"aes128-gcm": {2, 16, 840, 1, 101, 3, 4, 1, 6}, "aes192-gcm": {2, 16, 840, 1, 101, 3, 4, 1, 26}, "aes256-gcm": {2, 16, 840, 1, 101, 3, 4, 1, 46},
}

func (p *Profile) compileCapabilities(w []string, problems *problemList) {
	var algorithms []pkix.OID
	for i, text := range w {
		path := []string{"smime_capabilities", strconv.Itoa(i)}
		id, ok := smimeAlgorithms[text]
		if !ok {
			id, ok = pkix.ParseOID(text)
		}
		switch {
		case !ok:
			problems.choose(path, []string{"aes128-cbc", "aes192-cbc", "aes256-cbc", "aes128-gcm", "aes192-gcm", "aes256-gcm", "a dotted OID"}, "%q is not an algorithm", clip(text))
		case slices.ContainsFunc(algorithms, id.Equal):
			problems.add(path, "%q is listed twice", clip(text))
		default:
			algorithms = append(algorithms, id)
		}
	}
	if len(algorithms) == 0 {
		return
	}
	e, err := pkix.MarshalSMIMECapabilities(algorithms)
	p.addOwn(e, err, "smime_capabilities", problems)
}

func (p *Profile) compileMSTemplate(w *WrittenMSTemplate, problems *problemList) {
	if w == nil {
		return
	}
	id, ok := pkix.ParseOID(w.OID)
	switch {
	case (w.Name == "") == (w.OID == ""):
		problems.add([]string{"ms_template"}, "one of name (a version 1 template) and oid (version 2 and later) is wanted")
	case w.Name != "" && (w.Major != 0 || w.Minor != 0):
		problems.add([]string{"ms_template"}, "a template that goes by its name has no version")
	case w.OID != "" && !ok:
		problems.add([]string{"ms_template", "oid"}, "%s is not a dotted OID", quoted(w.OID))
	case w.Major < 0 || w.Minor < 0:
		problems.add([]string{"ms_template", "major"}, "versions are numbers from 0 on")
	case w.Name != "":
		e, err := pkix.MarshalMSTemplateName(w.Name)
		p.addOwn(e, err, "ms_template", problems)
	default:
		e, err := pkix.MarshalMSTemplate(id, w.Major, w.Minor)
		p.addOwn(e, err, "ms_template", problems)
	}
}

// addOwn keeps an extension that is the same in every certificate.
func (p *Profile) addOwn(e pkix.Extension, err error, key string, problems *problemList) {
	if err != nil {
		problems.add([]string{key}, "%v", err)
	}
	p.own = append(p.own, ownExtension{Extension: e, field: "extension." + ExtensionName(e.ID), value: clip(hex.EncodeToString(e.Value)), source: "profile " + p.id + " " + key, rule: key})
}

// addOwnExtensions adds what the profile itself puts into certificates.
func (d *deciding) addOwnExtensions(out []pkix.Extension) ([]pkix.Extension, error) {
	for _, e := range d.profile.own {
		if e.parts == nil {
			out = append(out, e.Extension)
			d.field(e.field, e.value, e.source, "")
			continue
		}
		text, source, ok, err := d.text(e.parts, e.field, e.rule)
		if err != nil {
			return nil, err
		}
		if !ok {
			d.field(e.field, "", e.source, "nothing to say, left out")
			continue
		}
		if err := e.setText(text); err != nil {
			return nil, d.profile.denied(e.field, e.rule, "%v", err)
		}
		out = append(out, e.Extension)
		d.field(e.field, clip(hex.EncodeToString(e.Value)), source, "")
	}
	return d.addSecurityID(out)
}

// addSecurityID states the Windows security identifier of the holder, which
// only a directory knows: never on a request's word (field lesson of ESC and
// of forged SID extensions; KB5014754).
func (d *deciding) addSecurityID(out []pkix.Extension) ([]pkix.Extension, error) {
	p := d.profile
	if p.sid == "omit" {
		return out, nil
	}
	at := slices.IndexFunc(d.request.Claims, func(c claim.Claim) bool { return c.Kind() == claim.SID && c.Method() == claim.DirectoryEntry })
	switch {
	case at < 0 && p.sid == "require":
		return nil, p.denied("extension.ms_sid", "ms_sid", "no directory says which security identifier the holder has")
	case at < 0:
		return out, nil
	}
	e, err := pkix.MarshalSecurityID(d.request.Claims[at].Text())
	if err != nil {
		return nil, ca.InternalError(err)
	}
	d.field("extension."+ExtensionName(e.ID), clip(hex.EncodeToString(e.Value)), d.request.Claims[at].Source(), d.request.Claims[at].Text())
	return append(out, e), nil
}

func (p *Profile) compilePolicies(w *Written, problems *problemList) {
	var policies []pkix.Policy
	for i, text := range w.Policies {
		path := []string{"policies", strconv.Itoa(i)}
		oid, ok := pkix.ParseOID(text)
		switch {
		case !ok:
			problems.add(path, "%q is not a dotted OID", clip(text))
		case slices.ContainsFunc(policies, func(p pkix.Policy) bool { return p.ID.Equal(oid) }):
			problems.add(path, "%q is listed twice (RFC 5280 section 4.2.1.4)", clip(text))
		default:
			policies = append(policies, pkix.Policy{ID: oid})
		}
	}
	var notes []string
	for i, q := range w.PolicyQualifiers {
		path := []string{"policy_qualifiers", strconv.Itoa(i)}
		id, _ := pkix.ParseOID(q.Policy)
		at := slices.IndexFunc(policies, func(p pkix.Policy) bool { return p.ID.Equal(id) })
		switch u, err := url.Parse(q.CPS); {
		case at < 0:
			problems.add(append(path, "policy"), "%s is not one of policies", quoted(q.Policy))
			continue
		case q.CPS == "" && q.Notice == "":
			problems.add(path, "one of cps and notice is wanted")
		case q.CPS != "" && (err != nil || u.Scheme == "" || claim.CheckURI(q.CPS) != nil):
			problems.add(append(path, "cps"), "%s is not an absolute URI in ASCII", quoted(q.CPS))
		case utf8.RuneCountInString(q.Notice) > 200 || clip(q.Notice) != q.Notice && len(q.Notice) <= 120:
			problems.add(append(path, "notice"), "a notice has at most 200 characters and no control characters (RFC 5280 section 4.2.1.4)")
		}
		if q.CPS != "" {
			policies[at].CPS = append(policies[at].CPS, q.CPS)
			notes = append(notes, q.Policy+" with CPS "+q.CPS)
		}
		if q.Notice != "" {
			policies[at].Notice = append(policies[at].Notice, q.Notice)
			notes = append(notes, q.Policy+" with a user notice")
		}
	}
	if len(policies) == 0 {
		return
	}
	extension, err := pkix.MarshalPolicies(policies)
	if err != nil {
		problems.add([]string{"policies"}, "%v", err)
	}
	p.policies, p.policyText, p.policyNote = &extension, strings.Join(w.Policies, " "), strings.Join(notes, "; ")
}

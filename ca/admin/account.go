package admin

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
)

// Account holds a certificate against the decision that shaped it. The lines
// are the recorded fields, after those that the issuer alone sets; unexplained
// names every part of the certificate that no line accounts for with the very
// value that is in it. It is empty for whatever went through the Authority.
func Account(cert *pkix.Certificate, fields []ca.Field) (lines []ca.Field, unexplained []string) {
	lines = append([]ca.Field{
		{Name: "version", Value: "3", Source: "RFC 5280 section 4.1.2.1"},
		{Name: "serial", Value: hex.EncodeToString(cert.Serial), Source: "issuer", Note: "month of expiry, then 14 random octets"},
		{Name: "signature", Value: cert.Algorithm.Name, Source: "issuer"},
		{Name: "issuer", Value: cert.Issuer.String(), Source: "issuer"},
	}, fields...)
	a := account{fields: fields}
	a.want("key", cert.Key.Algorithm(), "key")
	a.want("validity.not_before", stamp(cert.NotBefore), "validity.not_before")
	a.want("validity.not_after", stamp(cert.NotAfter), "validity.not_after")
	a.subject(cert.Subject)
	for _, e := range cert.Extensions {
		a.extension(e)
	}
	return lines, a.missing
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// account looks fields up.
type account struct {
	fields  []ca.Field
	missing []string
}

// find gives the lines of a name about something that is in the certificate:
// not what was merely asked for and left out.
func (a *account) find(names ...string) (found []ca.Field) {
	for _, f := range a.fields {
		if f.Source != "asserted" && !f.Denied && slices.Contains(names, f.Name) {
			found = append(found, f)
		}
	}
	return found
}

// want notes a part that no line of these names has with this value.
func (a *account) want(part, value string, names ...string) {
	for _, f := range a.find(names...) {
		if same(f.Value, value) {
			return
		}
	}
	a.missing = append(a.missing, part+" "+value)
}

// same compares a recorded value with the certificate's; the record cuts long ones.
func same(recorded, value string) bool {
	start, cut := strings.CutSuffix(recorded, "...")
	return recorded == value || cut && strings.HasPrefix(value, start)
}

// subject accounts for each attribute, or for the whole name where a profile
// writes it as a constant.
func (a *account) subject(name pkix.RawName) {
	if slices.ContainsFunc(a.find("subject"), func(f ca.Field) bool { return same(f.Value, name.String()) }) {
		return
	}
	rdns, err := pkix.ParseName(name)
	if err != nil || len(rdns) == 0 {
		a.missing = append(a.missing, "subject "+name.String())
	}
	for _, rdn := range rdns {
		for _, attribute := range rdn {
			text, _ := attribute.Text()
			part := "subject." + pkix.AttributeName(attribute.Type)
			a.want(part, text, part)
		}
	}
}

// extension accounts for one extension by what is in it.
func (a *account) extension(e pkix.Extension) {
	name := profile.ExtensionName(e.ID)
	values, read := contents[e.ID.String()]
	if !read {
		text := hex.EncodeToString(e.Value)
		a.want("extension "+name, text, "extension."+name, "extension."+e.ID.String())
		return
	}
	parts, err := values(a, e.Value)
	if err != nil {
		a.missing = append(a.missing, fmt.Sprintf("extension %s (%v)", name, err))
	}
	for _, p := range parts {
		a.want(p[0], p[1], p[0])
	}
}

// contents reads the extensions that a profile makes, as pairs of field and
// value. What is in none of them comes from a request, as one value.
var contents = map[string]func(a *account, value []byte) ([][2]string, error){
	pkix.OIDBasicConstraints.String(): func(_ *account, value []byte) ([][2]string, error) {
		isCA, bound, err := pkix.ParseBasicConstraints(value)
		text := fmt.Sprintf("cA %t", isCA)
		if isCA && bound >= 0 {
			text += fmt.Sprintf(", path length %d", bound)
		}
		return [][2]string{{"basic_constraints", text}}, err
	},
	pkix.OIDKeyUsage.String(): func(_ *account, value []byte) ([][2]string, error) {
		bits, err := pkix.ParseKeyUsageValue(value)
		return [][2]string{{"key_usage", strings.Join(bits.Names(), " ")}}, err
	},
	pkix.OIDExtKeyUsage.String(): func(_ *account, value []byte) ([][2]string, error) {
		usages, err := pkix.ParseExtKeyUsage(value)
		return [][2]string{{"ext_key_usage", profile.PrintUsages(usages)}}, err
	},
	pkix.OIDSubjectKeyID.String(): func(_ *account, value []byte) ([][2]string, error) {
		return [][2]string{{"subject_key_id", hex.EncodeToString(after(value, 2))}}, nil
	},
	pkix.OIDAuthorityKeyID.String(): func(_ *account, value []byte) ([][2]string, error) {
		return [][2]string{{"authority_key_id", hex.EncodeToString(after(value, 4))}}, nil
	},
	pkix.OIDSubjectAltName.String(): func(_ *account, value []byte) (parts [][2]string, err error) {
		names, err := pkix.ParseGeneralNames(value)
		for _, n := range names {
			parts = append(parts, [2]string{profile.NameField(n), n.String()})
		}
		return parts, err
	},
	pkix.OIDAuthorityInfoAccess.String(): func(a *account, value []byte) ([][2]string, error) {
		return nil, a.urls(value, "urls.aia", "urls.ocsp")
	},
	pkix.OIDCRLDistPoints.String(): func(a *account, value []byte) ([][2]string, error) {
		return nil, a.urls(value, "urls.crl")
	},
	pkix.OIDCertificatePolicies.String(): func(a *account, value []byte) ([][2]string, error) {
		if len(a.find("policies")) == 0 { // taken from the request
			return [][2]string{{"extension.certificatePolicies", hex.EncodeToString(value)}}, nil
		}
		var policies []pkix.OID
		for _, f := range a.find("policies") {
			for text := range strings.FieldsSeq(f.Value) {
				if oid, ok := pkix.ParseOID(text); ok {
					policies = append(policies, oid)
				}
			}
		}
		made, err := pkix.MarshalCertificatePolicies(policies)
		if err == nil && !bytes.Equal(made.Value, value) {
			err = fmt.Errorf("the record has other policies")
		}
		return nil, err
	},
	pkix.OIDOCSPNoCheck.String(): func(*account, []byte) ([][2]string, error) {
		return [][2]string{{"ocsp_no_check", "true"}}, nil
	},
	pkix.OIDNoRevAvail.String(): func(*account, []byte) ([][2]string, error) {
		return [][2]string{{"no_rev_avail", "true"}}, nil
	},
}

// urls holds the URLs in an extension against the record: encoding the recorded
// ones again must give the same octets.
func (a *account) urls(value []byte, names ...string) error {
	lists := make([][]string, len(names))
	for i, name := range names {
		for _, f := range a.find(name) {
			lists[i] = append(lists[i], strings.Fields(f.Value)...)
		}
	}
	var made pkix.Extension
	var err error
	if len(names) == 2 {
		made, err = pkix.MarshalAuthorityInfoAccess(lists[1], lists[0])
	} else {
		made, err = pkix.MarshalCRLDistributionPoints(lists[0])
	}
	if err == nil && !bytes.Equal(made.Value, value) {
		err = fmt.Errorf("the record has other URLs")
	}
	return err
}

// after skips the headers of a short value.
func after(value []byte, n int) []byte { return value[min(n, len(value)):] }

package profile

import (
	"bytes"
	"crypto/sha256"

	"go.yaml.in/yaml/v3"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/lint/ruleset"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Profile is a validated profile. It is immutable and safe for concurrent use.
type Profile struct {
	id, kind    string
	written     Written // with defaults filled in
	text        []byte
	hash        [32]byte
	source      sources
	keys        keyRule
	keyUsage    [families]keyUsage
	extKeyUsage extKeyUsage
	validity    validity
	subject     subjectRule
	cnFromDNS   bool
	copyCN      bool
	names       [nameTypes]*nameRule
	others      []*nameRule
	rules       []*nameRule // all of them
	assertedBy  []caller.Door
	requestable []requestedExtension
	policies    *pkix.Extension
	policyText  string
	policyNote  string
	own         []ownExtension
	sid         string // omit, include, require
	life        life
	unique      []uniqueRule
	serverKeys  []string
	extra       []extraRule
	constraints pkix.Extension

	constraintText string
	aia, crl, ocsp bool
	noRevocation   bool
	lint           ruleset.Policy
}

// sources are the record's source texts, made once.
type sources struct {
	keys, keyUsage, extKeyUsage, kind, policies, validity, notBefore, requested, subject, template, copyCN, requestExtensions, exactStart, exactEnd, revocation string
}

func sourcesOf(id string) sources {
	p := "profile " + id + " "
	return sources{keys: p + "keys", keyUsage: p + "key_usage", extKeyUsage: p + "ext_key_usage", kind: p + "kind",
		policies: p + "policies", validity: p + "validity.default", notBefore: p + "validity.backdate",
		requested: "asserted, granted by " + p + "validity.requested", subject: p + "subject", template: p + "subject.template",
		copyCN: p + "copy_cn_to_dns", requestExtensions: "asserted, granted by " + p + "request_extensions",
		exactStart: p + "validity.not_before", exactEnd: p + "validity.not_after", revocation: p + "revocation"}
}

// ID is the profile's id.
func (p *Profile) ID() string { return p.id }

// Title says in a few words what the profile is for.
func (p *Profile) Title() string { return p.written.Title }

// Kind is end-entity, ca, responder or ra.
func (p *Profile) Kind() string { return p.kind }

// Lint says what becomes of what lint finds.
func (p *Profile) Lint() ruleset.Policy { return p.lint }

// Written is the profile as it was written, flat and with every default filled
// in. The caller may change what it gets.
func (p *Profile) Written() Written { return deepCopy(p.written) }

// Text is the canonical text: the written profile as YAML with every default
// filled in, the same bytes for the same rules. The store keeps it by Hash.
func (p *Profile) Text() []byte { return bytes.Clone(p.text) }

// Hash is SHA-256 over Text.
func (p *Profile) Hash() [32]byte { return p.hash }

// seal makes the canonical text and its hash.
func (p *Profile) seal() error {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(p.written); err != nil {
		return err
	}
	if err := encoder.Close(); err != nil {
		return err
	}
	p.text, p.hash = b.Bytes(), sha256.Sum256(b.Bytes())
	return p.placeRules()
}

// denied makes the refusal of one rule.
func (p *Profile) denied(field, rule, format string, args ...any) error {
	err := ca.Errorf(ca.Denied, format, args...)
	err.Field, err.Rule = field, "profile "+p.id+" "+rule
	return err
}

// HasRules tells whether the profile has conditions of its own, which may look
// at everything that a request is.
func (p *Profile) HasRules() bool { return len(p.extra) > 0 }

// URLs tells which addresses certificates name where the issuer has them.
func (p *Profile) URLs() (aia, crl, ocsp bool) {
	return p.aia, p.crl, p.ocsp && p.kind != KindResponder
}

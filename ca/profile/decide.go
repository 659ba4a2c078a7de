package profile

import (
	"errors"
	"slices"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// deciding is one decision in the making.
type deciding struct {
	profile *Profile
	request *ca.Request
	facts   *ca.Facts
	now     time.Time
	out     ca.Decision
	trial   *Trial // nil: a decision that counts

	assertedRDNs []pkix.RDN
	assertedCNs  []string
	cn           string // of the subject, where that is a CN and nothing else
	emptyNote    string
}

func (d *deciding) field(name, value, source, note string) {
	d.out.Fields = append(d.out.Fields, ca.Field{Name: name, Value: value, Source: source, Note: note})
}

// Decide says what certificate a request gets from an issuer at a time. Errors:
// Denied with Field and Rule, BadProof without possession, BadRequest for an
// asserted subject that does not parse.
func (p *Profile) Decide(r *ca.Request, f *ca.Facts, now time.Time) (*ca.Decision, error) {
	d := &deciding{profile: p, request: r, facts: f, now: now}
	for i := range steps {
		if err := steps[i].run(d); err != nil {
			return nil, err
		}
	}
	return &d.out, nil
}

// steps make a decision, in this order; each is named after the keys that it
// goes by.
var steps = [...]struct {
	name string
	run  func(*deciding) error
}{
	{"request", (*deciding).begin},
	{"keys", (*deciding).decideKey},
	{"subject_alt_name", (*deciding).decideNames},
	{"subject", (*deciding).decideSubject},
	{"subject_alt_name min and max, copy_cn_to_dns", (*deciding).finishNames},
	{"validity", (*deciding).decideValidity},
	{"key_usage, ext_key_usage and extensions", (*deciding).decideExtensions},
	{"approval, renewal and unique", (*deciding).decideLife},
	{"rules", (*deciding).holdRules},
}

// begin reads the request.
func (d *deciding) begin() error {
	r := d.request
	if !r.Possession.Verified() {
		return ca.Errorf(ca.BadProof, "possession of the private key was not shown")
	}
	for _, c := range r.Claims {
		if !c.Verified() {
			return ca.InternalError(errors.New("a claim without evidence reached a profile"))
		}
	}
	d.out.Profile, d.out.ProfileHash = d.profile.id, d.profile.hash
	d.out.Fields = make([]ca.Field, 0, 12+len(r.Claims)+len(r.Asserted.Extensions))
	if !r.Asserted.Subject.Empty() {
		rdns, err := pkix.ParseName(r.Asserted.Subject)
		if err != nil {
			return ca.Wrap(ca.BadRequest, err, "the subject of the request is malformed")
		}
		d.assertedRDNs, d.assertedCNs = rdns, pkix.CommonNames(rdns)
	}
	return nil
}

func (d *deciding) decideKey() error {
	p, key := d.profile, d.request.Possession.Key()
	if !p.keys.allows(key) {
		return p.denied("key", "keys", "keys of type %s are not issued to under this profile", key.Algorithm())
	}
	if d.request.Operation == ca.KeyGen && !slices.Contains(p.serverKeys, key.Algorithm()) {
		return p.denied("key", "server_keys", "keys of type %s are not made for holders under this profile", key.Algorithm())
	}
	if f, ok := familyOf(key); !ok || !p.keyUsage[f].usable {
		return p.denied("key", "key_usage", "the key usages of this profile cannot be given to a key of type %s", key.Algorithm())
	}
	d.field("key", key.Algorithm(), p.source.keys, "possession shown by "+d.request.Possession.Method())
	return nil
}

// finishNames completes the names once the subject is known.
func (d *deciding) finishNames() error {
	if d.profile.copyCN {
		if err := d.copyCNs(); err != nil {
			return err
		}
	}
	if err := d.profile.countNames(d.out.AltNames, true); err != nil {
		return err
	}
	if d.out.Subject.Empty() && len(d.out.AltNames) == 0 {
		return d.profile.denied("subject", "subject", "the certificate would name nobody")
	}
	return nil
}

package profile

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// Issued is an issuance as the records keep it: enough to tell, for most
// requests, what was asked and proven.
type Issued struct {
	Certificate *pkix.Certificate
	Fields      []ca.Field // of the decision
	ProfileHash [32]byte
	Operation   ca.Operation
	At          time.Time
	Door        caller.Door
	Caller      string
	Endpoint    string
	Tenant      string
	Methods     []caller.Method // empty: those that the door's callers have
}

// Replayer decides recorded requests again, under two profiles.
type Replayer struct {
	Old, New *Profile
	Claims   claim.OfflineVerifier
	Keys     claim.Verifier // of the system: the keys' holders are not here
}

// What became of a replayed request.
const (
	ReplayUnchanged     = "unchanged"
	ReplayChanged       = "changed"
	ReplayNewlyRefused  = "newly refused"
	ReplayNewlyAccepted = "newly accepted"
	ReplayRefused       = "refused by both"
	ReplayNone          = "not replayed"
)

// Replayed is how one request went.
type Replayed struct {
	Verdict string
	Why     string       // of a request that was not replayed
	Refusal *ca.Error    // the new profile's, or the old one's where that alone refuses
	Changes []Difference // of a changed certificate
}

// Replay decides a recorded request under both profiles for an issuer. What
// the record does not hold, and the result would depend on, makes it
// ReplayNone; so does a request that the very profile it was issued under
// decides otherwise now.
func (r *Replayer) Replay(in *Issued, issuer *ca.Facts) *Replayed {
	if r.New.usesFacts() && r.New.hash != r.Old.hash {
		return &Replayed{Verdict: ReplayNone, Why: "the new profile writes claims that are no names, and the record holds only those that were used"}
	}
	t, why := r.request(in, issuer)
	if why != "" {
		return &Replayed{Verdict: ReplayNone, Why: why}
	}
	out, why := r.judge(in, t)
	if why != "" {
		out = &Replayed{Verdict: ReplayNone, Why: why}
	}
	if !onlyProven(in.Fields) {
		return out
	}
	t.Request.Asserted.AltNames = nil // a request that names nothing gets all that was proven, too
	other, whyNot := r.judge(in, t)
	switch {
	case whyNot != "", why == "" && out.Verdict == other.Verdict && slices.Equal(out.Changes, other.Changes):
		return out
	case why != "":
		return other
	}
	return &Replayed{Verdict: ReplayNone, Why: "the record does not tell whether the request named what was proven, on which it depends"}
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

// judge decides a trial under both profiles; why is not empty where the
// certificate shows that the request was another one.
func (r *Replayer) judge(in *Issued, t *Trial) (out *Replayed, why string) {
	was, is := r.Old.Try(t, in.At), r.New.Try(t, in.At)
	if in.ProfileHash == r.Old.hash {
		if why := unlike(was, in.Certificate); why != "" {
			return nil, why
		}
	}
	switch {
	case was.Err != nil && is.Err != nil:
		return &Replayed{Verdict: ReplayRefused, Refusal: ca.AsError(is.Err)}, ""
	case is.Err != nil:
		return &Replayed{Verdict: ReplayNewlyRefused, Refusal: ca.AsError(is.Err)}, ""
	case was.Err != nil:
		return &Replayed{Verdict: ReplayNewlyAccepted, Refusal: ca.AsError(was.Err)}, ""
	}
	if changes := Differences(was.Decision, is.Decision); len(changes) > 0 {
		return &Replayed{Verdict: ReplayChanged, Changes: changes}, ""
	}
	return &Replayed{Verdict: ReplayUnchanged}, ""
}

// usesFacts tells whether the profile writes claims that are no names.
func (p *Profile) usesFacts() bool {
	of := func(parts []part) bool {
		return slices.ContainsFunc(parts, func(p part) bool { return p.kind == fact })
	}
	for _, rdn := range p.subject.template {
		if slices.ContainsFunc(rdn, func(a attributeProgram) bool { return of(a.parts) }) {
			return true
		}
	}
	return p.sid != "omit" || slices.ContainsFunc(p.own, func(e ownExtension) bool { return of(e.parts) })
}

// clockSlack is how far the recorded time of an issuance may lie behind that of
// its decision: what waited for a signature and a commit.
const clockSlack = 10 * time.Minute

// unlike says where a decision differs from the certificate that it must have
// made; "" for nowhere.
func unlike(a *Attempt, c *pkix.Certificate) string {
	const why = "deciding it again under the same profile gives another %s: the record does not hold all that the request said"
	d := a.Decision
	switch {
	case a.Err != nil:
		return "the same profile refuses it now (" + ca.AsError(a.Err).Public + "): the record does not hold all that the request said"
	case !bytes.Equal(subjectOf(d), subjectOf(&ca.Decision{Subject: c.Subject})):
		return fmt.Sprintf(why, "subject")
	case far(d.NotBefore, c.NotBefore) || far(d.NotAfter, c.NotAfter):
		return fmt.Sprintf(why, "validity")
	case len(d.Extensions) != len(c.Extensions):
		return fmt.Sprintf(why, "number of extensions")
	}
	for _, e := range c.Extensions {
		now, there := pkix.FindExtension(d.Extensions, e.ID)
		if !there || now.Critical != e.Critical || !bytes.Equal(now.Value, e.Value) {
			return fmt.Sprintf(why, ExtensionName(e.ID))
		}
	}
	return ""
}

func far(a, b time.Time) bool { return a.Sub(b).Abs() > clockSlack }

// request makes the trial of a record; why is not empty where it cannot.
func (r *Replayer) request(in *Issued, issuer *ca.Facts) (t *Trial, why string) {
	possession, err := claim.OwnKey(r.Keys, in.Certificate.Key)
	if err != nil {
		return nil, err.Error()
	}
	t = &Trial{Request: &ca.Request{Operation: in.Operation, Possession: possession}, Issuer: issuer, Door: in.Door, Caller: in.Caller,
		Endpoint: in.Endpoint, Tenant: in.Tenant, Methods: in.Methods, Possession: "csr-signature"}
	if len(t.Methods) == 0 {
		for m, door := range caller.Methods() {
			if door == in.Door {
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
		if !about || f.Value == "" {
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
			if why != "" && r.New.couldGrant(attribute) {
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

// couldGrant tells whether a request could set an attribute.
func (p *Profile) couldGrant(attribute string) bool {
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

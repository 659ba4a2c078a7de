package profile

import (
	"bytes"
	"fmt"
	"slices"
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
// decides otherwise now. One thing is approximate: a name or an attribute of the
// subject that was left out then and is issued now may stand at another place,
// for the record has no place for what was left out.
func (r *Replayer) Replay(in *Issued, issuer *ca.Facts) *Replayed {
	if r.New.usesFacts() && r.New.hash != r.Old.hash {
		return &Replayed{Verdict: ReplayNone, Why: "the new profile writes claims that are no names, and the record holds only those that were used"}
	}
	t, why := r.request(in, issuer)
	if why != "" {
		return &Replayed{Verdict: ReplayNone, Why: why}
	}
	var out *Replayed
	for _, asserted := range couldHaveAsked(in.Fields, t.Request.Asserted) {
		t.Request.Asserted = asserted
		one, not := r.judge(in, t)
		switch {
		case not != "":
			why = not
		case out != nil && (out.Verdict != one.Verdict || !slices.Equal(out.Changes, one.Changes)):
			return &Replayed{Verdict: ReplayNone, Why: "the record does not tell which of the names the request itself gave, on which it depends"}
		default:
			out = one
		}
	}
	if out == nil {
		return &Replayed{Verdict: ReplayNone, Why: why}
	}
	return out
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

package profile

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// life is what the profile says of a certificate before and after its issuance.
type life struct {
	manual           bool
	window           Period
	share            int // percent of the validity that is left; 0: window counts
	grace, overlap   Period
	revokeSuperseded bool
	renewable        bool // something about renewal was written
	source           string
}

const mostGrace = 90 * 24 * time.Hour

func (p *Profile) compileLife(w *Written, problems *problemList) {
	w.Approval = oneOf(w.Approval, []string{"approval"}, []string{"auto", "manual"}, problems)
	p.life = life{manual: w.Approval == "manual", revokeSuperseded: w.Renewal.RevokeSuperseded, source: "profile " + p.id + " renewal",
		renewable: w.Renewal != WrittenRenewal{}}
	reference := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	read := func(key, text string) (period Period) {
		if text == "" {
			return Period{}
		}
		period, err := ParsePeriod(text)
		if err != nil {
			problems.add([]string{"renewal", key}, "%v", err)
		}
		return period
	}
	if digits, percent := strings.CutSuffix(w.Renewal.Window, "%"); percent {
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > 99 {
			problems.add([]string{"renewal", "window"}, "a share of the validity is a whole number from 1%% to 99%%")
		}
		p.life.share = n
	} else {
		p.life.window = read("window", w.Renewal.Window)
	}
	p.life.grace, p.life.overlap = read("grace", w.Renewal.Grace), read("overlap", w.Renewal.Overlap)
	standard := p.validity.standard
	switch {
	case p.life.grace.From(reference).Sub(reference) > mostGrace:
		problems.add([]string{"renewal", "grace"}, "grace is longer than P90D; who lost sight of a certificate for so long enrolls again")
	case !p.life.window.IsZero() && !standard.period.IsZero() && !p.life.window.From(reference).Before(standard.period.From(reference)):
		problems.add([]string{"renewal", "window"}, "the window is as long as the validity: certificates would be renewed again and again")
	case !p.life.overlap.IsZero() && !w.Renewal.RevokeSuperseded:
		problems.add([]string{"renewal", "overlap"}, "overlap means something only where revoke_superseded is true")
	case p.life.renewable && p.kind != KindEndEntity:
		problems.add([]string{"renewal"}, "only profiles of kind end-entity say how they are renewed")
	}
	for _, u := range []struct{ what, scope string }{{ca.UniqueSubject, w.Unique.Subject}, {ca.UniqueSAN, w.Unique.SAN}, {ca.UniqueKey, w.Unique.Key}} {
		if u.scope != "" {
			scope := oneOf(u.scope, []string{"unique", u.what}, []string{ca.WithinProfile, ca.WithinCA, ca.WithinTenant}, problems)
			p.unique = append(p.unique, uniqueRule{u.what, scope})
		}
	}
	for i, finding := range w.Acknowledge {
		switch path := []string{"acknowledge", strconv.Itoa(i)}; {
		case !slices.Contains(reviewNames(), finding):
			problems.choose(path, reviewNames(), "%q is not a finding of `profile lint`", clip(finding))
		case slices.Contains(w.Acknowledge[:i], finding):
			problems.add(path, "%q is listed twice", clip(finding))
		}
	}
}

func (p *Profile) compileServerKeys(w []string, problems *problemList) {
	for i, text := range w {
		path := []string{"server_keys", strconv.Itoa(i)}
		bits, least, rsa := rsaForm(text)
		made := slices.Contains(keyForms[:4], text) || rsa && !least && slices.Contains([]int{2048, 3072, 4096}, bits)
		switch {
		case !made:
			problems.choose(path, append(slices.Clone(keyForms[:4]), "rsa-2048", "rsa-3072", "rsa-4096"), "%q is not a key that is made here", clip(text))
		case slices.Contains(w[:i], text):
			problems.add(path, "%q is listed twice", clip(text))
		case !slices.Contains(p.keys.exact, text) && !(rsa && p.keys.rsaMin > 0 && bits >= p.keys.rsaMin):
			problems.add(path, "%s is not one of keys: it would be made and then refused", quoted(text))
		}
	}
	if len(w) > 0 && p.kind != KindEndEntity {
		problems.add([]string{"server_keys"}, "keys are made for profiles of kind end-entity alone")
	}
	p.serverKeys = w
}

// Manual tells whether requests wait for an operator.
func (p *Profile) Manual() bool { return p.life.manual }

// ServerKeys lists the keys that may be made for the holder; empty: none.
func (p *Profile) ServerKeys() []string { return slices.Clone(p.serverKeys) }

// Acknowledged lists the lint findings that the profile keeps on purpose.
func (p *Profile) Acknowledged() []string { return slices.Clone(p.written.Acknowledge) }

// Renewal says how a certificate of these dates is renewed under the profile.
func (p *Profile) Renewal(notBefore, notAfter time.Time) ca.RenewalTerms {
	l := &p.life
	t := ca.RenewalTerms{From: notBefore, Until: l.grace.From(notAfter), RevokeSuperseded: l.revokeSuperseded}
	if t.Until.After(pkix.NoExpiry) {
		t.Until = pkix.NoExpiry
	}
	if !l.overlap.IsZero() {
		t.Overlap = l.overlap.From(notAfter).Sub(notAfter)
	}
	switch {
	case l.share > 0:
		t.From = notAfter.Add(-notAfter.Sub(notBefore) / 100 * time.Duration(l.share)).Truncate(time.Second)
	case !l.window.IsZero():
		t.From = notAfter.AddDate(-l.window.Years, -l.window.Months, -l.window.Days).Add(-l.window.Clock)
	}
	if t.From.Before(notBefore) {
		t.From = notBefore
	}
	return t
}

// uniqueRule is one thing that only one valid certificate may have.
type uniqueRule struct{ what, scope string }

// decideLife states approval, renewal and uniqueness.
func (d *deciding) decideLife() error {
	p := d.profile
	d.out.Manual = p.life.manual
	if p.life.manual {
		d.field("approval", "manual", "profile "+p.id+" approval", "")
	}
	if p.life.renewable {
		d.out.Renewal = p.Renewal(d.out.NotBefore, d.out.NotAfter)
		d.field("renewal", d.out.Renewal.From.Format(time.RFC3339)+" to "+d.out.Renewal.Until.Format(time.RFC3339), p.life.source, "")
	}
	for _, u := range p.unique {
		d.out.Unique = append(d.out.Unique, d.uniqueValues(u)...)
		d.field("unique."+u.what, u.scope, "profile "+p.id+" unique."+u.what, "")
	}
	return nil
}

func (d *deciding) uniqueValues(u uniqueRule) (all []ca.Unique) {
	within := map[string]string{ca.WithinProfile: d.facts.CA + "\x00" + d.profile.id, ca.WithinCA: d.facts.CA}[u.scope]
	add := func(value string) {
		all = append(all, ca.Unique{What: u.what, Scope: u.scope,
			Value: sha256.Sum256([]byte(strings.Join([]string{"unique", d.facts.Tenant, u.what, u.scope, within, value}, "\x00")))})
	}
	switch u.what {
	case ca.UniqueSubject:
		if !d.out.Subject.Empty() {
			add(comparableName(d.out.Subject))
		}
	case ca.UniqueSAN:
		for _, n := range d.out.AltNames {
			add(n.Key())
		}
	default:
		hash := d.request.Possession.Key().Hash()
		add(string(hash[:]))
	}
	return all
}

// comparableName gives a name in a form in which equal names are equal: texts
// without regard to string type, case and runs of space (RFC 5280 section
// 7.1), attributes of an RDN in order.
func comparableName(name pkix.RawName) string {
	rdns, err := pkix.ParseName(name)
	if err != nil {
		return string(name)
	}
	var b strings.Builder
	for _, rdn := range rdns {
		var parts []string
		for _, a := range rdn {
			text, ok := a.Text()
			if text = strings.Join(strings.Fields(strings.ToLower(text)), " "); !ok {
				text = "#" + hex.EncodeToString(a.Value)
			}
			parts = append(parts, a.Type.String()+"\x02"+text)
		}
		slices.Sort(parts)
		b.WriteString(strings.Join(parts, "\x01") + "\x00")
	}
	return b.String()
}

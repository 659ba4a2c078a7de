package profile

import (
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// issuerExpiry is the lifetime that ends with the issuer.
const issuerExpiry = "issuing-ca-expiry"

// forever is the lifetime without a well-defined end (RFC 5280 section 4.1.2.5).
const forever = "forever"

// lifetime is a period, "until the issuer expires" or "forever".
type lifetime struct {
	period     Period
	withIssuer bool
	forever    bool
}

// end gives the last second of a certificate that starts at notBefore. RFC
// 5280 section 4.1.2.5 counts notBefore and notAfter themselves, so one second
// comes off: P90D is 90 days and not 90 days and a second.
func (l lifetime) end(notBefore time.Time, f *ca.Facts) time.Time {
	switch {
	case l.forever:
		return pkix.NoExpiry
	case l.withIssuer:
		return f.NotAfter
	}
	end := l.period.From(notBefore).Add(-time.Second)
	if end.Year() > 9999 {
		return pkix.NoExpiry
	}
	return end
}

type validity struct {
	standard     lifetime
	maximum      lifetime
	backdate     time.Duration
	requested    string    // ignore, shorten, within
	beyondIssuer string    // cut, refuse, allow
	start, end   time.Time // exact dates; zero: none
}

func compileValidity(w *WrittenValidity, problems *problemList) (v validity) {
	v.start = compileDate(w.NotBefore, "not_before", problems)
	v.end = compileDate(w.NotAfter, "not_after", problems)
	switch {
	case w.Default == "" && w.NotAfter == "":
		problems.choose([]string{"validity", "default"}, []string{"an ISO 8601 duration such as P1Y", issuerExpiry, forever}, "default is missing: nothing says how long certificates live")
		return v
	case w.NotAfter != "" && w.Default+w.Maximum != "":
		problems.add([]string{"validity", "not_after"}, "an exact date excludes default and maximum")
	case !v.end.IsZero() && !v.end.After(v.start):
		problems.add([]string{"validity", "not_after"}, "not_after is not later than not_before")
	case w.NotAfter != "":
		v.standard = lifetime{forever: true} // v.end counts
	default:
		v.standard = compileLifetime(w.Default, []string{"validity", "default"}, problems)
	}
	if w.Maximum == "" {
		w.Maximum = w.Default
	}
	v.maximum = v.standard
	if w.Maximum != "" {
		v.maximum = compileLifetime(w.Maximum, []string{"validity", "maximum"}, problems)
	}
	reference := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	switch bounded := !v.maximum.withIssuer && !v.maximum.forever; {
	case bounded && (v.standard.withIssuer || v.standard.forever || v.standard.period.From(reference).After(v.maximum.period.From(reference))):
		problems.add([]string{"validity", "maximum"}, "maximum is shorter than default")
	case v.standard.forever && v.maximum.withIssuer:
		problems.add([]string{"validity", "maximum"}, "maximum is shorter than default")
	}
	if w.Backdate == "" {
		w.Backdate = "PT1M"
	}
	backdate, err := ParsePeriod(w.Backdate)
	if err != nil {
		problems.add([]string{"validity", "backdate"}, "%v", err)
	}
	if v.backdate = backdate.From(reference).Sub(reference); v.backdate > 48*time.Hour {
		problems.add([]string{"validity", "backdate"}, "backdate is longer than two days; signatures made before issuance would look valid")
	}
	w.Requested = oneOf(w.Requested, []string{"validity", "requested"}, []string{"ignore", "shorten", "within"}, problems)
	w.BeyondIssuer = oneOf(w.BeyondIssuer, []string{"validity", "beyond_issuer"}, []string{"cut", "refuse", "allow"}, problems)
	v.requested, v.beyondIssuer = w.Requested, w.BeyondIssuer
	switch exact := w.NotBefore+w.NotAfter != ""; {
	case exact && w.Requested != "ignore":
		problems.add([]string{"validity", "requested"}, "exact dates leave a request nothing to choose; write ignore")
	case (v.maximum.forever && w.NotAfter == "" || v.end.Equal(pkix.NoExpiry)) && w.BeyondIssuer != "allow":
		problems.add([]string{"validity", "beyond_issuer"}, "a certificate without an end outlives its issuer; write beyond_issuer: allow to mean it (IEEE 802.1AR-2018 section 8.7)")
	}
	return v
}

func compileDate(text, key string, problems *problemList) time.Time {
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Nanosecond() != 0 || at.UTC().Year() < 1950 || at.UTC().Year() > 9999 {
		problems.add([]string{"validity", key}, "%s is not a date and time to the second such as 2030-01-31T00:00:00Z (RFC 3339)", quoted(text))
		return time.Time{}
	}
	return at.UTC()
}

func compileLifetime(text string, path []string, problems *problemList) lifetime {
	switch text {
	case issuerExpiry:
		return lifetime{withIssuer: true}
	case forever:
		return lifetime{forever: true}
	}
	period, err := ParsePeriod(text)
	switch {
	case err != nil:
		problems.choose(path, []string{"an ISO 8601 duration such as P1Y", issuerExpiry, forever}, "%v", err)
	case period.IsZero():
		problems.add(path, "a certificate cannot live for no time")
	}
	return lifetime{period: period}
}

// decideValidity sets notBefore and notAfter.
func (d *deciding) decideValidity() error {
	p, f := d.profile, d.facts
	v := &p.validity
	start := d.now.Add(-v.backdate).UTC().Truncate(time.Second)
	startSource, endSource := p.source.notBefore, p.source.validity
	if !v.start.IsZero() {
		start, startSource = v.start, p.source.exactStart
	}
	if start.Before(f.NotBefore) {
		start, startSource = f.NotBefore.UTC(), "issuer"
	}
	end := v.standard.end(start, f)
	if !v.end.IsZero() {
		end, endSource = v.end, p.source.exactEnd
	}
	askedStart, askedEnd := d.request.Asserted.NotBefore.UTC().Truncate(time.Second), d.request.Asserted.NotAfter.UTC().Truncate(time.Second)
	var startNote, endNote string
	switch asked := !askedStart.IsZero() || !askedEnd.IsZero(); {
	case asked && v.requested == "ignore":
		endNote = noteDatesUnused
	case asked && v.requested == "shorten":
		if askedStart.After(start) {
			start, startSource = askedStart, p.source.requested
		} else if !askedStart.IsZero() {
			startNote = noteEarlierUnused
		}
		if !askedEnd.IsZero() && askedEnd.Before(end) {
			end, endSource = askedEnd, p.source.requested
		} else if !askedEnd.IsZero() {
			endNote = noteLaterUnused
		}
	case asked:
		if !askedStart.IsZero() {
			if askedStart.Before(start) || askedStart.After(v.maximum.end(start, f)) {
				return p.denied("validity.not_before", "validity.requested", "the requested start of validity is not within the bounds of the profile")
			}
			start, startSource = askedStart, p.source.requested
			end = v.standard.end(start, f)
		}
		if !askedEnd.IsZero() {
			if askedEnd.After(v.maximum.end(start, f)) {
				return p.denied("validity.not_after", "validity.maximum", "the requested end of validity is later than the profile permits")
			}
			end, endSource = askedEnd, p.source.requested
		}
	}
	if end.After(f.NotAfter) && v.beyondIssuer == "allow" {
		endNote = "later than the issuer's expiry, which the profile allows"
	} else if end.After(f.NotAfter) {
		if v.beyondIssuer == "refuse" {
			return p.denied("validity.not_after", "validity.beyond_issuer", "the certificate would outlive the issuing CA")
		}
		end, endSource, endNote = f.NotAfter.UTC(), "issuer", "cut to the issuer's expiry"
	}
	switch {
	case d.now.After(f.NotAfter):
		return p.denied("validity.not_after", "validity.beyond_issuer", "the issuing CA has expired")
	case end.Before(start) || !end.After(d.now):
		return p.denied("validity.not_after", "validity.requested", "the certificate would have no validity left")
	}
	d.out.NotBefore, d.out.NotAfter = start, end.UTC()
	d.field("validity.not_before", d.out.NotBefore.Format(time.RFC3339), startSource, startNote)
	d.field("validity.not_after", d.out.NotAfter.Format(time.RFC3339), endSource, endNote)
	return nil
}

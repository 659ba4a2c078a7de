package profile

import (
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// Each date of the request under each of the three rules.
func TestValidity(t *testing.T) {
	day := 24 * time.Hour
	start := time.Date(2026, 3, 1, 11, 59, 0, 0, time.UTC) // a minute before now, whole seconds
	full := start.Add(90*day - time.Second)
	issuerEnd := facts(t).NotAfter
	for name, c := range map[string]struct {
		w                  WrittenValidity
		askStart, askEnd   time.Time
		wantStart, wantEnd time.Time
		denied             string
	}{
		"default":               {w: WrittenValidity{Default: "P90D"}, wantStart: start, wantEnd: full},
		"ignored":               {w: WrittenValidity{Default: "P90D"}, askStart: now.Add(-9 * day), askEnd: now.Add(day), wantStart: start, wantEnd: full},
		"no backdate":           {w: WrittenValidity{Default: "P90D", Backdate: "PT0S"}, wantStart: now.Truncate(time.Second), wantEnd: now.Truncate(time.Second).Add(90*day - time.Second)},
		"shortened":             {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askEnd: start.Add(day), wantStart: start, wantEnd: start.Add(day)},
		"shortened at both":     {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askStart: start.Add(day), askEnd: start.Add(2 * day), wantStart: start.Add(day), wantEnd: start.Add(2 * day)},
		"clipped":               {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askStart: start.Add(-day), askEnd: full.Add(day), wantStart: start, wantEnd: full},
		"shortened to the past": {w: WrittenValidity{Default: "P90D", Requested: "shorten"}, askEnd: now.Add(-time.Second), denied: "validity.requested"},
		"within":                {w: WrittenValidity{Default: "P90D", Maximum: "P1Y", Requested: "within"}, askEnd: start.AddDate(1, 0, 0).Add(-time.Second), wantStart: start, wantEnd: start.AddDate(1, 0, 0).Add(-time.Second)},
		"within, start alone":   {w: WrittenValidity{Default: "P90D", Requested: "within"}, askStart: start.Add(day), wantStart: start.Add(day), wantEnd: full.Add(day)},
		"beyond the maximum":    {w: WrittenValidity{Default: "P90D", Maximum: "P1Y", Requested: "within"}, askEnd: start.AddDate(1, 0, 0), denied: "validity.maximum"},
		"backdated by request":  {w: WrittenValidity{Default: "P90D", Requested: "within"}, askStart: start.Add(-time.Second), denied: "validity.requested"},
		"far in the future":     {w: WrittenValidity{Default: "P90D", Requested: "within"}, askStart: full.Add(day), denied: "validity.requested"},
		"issuer's expiry":       {w: WrittenValidity{Default: issuerExpiry}, wantStart: start, wantEnd: issuerEnd},
		"cut":                   {w: WrittenValidity{Default: "P10Y"}, wantStart: start, wantEnd: issuerEnd},
		"refused":               {w: WrittenValidity{Default: "P10Y", BeyondIssuer: "refuse"}, denied: "validity.beyond_issuer"},
		"longer than time":      {w: WrittenValidity{Default: "P99999Y"}, wantStart: start, wantEnd: issuerEnd},
	} {
		t.Run(name, func(t *testing.T) {
			w := minimal()
			w.Validity = c.w
			r := request(t, "a.example")
			r.Asserted.NotBefore, r.Asserted.NotAfter = c.askStart, c.askEnd
			d, err := compiled(t, w).Decide(r, facts(t), now)
			if c.denied != "" {
				if e := ca.AsError(err); !ca.IsKind(err, ca.Denied) || e.Rule != "profile p "+c.denied {
					t.Errorf("got %v, want Denied by %s", err, c.denied)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !d.NotBefore.Equal(c.wantStart) || !d.NotAfter.Equal(c.wantEnd) {
				t.Errorf("%s to %s, want %s to %s", d.NotBefore, d.NotAfter, c.wantStart, c.wantEnd)
			}
		})
	}
}

func TestValidityStartsWithTheIssuer(t *testing.T) {
	f := facts(t)
	f.NotBefore = now.Add(-time.Second).Truncate(time.Second)
	d, err := builtin(t, "privatessl-tls-server").Decide(request(t, "a.example"), f, now)
	if err != nil || !d.NotBefore.Equal(f.NotBefore) {
		t.Errorf("notBefore %v, error %v", d, err)
	}
}

package profile

import (
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// life of the certificate that the tests renew.
var (
	oldFrom = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	oldTo   = time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
)

// renewing is a request for a.example that renews a certificate for names.
func renewing(t fatal, asked time.Time, names ...string) *ca.Request {
	r := request(t, "a.example")
	r.Operation = ca.Rekey
	r.Renews = &ca.Renewal{Recorded: &ca.Renewed{Certificate: ca.Certificate{Serial: ca.NewSerial(oldTo), NotBefore: oldFrom, NotAfter: oldTo, State: ca.Issued},
		AltNames: dns(names...), Shown: true, Evidence: "shown", Asked: asked}}
	return r
}

// What the window and the grace of a profile take and refuse.
func TestRenewalTerms(t *testing.T) {
	plain, _, err := BuiltinByID("privatessl-tls-server")
	if err != nil {
		t.Fatal(err)
	}
	terms := plain
	terms.Renewal = WrittenRenewal{Window: "P30D", Grace: "P7D"}
	share := plain
	share.Renewal = WrittenRenewal{Window: "50%"}
	opens := oldTo.AddDate(0, 0, -30)
	for name, c := range map[string]struct {
		profile Written
		asked   time.Time
		change  func(*ca.Renewed)
		rule    string // "": it is renewed
		first   bool   // it counts as a first enrollment
	}{
		"when the window opens":            {terms, opens, nil, "", false},
		"before":                           {terms, opens.Add(-time.Second), nil, "renewal.window", false},
		"before, without its key":          {terms, opens.Add(-time.Second), func(o *ca.Renewed) { o.Shown = false }, "renewal.window", false},
		"before, but an operator wants it": {terms, opens.Add(-time.Hour), func(o *ca.Renewed) { o.Wanted = opens.Add(-2 * time.Hour) }, "", false},
		"before an operator wants it":      {terms, opens.Add(-3 * time.Hour), func(o *ca.Renewed) { o.Wanted = opens.Add(-2 * time.Hour) }, "renewal.window", false},
		"an operator wants it later":       {terms, opens, func(o *ca.Renewed) { o.Wanted = opens.Add(time.Hour) }, "", false},
		"revoked, before":                  {terms, oldFrom, func(o *ca.Renewed) { o.Certificate.State, o.Shown = ca.Revoked, false }, "", false},
		"in the grace":                     {terms, oldTo.AddDate(0, 0, 7), nil, "", false},
		"after the grace":                  {terms, oldTo.AddDate(0, 0, 7).Add(time.Second), nil, "renewal.grace", false},
		"after the grace, without its key": {terms, oldTo.AddDate(0, 0, 8), func(o *ca.Renewed) { o.Shown = false }, "", true},
		"without grace":                    {share, oldTo.Add(time.Second), nil, "renewal.grace", false},
		"half of it":                       {share, oldTo.Add(-45*24*time.Hour + time.Hour), nil, "", false},
		"more than half of it":             {share, oldTo.Add(-46 * 24 * time.Hour), nil, "renewal.window", false},
		"no terms":                         {plain, oldFrom.Add(-time.Second), nil, "", false},
		"no terms, after its end":          {plain, oldTo.Add(time.Second), nil, "renewal.grace", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := compiled(t, c.profile), renewing(t, c.asked, "a.example")
			if c.change != nil {
				c.change(r.Renews.Recorded)
			}
			d, err := p.Decide(r, facts(t), now)
			if c.rule != "" {
				if e := ca.AsError(err); e == nil || e.Kind != ca.Denied || e.Field != "renewal" || !strings.HasSuffix(e.Rule, " "+c.rule) {
					t.Fatalf("%v, want a refusal by %s", err, c.rule)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if first := d.Replaces == (ca.Serial{}); first != c.first || d.RevokeReplaced {
				t.Errorf("replaces %s, revokes it %v", d.Replaces, d.RevokeReplaced)
			}
		})
	}
	r := renewing(t, opens, "a.example")
	r.Renews.Recorded = nil
	if _, err := compiled(t, terms).Decide(r, facts(t), now); !ca.IsKind(err, ca.Internal) {
		t.Errorf("a renewal of a certificate that nobody looked up: %v", err)
	}
}

// Which certificates are revoked because they were renewed.
func TestRevokeSuperseded(t *testing.T) {
	w, _, err := BuiltinByID("privatessl-tls-server")
	if err != nil {
		t.Fatal(err)
	}
	w.Renewal = WrittenRenewal{Grace: "P90D", Overlap: "P3D", RevokeSuperseded: true}
	for name, c := range map[string]struct {
		names  []string
		change func(*Written, *ca.Renewed)
		want   bool
	}{
		"the same name":           {[]string{"a.example"}, nil, true},
		"a name more":             {[]string{"a.example", "b.example"}, nil, false},
		"another subject":         {nil, func(_ *Written, o *ca.Renewed) { o.Subject = subject(t, "CN", "b.example") }, false},
		"the same subject":        {nil, func(_ *Written, o *ca.Renewed) { o.Subject = subject(t, "CN", "A.example") }, true},
		"revoked already":         {[]string{"a.example"}, func(_ *Written, o *ca.Renewed) { o.Certificate.State = ca.Revoked }, false},
		"held":                    {[]string{"a.example"}, func(_ *Written, o *ca.Renewed) { o.Certificate.State = ca.Held }, true},
		"ends within the overlap": {[]string{"a.example"}, func(_ *Written, o *ca.Renewed) { o.Certificate.NotAfter = now.AddDate(0, 0, 3) }, false},
		"ended":                   {[]string{"a.example"}, func(_ *Written, o *ca.Renewed) { o.Certificate.NotAfter = now.AddDate(0, 0, -1) }, false},
		"not asked for":           {[]string{"a.example"}, func(w *Written, _ *ca.Renewed) { w.Renewal.Overlap, w.Renewal.RevokeSuperseded = "", false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := w, renewing(t, now, c.names...)
			if c.change != nil {
				c.change(&w, r.Renews.Recorded)
			}
			d := decided(t, compiled(t, w), r)
			if d.RevokeReplaced != c.want || d.Replaces != r.Renews.Recorded.Certificate.Serial || c.want && d.Renewal.Overlap != 72*time.Hour {
				t.Errorf("revoked: %v after %s, replaces %s", d.RevokeReplaced, d.Renewal.Overlap, d.Replaces)
			}
			line := d.Fields[len(d.Fields)-1]
			if line.Name != "renews" || line.Source != "shown" || c.want != strings.HasPrefix(line.Note, "revoked as superseded at 2026-03-04") {
				t.Errorf("recorded as %+v", line)
			}
		})
	}
}

package conformance

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

var archiveCases = []Case{
	{"FindEach", findEach},
	{"FindTogether", findTogether},
	{"FindPages", findPages},
	{"FindRefuses", findRefuses},
	{"FindOtherTenant", findOtherTenant},
	{"RevocationFound", revocationFound},
	{"AuditFound", auditFound},
	{"ArchiveMethodsClassified", archiveMethods},
}

// archiveMethods: findOtherTenant tries every method with another tenant; a new one must be put there.
func archiveMethods(t T, _ func() *Driver) {
	tried := []string{"AuditByTrace", "AuditOf", "FindCertificates", "Revocation"}
	of := reflect.TypeFor[ca.Archive]()
	for i := range of.NumMethod() {
		if name := of.Method(i).Name; !slices.Contains(tried, name) {
			t.Errorf("no case tries method %s with another tenant", name)
		}
	}
}

// shelf is six recorded certificates that differ in everything one can look for.
func (k *kit) shelf(tenant string) []*ca.Entry {
	k.Helper()
	var all []*ca.Entry
	for i := range 6 {
		e := k.entryUntil(tenant, time.Date(2031, time.Month(1+i), 10, 12, 0, 0, 0, time.UTC))
		e.Subject = fmt.Sprintf("CN=host%d.example", i)
		e.AltNames = []pkix.GeneralName{pkix.DNS(fmt.Sprintf("host%d.example", i)), pkix.DNS(fmt.Sprintf("www.host%d.example", i)),
			pkix.IP(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})), {Kind: pkix.OtherName, Raw: []byte{0, 255, 0x27, '%', '\\', byte(i)}}}
		e.Certificate.Requester = fmt.Sprintf("acme-account:%d", i/2)
		if i >= 4 {
			e.Certificate.Profile = "tls-client"
			e.AltNames = append(e.AltNames, pkix.DNS("shared.test"), pkix.GeneralName{Kind: pkix.RFC822Name, Raw: []byte("x@mail.test")})
		}
		k.record(e)
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *ca.Entry) int {
		return strings.Compare(a.Certificate.Serial.String(), b.Certificate.Serial.String())
	})
	return all
}

// found gives the positions on the shelf of what a filter finds, as "0 3 5".
func (k *kit) found(all []*ca.Entry, f ca.Filter) string {
	k.Helper()
	if f.Tenant == "" {
		f.Tenant = Tenant
	}
	f.CA, f.Limit = caID, max(f.Limit, 100)
	got, err := k.Archive.FindCertificates(k.Context(), &f)
	if err != nil {
		k.Fatalf("find %+v: %v", f, err)
	}
	var at []string
	for _, c := range got {
		i := slices.IndexFunc(all, func(e *ca.Entry) bool { return e.Certificate.Serial == c.Serial })
		if i < 0 {
			k.Errorf("find %+v: a certificate that is not there", f)
			continue
		}
		want := all[i].Certificate
		want.IssuedAt, want.State = c.IssuedAt, c.State
		if diff := cmp.Diff(want, c); diff != "" || c.IssuedAt.IsZero() {
			k.Errorf("find %+v: row %d:\n%s", f, i, diff)
		}
		at = append(at, fmt.Sprint(i))
	}
	return strings.Join(at, " ")
}

func (k *kit) finds(all []*ca.Entry, f ca.Filter, want string) {
	k.Helper()
	if got := k.found(all, f); got != want {
		k.Errorf("find %+v: rows %q, want %q", f, got, want)
	}
}

func findEach(t T, open func() *Driver) {
	k := start(t, open)
	all := k.shelf(Tenant)
	k.revoke(revocation(all[1], ca.Superseded))
	k.revoke(revocation(all[2], ca.CertificateHold))
	k.revoke(revocation(all[3], ca.CertificateHold))
	k.revoke(revocation(all[3], ca.RemoveFromCRL))
	serial := all[2].Certificate.Serial
	prefix := ca.Serial{serial[0], serial[1], serial[2]}
	end := prefix
	for i := 3; i < ca.SerialSize; i++ {
		end[i] = 0xff
	}
	day := func(month time.Month, day int) time.Time { return time.Date(2031, month, day, 12, 0, 0, 0, time.UTC) }
	name := func(n pkix.GeneralName, suffix bool) ca.Filter { return ca.Filter{Name: n, NameSuffix: suffix} }
	mail := func(text string) pkix.GeneralName { return pkix.GeneralName{Kind: pkix.RFC822Name, Raw: []byte(text)} }
	for _, c := range []struct {
		filter ca.Filter
		want   string
	}{
		{ca.Filter{}, "0 1 2 3 4 5"},
		{ca.Filter{First: serial, Last: serial}, "2"},
		{ca.Filter{First: prefix, Last: end}, "2"},
		{ca.Filter{Subject: "CN=host3.example"}, "3"},
		{ca.Filter{Subject: "CN=host3"}, ""},
		{ca.Filter{Requester: "acme-account:1"}, "2 3"},
		{ca.Filter{Requester: "acme-account"}, ""},
		{ca.Filter{KeyID: all[4].KeyID}, "4"},
		{ca.Filter{KeyID: all[4].KeyID[:19]}, ""},
		{ca.Filter{Profile: "tls-client"}, "4 5"},
		{ca.Filter{State: ca.Revoked}, "1"},
		{ca.Filter{State: ca.Held}, "2"},
		{ca.Filter{State: ca.Issued}, "0 3 4 5"},
		{ca.Filter{ExpiresIn: ca.Window{From: day(3, 10)}}, "2 3 4 5"},
		{ca.Filter{ExpiresIn: ca.Window{From: day(3, 10).Add(time.Second)}}, "3 4 5"},
		{ca.Filter{ExpiresIn: ca.Window{To: day(3, 10)}}, "0 1"},
		{ca.Filter{ExpiresIn: ca.Window{From: day(2, 1), To: day(4, 30)}}, "1 2 3"},
		{ca.Filter{ExpiresIn: ca.Window{From: day(4, 30), To: day(2, 1)}}, ""},
		{name(pkix.DNS("host2.example"), false), "2"},
		{name(pkix.DNS("2.example"), false), ""},
		{name(pkix.DNS("host2.example"), true), "2"},
		{name(pkix.DNS(".example"), true), "0 1 2 3 4 5"},
		{name(pkix.DNS("shared.test"), false), "4 5"},
		{name(pkix.DNS("example."), true), ""},
		{name(pkix.IP(netip.MustParseAddr("192.0.2.3")), false), "3"},
		{name(all[5].AltNames[3], false), "5"},
		{name(mail("x@mail.test"), false), "4 5"},
		{name(mail("@mail.test"), true), "4 5"},
		{name(mail("shared.test"), true), ""}, // another kind of name
	} {
		k.finds(all, c.filter, c.want)
	}
}

// findTogether: whatever filter drives the search, the others hold besides.
func findTogether(t T, open func() *Driver) {
	k := start(t, open)
	all := k.shelf(Tenant)
	k.revoke(revocation(all[1], ca.Superseded))
	k.revoke(revocation(all[4], ca.Superseded))
	full := func() ca.Filter {
		e := all[4]
		return ca.Filter{First: e.Certificate.Serial, Last: e.Certificate.Serial, Subject: e.Subject, Name: pkix.DNS("shared.test"), Profile: "tls-client",
			Requester: e.Certificate.Requester, KeyID: e.KeyID, State: ca.Revoked,
			ExpiresIn: ca.Window{From: e.Certificate.NotAfter, To: e.Certificate.NotAfter.Add(time.Second)}}
	}
	k.finds(all, full(), "4")
	drivers := []func(*ca.Filter){
		func(*ca.Filter) {},
		func(f *ca.Filter) { f.Name = pkix.GeneralName{} },
		func(f *ca.Filter) { f.Name, f.KeyID = pkix.GeneralName{}, nil },
		func(f *ca.Filter) { f.Name, f.KeyID, f.Subject = pkix.GeneralName{}, nil, "" },
		func(f *ca.Filter) { f.Name, f.KeyID, f.Subject, f.Requester = pkix.GeneralName{}, nil, "", "" },
	}
	spoilt := map[string]func(*ca.Filter){
		"serial":    func(f *ca.Filter) { f.First, f.Last = all[5].Certificate.Serial, all[5].Certificate.Serial },
		"page":      func(f *ca.Filter) { f.After = all[4].Certificate.Serial },
		"profile":   func(f *ca.Filter) { f.Profile = "tls-server" },
		"state":     func(f *ca.Filter) { f.State = ca.Held },
		"issued":    func(f *ca.Filter) { f.State = ca.Issued },
		"expiry":    func(f *ca.Filter) { f.ExpiresIn.To = f.ExpiresIn.From },
		"requester": func(f *ca.Filter) { f.Requester = "acme-account:0" },
	}
	for i, drive := range drivers {
		for what, spoil := range spoilt {
			f := full()
			drive(&f)
			if k.finds(all, f, "4"); f.Requester == "" && what == "requester" {
				continue // it would drive the search itself
			}
			spoil(&f)
			if got := k.found(all, f); got != "" {
				t.Errorf("driver %d: found %q though the %s is another", i, got, what)
			}
		}
	}
}

func findPages(t T, open func() *Driver) {
	k := start(t, open)
	all := k.shelf(Tenant)
	for name, f := range map[string]ca.Filter{"all": {}, "names": {Name: pkix.DNS(".example"), NameSuffix: true}} {
		var got []ca.Serial
		f.Tenant, f.CA, f.Limit = Tenant, caID, 2
		for range 5 {
			page, err := k.Archive.FindCertificates(t.Context(), &f)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(page) == 0 {
				break
			}
			for _, c := range page {
				got = append(got, c.Serial)
			}
			f.After = got[len(got)-1]
		}
		var want []ca.Serial
		for _, e := range all {
			want = append(want, e.Certificate.Serial)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s in pages of two:\n%s", name, diff)
		}
	}
}

func findRefuses(t T, open func() *Driver) {
	k := start(t, open)
	for name, f := range map[string]ca.Filter{
		"no tenant": {CA: caID, Limit: 1}, "no CA": {Tenant: Tenant, Limit: 1}, "no limit": {Tenant: Tenant, CA: caID},
		"a large limit":        {Tenant: Tenant, CA: caID, Limit: ca.MaxFound + 1},
		"an address by suffix": {Tenant: Tenant, CA: caID, Limit: 1, Name: pkix.IP(netip.MustParseAddr("192.0.2.1")), NameSuffix: true},
	} {
		_, err := k.Archive.FindCertificates(t.Context(), &f)
		k.kind(name, err, ca.BadRequest)
	}
}

// findOtherTenant: no search, whatever drives it, shows another tenant's rows.
func findOtherTenant(t T, open func() *Driver) {
	k := start(t, open)
	all := k.shelf(Tenant)
	r := revocation(all[0], ca.Superseded)
	k.revoke(r)
	e := all[0]
	for _, f := range []ca.Filter{{}, {Subject: e.Subject}, {Requester: e.Certificate.Requester}, {KeyID: e.KeyID}, {State: ca.Revoked},
		{Name: e.AltNames[0]}, {Name: pkix.DNS(".example"), NameSuffix: true}, {First: e.Certificate.Serial, Last: e.Certificate.Serial}} {
		if k.found(all, f) == "" {
			t.Errorf("find %+v: nothing in the tenant itself", f)
		}
		f.Tenant = OtherTenant
		k.finds(all, f, "")
	}
	_, err := k.Archive.Revocation(t.Context(), OtherTenant, caID, e.Certificate.Serial)
	k.kind("another tenant's revocation", err, ca.NotFound)
	for _, trace := range []string{e.Audit.Trace, r.Audit.Trace} {
		if rows, err := k.Archive.AuditByTrace(t.Context(), OtherTenant, trace); err != nil || len(rows) != 0 {
			t.Errorf("another tenant's trace: %v, %v", rows, err)
		}
	}
	if rows, err := k.Archive.AuditOf(t.Context(), OtherTenant, e.Certificate.Serial); err != nil || len(rows) != 0 {
		t.Errorf("another tenant's audit rows: %v, %v", rows, err)
	}
}

func revocationFound(t T, open func() *Driver) {
	k := start(t, open)
	e := k.entry(Tenant)
	k.record(e)
	c := e.Certificate
	_, err := k.Archive.Revocation(t.Context(), c.Tenant, c.CA, c.Serial)
	k.kind("a certificate that was never revoked", err, ca.NotFound)
	r := revocation(e, ca.KeyCompromise)
	r.Invalid = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	want := k.revoke(r)
	got, err := k.Archive.Revocation(t.Context(), c.Tenant, c.CA, c.Serial)
	if err != nil {
		t.Fatalf("revocation: %v", err)
	}
	want.Position, want.At = 0, got.At
	if diff := cmp.Diff(want, got); diff != "" || got.At.IsZero() {
		t.Errorf("revocation:\n%s", diff)
	}
	_, err = k.Archive.Revocation(t.Context(), c.Tenant, "another-ca", c.Serial)
	k.kind("another CA's revocation", err, ca.NotFound)
}

func auditFound(t T, open func() *Driver) {
	k := start(t, open)
	e, other := k.entry(Tenant), k.entry(Tenant)
	about := func(e *ca.Entry) []byte {
		return []byte(`{"ca":"` + caID + `","serial":"` + e.Certificate.Serial.String() + `"}`)
	}
	e.Audit.Detail, other.Audit.Detail = about(e), about(other)
	k.record(e, other)
	hold, release := revocation(e, ca.CertificateHold), revocation(e, ca.RemoveFromCRL)
	hold.Audit.Detail, release.Audit.Detail = about(e), about(e)
	k.revoke(hold)
	k.revoke(release)
	bare := ca.Audit{Tenant: Tenant, Event: "ca.created", Actor: "operator", Detail: []byte(`{"note":"\"serial\":\"` + e.Certificate.Serial.String() + `\""}`)}
	if err := k.Store.AddGeneration(t.Context(), &ca.Generation{Tenant: Tenant, CA: "x", Number: 1, DER: []byte{1}, Root: []byte{1}}, bare); err != nil {
		t.Fatalf("generation: %v", err)
	}
	same := func(what string, got []ca.Audit, err error, want ...ca.Audit) {
		t.Helper()
		if err != nil || len(got) != len(want) {
			t.Errorf("%s: %d rows, want %d; %v", what, len(got), len(want), err)
			return
		}
		for i := range got {
			want[i].At = got[i].At
			if diff := cmp.Diff(want[i], got[i]); diff != "" || got[i].At.IsZero() {
				t.Errorf("%s, row %d:\n%s", what, i, diff)
			}
		}
	}
	rows, err := k.Archive.AuditByTrace(t.Context(), Tenant, e.Audit.Trace)
	same("by trace", rows, err, e.Audit)
	rows, err = k.Archive.AuditOf(t.Context(), Tenant, e.Certificate.Serial)
	same("by serial", rows, err, hold.Audit, release.Audit)
	rows, err = k.Archive.AuditOf(t.Context(), Tenant, other.Certificate.Serial)
	same("a serial with nothing but its issuance", rows, err)
	rows, err = k.Archive.AuditByTrace(t.Context(), Tenant, "")
	same("an empty trace", rows, err)
}

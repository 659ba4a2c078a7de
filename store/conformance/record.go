package conformance

import (
	"crypto/sha256"
	"sync/atomic"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/enrollgate/enrollgate/ca"
)

var recordCases = []Case{
	{"IssueAndReadBack", issueAndReadBack},
	{"DecisionReadBack", decisionReadBack},
	{"AltNamesReadBack", altNamesReadBack},
	{"Months", months},
	{"SerialTaken", serialTaken},
	{"EntriesWholeOrNothing", entriesWholeOrNothing},
	{"ProfileTexts", profileTexts},
	{"ProfileMissing", profileMissing},
	{"Reopened", reopened},
}

func issueAndReadBack(t T, open func() *Driver) {
	k := start(t, open)
	for _, e := range []*ca.Entry{k.entry(Tenant), k.entry(Tenant), k.entry(OtherTenant)} {
		before := k.now()
		got := k.record(e)[0]
		after := k.now()
		want := e.Certificate
		want.State, want.IssuedAt = ca.Issued, got.Certificate.IssuedAt
		if diff := cmp.Diff(want, got.Certificate); diff != "" || got.Replayed {
			t.Errorf("answer (replayed %v):\n%s", got.Replayed, diff)
		}
		if at := want.IssuedAt; at.Before(before) || at.After(after) {
			t.Errorf("issued at %v, want between %v and %v", at, before, after)
		}
		read, err := k.Store.Certificate(t.Context(), want.Tenant, want.CA, want.Serial)
		if err != nil {
			t.Fatalf("certificate: %v", err)
		}
		if diff := cmp.Diff(&want, read); diff != "" {
			t.Errorf("read back:\n%s", diff)
		}
	}
	_, err := k.Store.Certificate(t.Context(), Tenant, caID, ca.NewSerial(time.Now()))
	k.kind("unknown serial", err, ca.NotFound)
	e := k.entry(Tenant)
	k.record(e)
	_, err = k.Store.Certificate(t.Context(), Tenant, "another-ca", e.Certificate.Serial)
	k.kind("another CA", err, ca.NotFound)
}

func decisionReadBack(t T, open func() *Driver) {
	k := start(t, open)
	e := k.entry(Tenant)
	k.record(e)
	detail, hash, err := k.Store.Decision(t.Context(), Tenant, caID, e.Certificate.Serial)
	if err != nil || string(detail) != string(e.Decision) || hash != e.ProfileHash {
		t.Errorf("decision %s, profile %x, %v", detail, hash, err)
	}
	_, _, err = k.Store.Decision(t.Context(), Tenant, caID, ca.NewSerial(time.Now()))
	k.kind("unknown serial", err, ca.NotFound)
}

func altNamesReadBack(t T, open func() *Driver) {
	k := start(t, open)
	e, none := k.entry(Tenant), k.entry(Tenant)
	none.AltNames = nil
	k.record(e)
	k.record(none)
	got, err := k.AltNames(t.Context(), Tenant, caID, e.Certificate.Serial)
	if err != nil {
		t.Fatalf("names: %v", err)
	}
	if diff := cmp.Diff(e.AltNames, got); diff != "" {
		t.Errorf("names:\n%s", diff)
	}
	if got, err := k.AltNames(t.Context(), Tenant, caID, none.Certificate.Serial); err != nil || len(got) != 0 {
		t.Errorf("names of a certificate without any: %v, %v", got, err)
	}
}

// months: every expiry has a place, made when it is first needed.
func months(t T, open func() *Driver) {
	k := start(t, open)
	for _, c := range []struct {
		notAfter time.Time
		month    ca.Month
	}{
		{time.Now().AddDate(0, 0, 1), ca.MonthOf(time.Now().AddDate(0, 0, 1))},
		{time.Date(2031, 1, 31, 23, 59, 59, 0, time.UTC), 2031 * 12},
		{time.Date(2031, 2, 1, 0, 0, 0, 0, time.UTC), 2031*12 + 1},
		{time.Date(2031, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600)), 2031*12 + 1}, // UTC decides
		{time.Date(2729, 12, 1, 0, 0, 0, 0, time.UTC), 2729*12 + 11},                   // far, still inside
		{time.Date(2731, 1, 1, 0, 0, 0, 0, time.UTC), 0x7FFF},                          // what does not fit
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), 0x7FFF},                     // RFC 5280 section 4.1.2.5
	} {
		for range 2 {
			e := k.entryUntil(Tenant, c.notAfter)
			if got := e.Certificate.Serial.Month(); got != c.month {
				t.Errorf("month of %v is %v, want %v", c.notAfter, got, c.month)
			}
			got := k.record(e)[0].Certificate
			if !k.stored(e) || !got.NotAfter.Equal(e.Certificate.NotAfter) {
				t.Errorf("a certificate until %v is not found again, or expires %v", c.notAfter, got.NotAfter)
			}
		}
	}
}

// serialTaken: a serial is there once, and who brings it again harms nobody else.
func serialTaken(t T, open func() *Driver) {
	k := start(t, open)
	first := k.entry(Tenant)
	k.record(first)
	again := k.entry(Tenant)
	again.Certificate.Serial = first.Certificate.Serial
	var passed atomic.Int64
	k.gathered(8, func(i int) {
		e := again
		if i != 3 {
			e = k.entry(Tenant)
		}
		_, err := k.Store.Record(t.Context(), e)
		switch {
		case i == 3 && err == nil:
			t.Errorf("a serial was recorded twice")
		case i != 3 && err != nil:
			t.Errorf("beside a bad member: %v", err)
		case err == nil:
			passed.Add(1)
		}
	})
	if passed.Load() != 7 || !k.stored(first) || k.audited(again.Audit.Trace) != 0 {
		t.Errorf("%d of 7 others passed; first certificate intact: %v", passed.Load(), k.stored(first))
	}
	elsewhere := k.entry(Tenant) // a serial is unique for its CA only
	elsewhere.Certificate.Serial, elsewhere.Certificate.CA = first.Certificate.Serial, "another-ca"
	k.record(elsewhere)
	if !k.stored(elsewhere) || !k.stored(first) {
		t.Errorf("one serial under two CAs is not two certificates")
	}
}

func entriesWholeOrNothing(t T, open func() *Driver) {
	k := start(t, open)
	a, b := k.entry(Tenant), k.entry(Tenant)
	if got := k.record(a, b); got[0].Certificate.Serial != a.Certificate.Serial || got[1].Certificate.Serial != b.Certificate.Serial {
		t.Errorf("the answers are not in the order of the entries")
	}
	if !k.stored(a) || !k.stored(b) {
		t.Errorf("two entries of one call are not both recorded")
	}
	good := k.credential(Tenant, 1)
	c, d := k.entry(Tenant, k.Store.Burn(Tenant, good)), k.entry(Tenant, k.Store.Burn(Tenant, "unknown"))
	_, err := k.Store.Record(t.Context(), c, d)
	k.lost(err, 1, 0)
	k.absent(c)
	k.absent(d)
	if k.usesLeft(Tenant, good) != 1 {
		t.Errorf("the effect of one entry stayed although the other was refused")
	}
}

func profileTexts(t T, open func() *Driver) {
	k := start(t, open)
	text := []byte("id: x\nvalue: \x00\xff\n")
	hash := sha256.Sum256(text)
	_, err := k.Store.Profile(t.Context(), hash)
	k.kind("a text that was not kept", err, ca.NotFound)
	for range 2 { // once: the second time changes nothing
		if err := k.Store.KeepProfile(t.Context(), hash, text); err != nil {
			t.Fatalf("keep: %v", err)
		}
	}
	if got, err := k.Store.Profile(t.Context(), hash); err != nil || string(got) != string(text) {
		t.Errorf("got %q, %v", got, err)
	}
	wrong := random32()
	if err := k.Store.KeepProfile(t.Context(), wrong, text); err == nil {
		t.Errorf("a text was kept under a hash that is not its SHA-256")
	}
	_, err = k.Store.Profile(t.Context(), wrong)
	k.kind("a text under a wrong hash", err, ca.NotFound)
}

// profileMissing: a decision names a kept text or is not recorded. That the
// text is missing is a fault of the program, not of the requester.
func profileMissing(t T, open func() *Driver) {
	k := start(t, open)
	e := k.entry(Tenant)
	e.ProfileHash = random32()
	_, err := k.Store.Record(t.Context(), e)
	k.kind("a decision under an unknown profile", err, ca.Internal)
	k.absent(e)
}

// reopened: what was answered is there after the store was closed and opened.
func reopened(t T, open func() *Driver) {
	k := start(t, open)
	if k.Reopen == nil {
		return // a store that forgets says so by its driver
	}
	kept, gone := k.entry(Tenant), k.entry(Tenant)
	k.record(kept, gone)
	if _, err := k.Store.Revoke(t.Context(), revocation(gone, ca.Superseded)); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	noted := ca.Audit{Tenant: Tenant, Event: "request.refused", Actor: "x", Trace: ca.NewTrace(), Detail: []byte("{}")}
	k.Store.Note(noted)
	s, err := k.Reopen()
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	k.Store = s
	if k.audited(noted.Trace) != 1 {
		t.Errorf("a note that was queued when the store was closed is lost")
	}
	if !k.stored(kept) || !k.stored(gone) {
		t.Errorf("a certificate is lost")
	}
	if c, err := s.Certificate(t.Context(), Tenant, caID, gone.Certificate.Serial); err != nil || c.State != ca.Revoked {
		t.Errorf("a revocation is lost: %v, %v", c, err)
	}
	if feed, err := s.Feed(t.Context(), 0, 10); err != nil || len(feed) != 1 {
		t.Errorf("the feed has %d rows, %v", len(feed), err)
	}
	k.record(k.entry(Tenant))
	k.chains()
}

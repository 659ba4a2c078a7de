package retention

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/enrollgate/enrollgate/ca"
)

// months is a store of months in memory.
type months struct {
	now     time.Time
	records map[ca.Month]*ca.MonthRecord
	counts  map[ca.Month][]ca.MonthCount
	waits   map[ca.Month][]ca.MissingCRL
	busy    int // how often clearing finds the tables in use
	steps   int // how many it takes
	cleared int
	audit   []ca.Audit
	leases  []*ca.Lease
	lost    bool
}

func (s *months) Now(context.Context) (time.Time, error) { return s.now, nil }

func (s *months) Months(context.Context) (all []ca.MonthRecord, err error) {
	for _, r := range s.records {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b ca.MonthRecord) int { return int(a.Month) - int(b.Month) })
	return all, nil
}

func (s *months) Month(_ context.Context, m ca.Month) (*ca.MonthRecord, error) {
	if r := s.records[m]; r != nil && !r.Dropped.IsZero() {
		return r, nil
	}
	return nil, ca.Errorf(ca.NotFound, "it was not dropped")
}

func (s *months) CountMonth(_ context.Context, m ca.Month) ([]ca.MonthCount, error) {
	return s.counts[m], nil
}

func (s *months) MonthWaits(_ context.Context, m ca.Month) ([]ca.MissingCRL, error) {
	return s.waits[m], nil
}

func (s *months) DropMonth(_ context.Context, l *ca.Lease, m ca.Month, n int64, audit ...ca.Audit) error {
	if s.lost {
		return ca.LeaseLost(l)
	}
	s.leases, s.audit = append(s.leases, l), append(s.audit, audit...)
	s.records[m].Dropped, s.records[m].Certificates = s.now, n
	return nil
}

func (s *months) ClearMonth(_ context.Context, _ *ca.Lease, m ca.Month, _ int) (bool, error) {
	if s.busy > 0 {
		s.busy--
		return true, ca.Errorf(ca.Unavailable, "somebody reads")
	}
	if s.cleared++; s.cleared < s.steps {
		return true, nil
	}
	s.records[m].Cleared = s.now
	return false, nil
}

const first = ca.Month(2028 * 12) // 2028-01

// started is a keeper, in August 2028, of a store with the months of that year.
func started(t *testing.T, keep int) (*Keeper, *months) {
	s := &months{now: time.Date(2028, 8, 1, 0, 0, 0, 0, time.UTC), records: map[ca.Month]*ca.MonthRecord{}, counts: map[ca.Month][]ca.MonthCount{},
		waits: map[ca.Month][]ca.MissingCRL{}, steps: 3}
	for m := range ca.Month(12) {
		s.records[first+m] = &ca.MonthRecord{Month: first + m}
	}
	s.records[0x7FFF] = &ca.MonthRecord{Month: 0x7FFF}
	s.counts[first] = []ca.MonthCount{{Tenant: "one", CA: "issuing", Certificates: 3}, {Tenant: "two", CA: "issuing", Certificates: 4}}
	k, err := New(Options{Store: s, Keep: keep, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return k, s
}

func (s *months) dropped() (all []string) {
	for m := range ca.Month(12) {
		if !s.records[first+m].Cleared.IsZero() {
			all = append(all, (first + m).String())
		}
	}
	return all
}

// TestRun drops what is due and nothing else.
func TestRun(t *testing.T) {
	for keep, want := range map[int][]string{0: nil, 12: nil, 7: nil, 6: {"2028-01"}, 5: {"2028-01", "2028-02"}} {
		k, s := started(t, keep)
		l := &ca.Lease{Name: "retention"}
		if err := k.Run(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if got := s.dropped(); !slices.Equal(got, want) || slices.ContainsFunc(s.leases, func(used *ca.Lease) bool { return used != l }) {
			t.Errorf("kept %d months: dropped %v under %v, want %v", keep, got, s.leases, want)
		}
	}
}

func TestAuditOfDrop(t *testing.T) {
	k, s := started(t, 6)
	if err := k.Run(t.Context(), &ca.Lease{}); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, a := range s.audit {
		var d struct {
			Month        string
			Certificates float64
		}
		if err := json.Unmarshal(a.Detail, &d); err != nil || a.Event != "month.dropped" || a.Actor != "service:retention" || d.Month != "2028-01" {
			t.Errorf("%+v, %v", a, err)
		}
		got[a.Tenant] = d.Certificates
	}
	if len(got) != 3 || got[ca.Installation] != 7 || got["one"] != 3 || got["two"] != 4 {
		t.Errorf("audit rows %v", got)
	}
	if c := k.Counters(); c.Months != 1 || c.Certificates != 7 || c.Waiting != 0 {
		t.Errorf("counters %+v", c)
	}
}

// TestRunWaits: a month that waits for a list holds up no other one.
func TestRunWaits(t *testing.T) {
	k, s := started(t, 5)
	s.waits[first] = []ca.MissingCRL{{Tenant: "one", CA: "issuing", Scope: "g1", ThisUpdate: s.now}}
	if err := k.Run(t.Context(), &ca.Lease{}); err != nil {
		t.Fatal(err)
	}
	if got := s.dropped(); !slices.Equal(got, []string{"2028-02"}) || k.Counters().Waiting != 1 {
		t.Errorf("dropped %v, counters %+v", got, k.Counters())
	}
	_, err := k.Drop(t.Context(), first, "operator:ann")
	if !ca.IsKind(err, ca.Pending) {
		t.Errorf("by order: %v", err)
	}
	list, err := k.List(t.Context())
	if err != nil || len(list) != 13 || list[0].State != "waits" || list[0].Waits == "" || list[1].State != "dropped" || list[2].State != "kept" || list[12].Due != nil {
		t.Errorf("%+v, %v", list, err)
	}
	delete(s.waits, first)
	if err := k.Run(t.Context(), &ca.Lease{}); err != nil || len(s.dropped()) != 2 || k.Counters().Waiting != 0 {
		t.Errorf("once the list is out: %v, %v", s.dropped(), err)
	}
}

// TestClearTriesAgain: who finds the tables in use stands back, and the next
// run goes on where one gave up.
func TestClearTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, s := started(t, 6)
		s.busy = clearTries
		if err := k.Run(t.Context(), &ca.Lease{}); err != nil || len(s.dropped()) != 1 {
			t.Errorf("busy for a while: %v, %v", s.dropped(), err)
		}
		k, s = started(t, 6)
		s.busy = clearTries + 1
		if err := k.Run(t.Context(), &ca.Lease{}); !ca.IsKind(err, ca.Unavailable) {
			t.Errorf("busy for long: %v", err)
		}
		if list, err := k.List(t.Context()); err != nil || list[0].State != "dropping" {
			t.Errorf("%+v, %v", list[0], err)
		}
		rows := len(s.audit)
		if err := k.Run(t.Context(), &ca.Lease{}); err != nil || len(s.dropped()) != 1 || len(s.audit) != rows {
			t.Errorf("the next run: %v, %d audit rows, %v", s.dropped(), len(s.audit), err)
		}
	})
}

func TestLeaseLost(t *testing.T) {
	k, s := started(t, 6)
	s.lost = true
	if err := k.Run(t.Context(), &ca.Lease{}); !ca.IsKind(err, ca.Conflict) || len(s.dropped()) != 0 {
		t.Errorf("%v, %v", s.dropped(), err)
	}
}

func TestDropByOrder(t *testing.T) {
	k, s := started(t, 6)
	for m, want := range map[ca.Month]ca.Kind{first + 1: ca.Conflict, first + 11: ca.Conflict, first - 1: ca.NotFound, 0x7FFF: ca.Conflict} {
		if _, err := k.Drop(t.Context(), m, "operator:ann"); !ca.IsKind(err, want) {
			t.Errorf("%s: %v, want %s", m, err, want)
		}
	}
	d, err := k.Drop(t.Context(), first, "operator:ann")
	if err != nil || d.Certificates != 7 || d.Month != "2028-01" || s.audit[0].Actor != "operator:ann" || s.leases[0] != nil {
		t.Errorf("%+v, %v, %+v", d, err, s.audit)
	}
	if _, err := k.Drop(t.Context(), first, "operator:ann"); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("once more: %v", err)
	}
	forever, _ := started(t, 0)
	if _, err := forever.Drop(t.Context(), first, "operator:ann"); !ca.IsKind(err, ca.Conflict) {
		t.Errorf("where everything is kept: %v", err)
	}
}

// TestArchiveSince: no month that may have been dropped is in the archive, and
// every one that was not is.
func TestArchiveSince(t *testing.T) {
	for keep := range 30 {
		for day := range 800 {
			now := time.Date(2028, 1, 1, 23, 59, 59, 0, time.UTC).AddDate(0, 0, day)
			since := ArchiveSince(now, keep)
			if keep == 0 {
				if !since.IsZero() {
					t.Fatalf("everything is kept, but since %s", since)
				}
				continue
			}
			m := ca.MonthOf(since)
			due, _ := Due(m, keep)
			before, _ := Due(m-1, keep)
			if begin, _, _ := m.Range(); !begin.Equal(since) || !due.After(now) || before.After(now) {
				t.Fatalf("at %s with %d months: since %s", now, keep, since)
			}
		}
	}
}

func TestParseMonth(t *testing.T) {
	if m, err := ParseMonth("2028-01"); err != nil || m != first {
		t.Errorf("%v, %v", m, err)
	}
	for _, text := range []string{"", "2028", "2028-13", "2028-1-1", "0001-01", "9999-12", "no expiry"} {
		if m, err := ParseMonth(text); !ca.IsKind(err, ca.BadRequest) {
			t.Errorf("%q: %v, %v", text, m, err)
		}
	}
}

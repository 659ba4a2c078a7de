package status

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// TestDroppedMonth: of a certificate whose month was dropped nobody says good:
// it is unknown whatever the settings say of what was never issued, and revoked
// where it was.
func TestDroppedMonth(t *testing.T) {
	for _, say := range []UnknownAs{SayUnknown, SayGood, SayRevoked} {
		k := start(t, func(r *Rules) { r.Unknown = say })
		good, revoked := k.book.issue("one"), k.book.issue("one")
		k.book.set(revoked, ca.Revoked, ca.Superseded)
		k.poll()
		if got := k.ask(good); got.Status != ocsp.Good {
			t.Fatalf("%s: before: %d", say, got.Status)
		}
		k.advance(3 * 365 * 24 * time.Hour)
		k.poll()
		k.book.drop(good.Month())
		for _, s := range []ca.Serial{good, ca.NewSerial(birth.AddDate(1, 0, 0))} {
			a, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, s))
			if err != nil {
				t.Fatal(err)
			}
			if got := k.read(0, a); got.Status != ocsp.Unknown || a.outcome != Unknown {
				t.Errorf("%s: a dropped certificate is %d, %s", say, got.Status, a.outcome)
			}
		}
		if got := k.ask(revoked); got.Status != ocsp.Revoked || got.RevocationReason != ocsp.Superseded {
			t.Errorf("%s: a revoked certificate of a dropped month is %d", say, got.Status)
		}
		if say != SayGood {
			continue
		}
		if got := k.ask(ca.NewSerial(birth.AddDate(1, 5, 0))); got.Status != ocsp.Good { // of a month that is kept
			t.Errorf("a serial number that was never issued is %d", got.Status)
		}
	}
}

// TestDroppedLeavesCache: an answer that is kept is not signed again once the month is gone.
func TestDroppedLeavesCache(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	k.ask(s)
	k.ask(s) // it is in demand
	k.book.drop(s.Month())
	for _, due := range k.desk.cache.due(k.now().Add(5 * time.Hour)) {
		k.desk.refresh(t.Context(), due)
	}
	if n := k.desk.Kept(); n != 0 {
		t.Errorf("%d answers are kept", n)
	}
	if got := k.ask(s); got.Status != ocsp.Unknown {
		t.Errorf("it is %d", got.Status)
	}
}

// TestArchiveCutoff: since when every expired certificate is answered for, but
// never before the CA (RFC 6960 section 4.4.4).
func TestArchiveCutoff(t *testing.T) {
	begin := birth.AddDate(-1, 0, 0)
	for name, c := range map[string]struct {
		since func(time.Time) time.Time
		want  time.Time
	}{
		"everything is kept": {nil, begin},
		"nothing was old":    {func(time.Time) time.Time { return begin.AddDate(-3, 0, 0) }, begin},
		"months go":          {func(now time.Time) time.Time { return now.AddDate(0, -2, 0) }, birth.AddDate(0, -2, 0)},
	} {
		k := start(t, func(r *Rules) { r.ArchiveCutoff, r.ArchiveSince = true, c.since })
		a, err := k.r.Answer(t.Context(), k.question(0, pkix.OCSPSHA1, k.book.issue("one")))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(a.DER, []byte("\x18\x0f"+c.want.UTC().Format("20060102150405Z"))) {
			t.Errorf("%s: the answer does not say %s", name, c.want)
		}
	}
}

// TestDirectSignaturesAreCounted: a CA's own key that signs answers is used.
func TestDirectSignaturesAreCounted(t *testing.T) {
	k := start(t, nil)
	s := k.book.issue("one")
	for range 3 {
		k.ask(s) // signed once
	}
	k.ask(ca.NewSerial(birth.AddDate(1, 0, 0)))
	if used, signed := k.used.Load(), k.gens[0].signs.Load(); used != 2 || signed != 2 {
		t.Errorf("%d of %d signatures were counted, want 2", used, signed)
	}
}

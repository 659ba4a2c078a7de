package profile

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/claim"
	"github.com/enrollgate/enrollgate/ca/pkix"
)

// recorded gives what the records keep of a decision.
func recorded(t fatal, r *ca.Request, d *ca.Decision, f *ca.Facts) *Issued {
	t.Helper()
	serial := ca.NewSerial(d.NotAfter)
	template := &pkix.Template{Serial: serial[:], Signature: f.Signature, Issuer: f.Subject, NotBefore: d.NotBefore, NotAfter: d.NotAfter,
		Subject: d.Subject, Key: r.Possession.Key(), Extensions: d.Extensions}
	tbs, err := template.MarshalTBS()
	if err != nil {
		t.Fatalf("%v", err)
	}
	c, err := pkix.ParseTBS(tbs)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &Issued{Certificate: c, Fields: d.Fields, ProfileHash: d.ProfileHash, Operation: r.Operation, At: now, Door: r.Caller.Door(),
		Caller: r.Caller.ID(), Endpoint: r.Caller.Endpoint(), Tenant: r.Caller.Tenant(), Methods: r.Caller.Methods()}
}

func replayer(old, new *Profile) *Replayer {
	return &Replayer{Old: old, New: new, Claims: claim.NewOfflineVerifier(), Keys: claim.NewVerifier(caller.System)}
}

// What a replay says is what deciding the request itself would have said, or it
// says that it cannot tell and why.
func TestReplayTellsTheTruth(t *testing.T) {
	owned, f := possession(t, "ecdsa-p256"), facts(t)
	seen, reasons := map[string]int{}, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		old, err := Compile(randomProfile().Draw(t, "old"))
		if err != nil {
			return
		}
		other, err := Compile(randomProfile().Draw(t, "new"))
		if err != nil {
			return
		}
		other.subject.template = slices.DeleteFunc(other.subject.template, func(rdn []attributeProgram) bool { return rdn[0].oid.Equal(pkix.OID{2, 5, 4, 5}) }) // a fact: never replayed
		for range 10 {
			r := randomRequest(old, owned).Draw(t, "request")
			d, err := old.Decide(r, f, now)
			if err != nil {
				continue
			}
			in := recorded(t, r, d, f)
			if uncounted(r, d) {
				continue
			}
			same := replayer(old, old).Replay(in, f)
			seen[same.Verdict]++
			if same.Verdict != ReplayUnchanged && same.Verdict != ReplayNone {
				t.Fatalf("under the same profile: %+v\n%s\n%+v", same, old.Text(), in.Fields)
			}
			got := replayer(old, other).Replay(in, f)
			seen[got.Verdict]++
			if got.Verdict == ReplayNone {
				reasons[got.Why]++
				continue
			}
			want := &Replayed{Verdict: ReplayUnchanged}
			is, err := other.Decide(r, f, now)
			if err != nil {
				want = &Replayed{Verdict: ReplayNewlyRefused}
			} else if want.Changes = Differences(d, is); len(want.Changes) > 0 {
				want.Verdict = ReplayChanged
			}
			if got.Verdict != want.Verdict || !reflect.DeepEqual(unordered(got.Changes), unordered(want.Changes)) {
				t.Fatalf("%s %v %v, in truth %s %v %v\nold:\n%s\nnew:\n%s\n%+v", got.Verdict, got.Changes, got.Refusal, want.Verdict, want.Changes, err, old.Text(), other.Text(), in.Fields)
			}
		}
	})
	if seen[ReplayUnchanged] == 0 || seen[ReplayChanged]+seen[ReplayNewlyRefused] == 0 { // which of the two, chance decides
		t.Errorf("too little was replayed: %v, %v", seen, reasons)
	}
}

// uncounted tells whether a name was proven in a way that did not count and
// taken on the requester's word: the record does not hold that proof.
func uncounted(r *ca.Request, d *ca.Decision) bool {
	return slices.ContainsFunc(r.Claims, func(c claim.Claim) bool {
		return c.IsName() && !slices.ContainsFunc(d.Fields, func(f ca.Field) bool {
			_, proven := provenBy(f.Source)
			return proven && f.Value == normalized(c.Name()).String()
		})
	})
}

// unordered makes differences of names ones without regard to order and to
// multi-valued RDNs: the record does not tell where, and beside which, a name
// or attribute stood that was left out.
func unordered(all []Difference) []Difference {
	for i := range all {
		if all[i].Field == "subject" || all[i].Field == "san" {
			for _, text := range []*string{&all[i].Old, &all[i].New} {
				parts := strings.FieldsFunc(*text, func(r rune) bool { return strings.ContainsRune(",+ ", r) })
				slices.Sort(parts)
				*text = strings.Join(parts, ",")
			}
		}
	}
	return all
}

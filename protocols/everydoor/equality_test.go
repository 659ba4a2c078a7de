package everydoor_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/enrollgate/enrollgate/ca"
	"github.com/enrollgate/enrollgate/ca/caller"
	"github.com/enrollgate/enrollgate/ca/pkix"
	"github.com/enrollgate/enrollgate/ca/profile"
	"github.com/enrollgate/enrollgate/test/equality"
	"github.com/enrollgate/enrollgate/test/fixture"
)

var (
	identities = flag.Int("identities", 400, "how many identities ask for a certificate through every door that can carry them")
	seed       = flag.Uint64("seed", 0, "draw what a run with this seed drew; 0: another one each time")
)

// perProfile is how many identities ask under one profile.
const perProfile = 20

// TestEveryDoorGivesTheSameCertificate draws profiles and identities and has each
// identity enroll through each door that can carry it and through the Go API: the
// to-be-signed bytes are equal under the mask, or all refuse, by the same rule.
func TestEveryDoorGivesTheSameCertificate(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./protocols/everydoor -run %s -args -identities %d -seed %d draws this again", t.Name(), *identities, *seed)
	c := newComparing(t, profilesOf(t, (*identities+perProfile-1)/perProfile))
	for n := range *identities {
		p := c.core.g.profiles[n/perProfile]
		if c.compare(p, newDice(*seed, uint64(n)+1).newIdentity(t, p.Profile)); c.differ > 0 {
			t.Fatalf("identity %d of seed %d, under\n%s", n, *seed, p.Text())
		}
	}
	for _, what := range slices.Sorted(maps.Keys(c.count)) {
		t.Logf("%6d %s", c.count[what], what)
	}
	// Where little is issued, little is compared.
	for what, share := range map[string]int{"by word, EST: issued": 6, "by device, EST: issued": 20, "by challenges, ACME: issued": 10, "by secret, SCEP: issued": 10,
		"issued by challenges and by word": 300, "issued by word and by secret": 12} {
		// At few identities what is rare is luck: some seeds draw none of it.
		if n := c.count[what]; *identities/share >= 30 && n < *identities/share {
			t.Errorf("%s: only %d of %d identities", what, n, *identities)
		}
	}
}

// TestWhatADoorChangesIsFound has the core see other requests than the doors made.
func TestWhatADoorChangesIsFound(t *testing.T) {
	*seed = max(*seed, 1)
	const tried = 1500 // at most
	c := newComparing(t, profilesOf(t, 120))
	c.quiet = true
	for name, change := range map[string]func(*ca.Request){
		"the subject": func(r *ca.Request) { r.Asserted.Subject = pkix.EmptyName },
		"the order of names": func(r *ca.Request) {
			r.Asserted.AltNames = slices.Clone(r.Asserted.AltNames)
			slices.Reverse(r.Asserted.AltNames)
		},
		"a name":               func(r *ca.Request) { r.Asserted.AltNames = r.Asserted.AltNames[:len(r.Asserted.AltNames)/2] },
		"requested extensions": func(r *ca.Request) { r.Asserted.Extensions = nil },
		"dates":                func(r *ca.Request) { r.Asserted.NotAfter = now.Add(90 * time.Minute) },
		"what proves the rest": func(r *ca.Request) { r.Claims = nil },
		"string types": func(r *ca.Request) {
			r.Asserted.Subject = bytes.ReplaceAll(r.Asserted.Subject, []byte{0x13, 4, 'A', 'c', 'm', 'e'}, []byte{0x0c, 4, 'A', 'c', 'm', 'e'})
		},
		"the order of the RDNs": func(r *ca.Request) { r.Asserted.Subject = reversed(t, r.Asserted.Subject) },
		"for which CN it is": func(r *ca.Request) {
			r.Asserted.Subject = bytes.ReplaceAll(r.Asserted.Subject, []byte("device-7"), []byte("device-8"))
		},
		"the operation": func(r *ca.Request) { r.Operation = ca.KeyGen },
	} {
		t.Run(name, func(t *testing.T) {
			c.differ = 0
			c.est.core.change, c.acme.core.change, c.scep.core.change = change, change, change
			for n := 0; c.differ == 0; n++ {
				if n == tried {
					t.Fatalf("%d identities had the same certificates all the same", tried)
				}
				p := c.core.g.profiles[n%len(c.core.g.profiles)]
				c.compare(p, newDice(*seed, uint64(n)+1).newIdentity(t, p.Profile))
			}
		})
	}
}

func reversed(t *testing.T, name pkix.RawName) pkix.RawName {
	rdns := fixture.Must(pkix.ParseName(name))(t)
	slices.Reverse(rdns)
	return fixture.Must(pkix.MarshalName(rdns))(t)
}

// profilesOf gives profiles, built-in and random ones in turn.
func profilesOf(t *testing.T, n int) (all []*profile.Profile) {
	t.Helper()
	d, known := newDice(*seed, 0), fixture.Must(profile.BuiltinProfiles())(t)
	known = some(d, len(known), len(known), known...)
	builtin, base := fixture.Must(profile.Builtin())(t), map[string]profile.Written{}
	for _, w := range builtin {
		base[w.ID] = w
	}
	for len(all) < n {
		if len(all)%2 == 0 && len(known) > 0 {
			all, known = append(all, known[0]), known[1:]
			continue
		}
		all = append(all, d.newProfile(t, fmt.Sprintf("random-%d", len(all)), builtin, base))
	}
	return all
}

// comparing is a run of the property.
type comparing struct {
	*testing.T
	core   *goAPI
	est    *estDoor
	acme   *acmeDoor
	scep   *scepDoor
	doors  []door
	count  map[string]int
	differ int  // how many differences there were
	quiet  bool // they are wanted
}

func newComparing(t *testing.T, profiles []*profile.Profile) *comparing {
	t.Helper()
	g := newGateway(t, profiles)
	est, acme, scep := newEST(g), newACME(g), newSCEP(g)
	return &comparing{T: t, core: newGoAPI(g), est: est, acme: acme, scep: scep, doors: []door{est, acme, scep}, count: map[string]int{}}
}

// Errorf reports a difference.
func (c *comparing) Errorf(format string, args ...any) {
	c.Helper()
	if c.differ++; !c.quiet {
		c.T.Errorf(format, args...)
	}
}

// compare has one identity enroll everywhere.
func (c *comparing) compare(p *bound, i *identity) {
	c.Helper()
	want := c.core.Enroll(c.T, p, i)
	c.through(p, i, want)
	var others []evidence // with which another door takes a caller's word for the same names
	switch {
	case i.evidence == byChallenge && len(i.names) > 0 && i.notAfter.IsZero():
		others = []evidence{byWord}
	case i.evidence == byWord:
		others = []evidence{bySecret}
	}
	for _, e := range others {
		said := i.by(e)
		other := c.core.Enroll(c.T, p, said)
		c.through(p, said, other)
		if want.certificate != nil && other.certificate != nil && p.heardAlike(doorOf[i.evidence], doorOf[e]) {
			c.count[fmt.Sprintf("issued by %s and by %s", i.evidence, e)]++
			c.same("Go API, by "+string(e), want, other)
		}
	}
}

// doorOf is the door that has an evidence.
var doorOf = map[evidence]caller.Door{byWord: caller.EST, byDevice: caller.EST, bySecret: caller.SCEP, byChallenge: caller.ACME}

// through compares each door that carries the identity with the Go API.
func (c *comparing) through(p *bound, i *identity, want outcome) {
	c.Helper()
	c.count[fmt.Sprintf("by %s, Go API: %s", i.evidence, kindOf(want))]++
	for _, d := range c.doors {
		if missing := d.Carries(p, i); missing != "" {
			c.count[fmt.Sprintf("by %s, not %s: %s", i.evidence, d.Name(), missing)]++
			continue
		}
		got := d.Enroll(c.T, p, i)
		c.count[fmt.Sprintf("by %s, %s: %s", i.evidence, d.Name(), kindOf(got))]++
		switch {
		case want.certificate != nil && got.certificate != nil:
			c.same(d.Name(), want, got)
		case want.refusal == nil || got.refusal == nil, !got.early && !sameRefusal(want.refusal, got.refusal):
			c.Errorf("%s: %s\n%s: %s\nfor %+v", c.core.Name(), want, d.Name(), got, i)
		case got.early: // before anything was proven, the core knows less, and says so the same way
			if check := c.core.Check(c.T, p, i); want.refusal.Kind != got.refusal.Kind || !sameRefusal(check, got.refusal) {
				c.Errorf("%s: %s\nits check: %v\n%s: %s\nfor %+v", c.core.Name(), want, check, d.Name(), got, i)
			}
		}
	}
}

// same compares two certificates; the clock stood still, so that the mask of dates
// has nothing to do.
func (c *comparing) same(name string, want, got outcome) {
	c.Helper()
	for _, difference := range equality.Compare(want.certificate, got.certificate) {
		c.Errorf("%s and %s: %s", c.core.Name(), name, difference)
	}
	if a, b := want.certificate, got.certificate; !a.NotBefore.Equal(b.NotBefore) || !a.NotAfter.Equal(b.NotAfter) {
		c.Errorf("%s: %s to %s, %s: %s to %s", c.core.Name(), a.NotBefore, a.NotAfter, name, b.NotBefore, b.NotAfter)
	}
	if string(want.certificate.RawTBS) == string(got.certificate.RawTBS) {
		c.Errorf("%s and %s gave one and the same certificate", c.core.Name(), name)
	}
}

func kindOf(o outcome) string {
	switch {
	case o.certificate != nil:
		return "issued"
	case o.refusal == nil:
		return "refused by the door"
	case o.refusal.Kind == ca.Denied:
		field, _, _ := strings.Cut(o.refusal.Field, ":") // without a name
		return "denied by " + field
	}
	return o.refusal.Kind.String()
}

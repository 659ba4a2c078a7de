package caller

import "testing"

func TestSatisfies(t *testing.T) {
	v := NewVerifier(SCEP)
	secret, err := FromSecret(v, found())
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := FromCertificate(v, presented())
	if err != nil {
		t.Fatal(err)
	}
	both, err := Together(certificate, secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		policies                  [][]Method
		nobody, one, other, twice bool
	}{
		"none":             {nil, false, false, false, false},
		"an empty one":     {[][]Method{{}}, false, false, false, false},
		"one":              {[][]Method{{SCEPSecret}}, false, true, false, true},
		"either":           {[][]Method{{SCEPSecret}, {Certificate}}, false, true, true, true},
		"both":             {[][]Method{{SCEPSecret, Certificate}}, false, false, false, true},
		"something else":   {[][]Method{{Unauthenticated}}, false, false, false, false},
		"both and a third": {[][]Method{{SCEPSecret, Certificate, Unauthenticated}}, false, false, false, false},
	} {
		for who, want := range map[Caller]bool{{}: c.nobody, secret: c.one, certificate: c.other, both: c.twice} {
			if who.Satisfies(c.policies) != want {
				t.Errorf("%s: %s %v", name, who, !want)
			}
		}
	}
	if !Named([][]Method{{Certificate}, {SCEPSecret}}, SCEPSecret) || Named([][]Method{{Certificate}}, SCEPSecret) {
		t.Error("what a policy names")
	}
}

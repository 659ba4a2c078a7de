package ruleset

import (
	"strings"
	"testing"
)

func TestPolicy(t *testing.T) {
	written, problems := Compile(&Written{Error: "log", Notice: "refuse", Refuse: []string{"w_ext_ian_critical"}, Ignore: []string{"e_issuer_field_empty", "usage-purpose"}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		policy   Policy
		rule     string
		severity Severity
		want     Action
	}{
		{Policy{}, "e_issuer_field_empty", Error, Refuse}, {Policy{}, "w_ext_ian_critical", Warning, Log}, {Policy{}, "n_ecdsa_ee_invalid_ku", Notice, Ignore},
		{Policy{}, "e_issuer_field_empty", 0, Refuse}, {Policy{}, "e_issuer_field_empty", Error + 1, Refuse},
		{written, "e_issuer_field_empty", Error, Ignore}, {written, "e_ext_san_no_entries", Error, Log}, {written, "w_ext_ian_critical", Warning, Refuse},
		{written, "w_multiple_issuer_rdn", Warning, Log}, {written, "n_ecdsa_ee_invalid_ku", Notice, Refuse}, {written, "usage-purpose", Warning, Ignore},
	} {
		if got := c.policy.Action(c.rule, c.severity); got != c.want {
			t.Errorf("%s of severity %s: %s, want %s", c.rule, c.severity, got, c.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for want, w := range map[string]Written{
		"error: \"no\" is not a choice":                               {Error: "no"},
		"notice: \"Log\" is not a choice":                             {Notice: "Log"},
		"refuse.0: \"e_nothing\" is no rule":                          {Refuse: []string{"e_nothing"}},
		"log.0: \"key-usage\" is no rule":                             {Log: []string{"key-usage"}},
		"ignore.1: \"e_issuer_field_empty\" is listed twice":          {Ignore: []string{"e_issuer_field_empty", "e_issuer_field_empty"}},
		"ignore.0: w_ian_iana_pub_suffix_empty is never checked here": {Ignore: []string{"w_ian_iana_pub_suffix_empty"}},
		"ignore.0: \"e_issuer_field_empty\" is listed":                {Log: []string{"e_issuer_field_empty"}, Ignore: []string{"e_issuer_field_empty"}},
	} {
		_, problems := Compile(&w)
		if len(problems) != 1 || !strings.HasPrefix(strings.Join(problems[0].Path, ".")+": "+problems[0].Message, want) {
			t.Errorf("%v, want %s", problems, want)
		}
	}
}

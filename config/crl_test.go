package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCRLSettings(t *testing.T) {
	parse := func(settings string) (CRL, error) {
		c, err := Parse("f", []byte(strings.Replace(minimal, "  - id: c\n", "  - id: c\n    crl: {"+settings+"}\n", 1)), Options{})
		if err != nil {
			return CRL{}, err
		}
		return c.CAs[0].CRL, nil
	}
	def := CRL{Interval: time.Hour, Lifetime: 7 * day, Overlap: day, OnRevocation: time.Minute, DeltaLifetime: day}
	if got, err := parse(""); err != nil || got != def {
		t.Errorf("defaults: %+v, %v", got, err)
	}
	if got, err := parse("interval: 2h, shards: 16, overlap: P2D"); err != nil || got.Interval != 2*time.Hour || got.Shards != 16 || got.Overlap != 2*day {
		t.Errorf("written: %+v, %v", got, err)
	}
	if got, err := parse("delta_interval: 15m, delta_lifetime: 1h"); err != nil || got.DeltaInterval != 15*time.Minute || got.DeltaLifetime != time.Hour {
		t.Errorf("deltas: %+v, %v", got, err)
	}
	for settings, field := range map[string]string{
		"lifetime: 24h":                  "crl.lifetime", // the default overlap alone takes that
		"interval: 7d":                   "crl.interval",
		"interval: P7D":                  "crl.lifetime",
		"interval: 1s":                   "crl.interval",
		"on_revocation: 0s":              "crl.on_revocation",
		"shards: 0":                      "crl.shards",
		"shards: 4097":                   "crl.shards",
		"shards: 2, delta_interval: 15m": "crl.shards",
		"delta_lifetime: 1h":             "crl.delta_lifetime",
		"delta_interval: 1h, delta_lifetime: 60m": "crl.delta_interval",
		"enabled: false": "crl.enabled",
	} {
		_, err := parse(settings)
		var problems Problems
		if !errors.As(err, &problems) || len(problems) != 1 || !strings.HasSuffix(problems[0].Field, field) {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

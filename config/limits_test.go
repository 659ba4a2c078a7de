package config

import (
	"strings"
	"testing"
	"time"
)

func TestRateLimits(t *testing.T) {
	c, err := Parse("f", []byte(minimal+"acme: {rate_limits: {orders_per_account: 7/P1D, accounts_per_network: none}}\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := RateLimits{OrdersPerAccount: RateLimit{7, 24 * time.Hour}, OrdersPerIdentifier: RateLimit{500, time.Hour}, OrdersPerNetwork: RateLimit{50_000, time.Hour}}
	if c.ACME.RateLimits != want {
		t.Errorf("%+v", c.ACME.RateLimits)
	}
	for _, bad := range []string{"7", "0/1h", "-1/1h", "7/1s", "7/P91D", "7/", "/1h", "x/1h", "2000000000/1h", "none/1h", "\"\""} {
		_, err := Parse("f", []byte(minimal+"acme: {rate_limits: {orders_per_network: "+bad+"}}\n"), Options{})
		if err == nil || !strings.Contains(err.Error(), "acme.rate_limits.orders_per_network") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
